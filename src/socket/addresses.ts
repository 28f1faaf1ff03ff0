import type { Server } from 'node:net'
import type { Endpoint } from '../core/endpoint.js'
import { readAddress, serverOf } from './fields.js'
import type { Addresses, SocketRecord } from './record.js'
import { pipeAt } from './target.js'

export function addressesOf(record: SocketRecord): Addresses {
  return { local: addressOf(record, 'local'), remote: addressOf(record, 'remote') }
}

/** Reads one address, because each costs a system call. */
export function addressOf(record: SocketRecord, end: keyof Addresses): Endpoint | null {
  const { addresses, target, socket } = record
  const known = addresses === null ? readAddress(socket, end) : addresses[end]
  return known ?? (end === 'remote' ? target : pathOf(serverOf(socket)))
}

function pathOf(server: Server | null): Endpoint | null {
  const address = server?.address() ?? null
  return typeof address === 'string' ? pipeAt(address) : null
}
