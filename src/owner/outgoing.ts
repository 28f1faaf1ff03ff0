// A pool reuses sockets, so the request that opened a connection need not be the one that leaks it.
import { readField, readText } from '../core/foreign.js'
import type { RequestInfo } from '../core/report.js'
import { bytesMoved, clientRequestOf, isHeldByAgent, isTls } from '../socket/fields.js'
import { requestRunningOn, undiciClientOn, undiciRequestOn } from '../socket/undici.js'
import type { SocketRecord } from '../socket/record.js'
import type { Context } from './context/source.js'
import { Work } from './context/work.js'
import { withoutQuery, withoutUser } from './request-name.js'
import type { Capture } from './stacks/recorder.js'

const LONGEST_NAME = 1000

export interface Maker {
  readonly context: Context | null
  readonly stack: Capture | null
}

export class Opener {
  readonly context: Context
  movedWhenOver = -1
  siblings: Set<SocketRecord> | null = null

  constructor(context: Context) {
    this.context = context
  }
}

export type Makers = Pick<WeakMap<object, Maker>, 'get'>

export interface OutgoingUse {
  readonly message: object | null
  readonly request: RequestInfo | null
  readonly context: Context | null
  readonly stack: Capture | 'created' | null
}

const IDLE: OutgoingUse = { message: null, request: null, context: null, stack: null }

export function outgoingUseOf(record: SocketRecord, makers: Makers): OutgoingUse {
  const { socket } = record
  const message = clientRequestOf(socket)
  if (message !== null) {
    // Whoever opened the connection made its first request.
    const isFirst = readField(message, 'reusedSocket') === false
    const origin = `${isTls(socket) ? 'https' : 'http'}://${hostOf(message)}`
    return useOf(message, origin, makers, isFirst ? openerOf(record) : null)
  }
  const client = undiciClientOn(socket)
  const fetched = client === null ? null : requestRunningOn(client)
  if (fetched !== null) return useOf(fetched, originOf(fetched), makers, null)
  if (isHeldByAgent(socket) || client !== null) return IDLE
  return { message: null, request: null, context: openerOf(record), stack: 'created' }
}

function useOf(message: object, origin: string, makers: Makers, opener: Context | null): OutgoingUse {
  const maker = makers.get(message)
  const request = nameOutgoing(message, origin)
  if (maker === undefined)
    return { message, request, context: opener, stack: opener === null ? null : 'created' }
  return { message, request, ...maker }
}

export function nameOutgoing(message: object, origin: string): RequestInfo | null {
  const method = readText(message, 'method')
  const path = readText(message, 'path')
  if (method === null || path === null) return null
  return {
    method: method.slice(0, LONGEST_NAME),
    path: withoutQuery(path).slice(0, LONGEST_NAME),
    origin: withoutUser(origin).slice(0, LONGEST_NAME),
  }
}

export function hostOf(message: object): string {
  try {
    const header = (message as { getHeader?(name: string): unknown }).getHeader?.('host')
    if (typeof header === 'string') return header
  } catch {
    // Use the request's own host.
  }
  return readText(message, 'host') ?? ''
}

function originOf(request: object): string {
  const origin = readField(request, 'origin')
  return origin instanceof URL ? origin.origin : (readText(request, 'origin') ?? '')
}

// A pooled database connection later moves bytes for other requests, whose queries wait in the driver.
function openerOf({ socket, opener }: SocketRecord): Context | null {
  if (!(opener instanceof Opener)) return null
  const { context, movedWhenOver } = opener
  const isUnderWay = movedWhenOver === -1 && !(context instanceof Work && context.isOver())
  return isUnderWay || bytesMoved(socket) === Math.max(0, movedWhenOver) ? context : null
}

export function isInHttpUse({ socket }: SocketRecord): boolean {
  return clientRequestOf(socket) !== null || undiciRequestOn(socket) !== null
}
