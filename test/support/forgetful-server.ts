/**
 * A server that reads everything and never ends its side, with or without a guard. Every connection that its peer has
 * left is a leak. Started by `NetworkNamespace.start()`.
 */
import { once } from 'node:events'
import net from 'node:net'
import { getSystemErrorName } from 'node:util'
import { install, type Action, type Guard, type GuardEvent, type InstallOptions } from '../../src/index.js'
import { obey } from './actor.js'
import { holdsInode, inodeOf, statesOf } from './descriptors.js'
import { until } from './until.js'

interface Accepted {
  readonly socket: net.Socket
  readonly inode: number
}

/** Until interval and count can be set, keep-alive takes ten seconds and more to prove a death. */
const LONGEST_PROOF_MS = 60_000

const accepted: Accepted[] = []
const events: GuardEvent[] = []
let guard: Guard | null = null

const server = net.createServer({ allowHalfOpen: true }, (socket) => {
  accepted.push({ socket, inode: inodeOf(socket) })
  socket.resume()
  socket.on('error', () => {})
})

const actions = {
  async listen(host: string, port: number, options: InstallOptions | null): Promise<void> {
    if (options !== null) {
      guard = install(options)
      guard.subscribe((event) => events.push(event))
    }
    server.listen(port, host)
    await once(server, 'listening')
  },
  accepted: () => accepted.length,
  untilAccepted: (count: number) => until(() => accepted.length >= count, `${count} accepted`),
  /** Until so many peers have ended, and this server has been told so. */
  untilEnded: (count: number) =>
    until(() => accepted.filter(({ socket }) => socket.readableEnded).length >= count, `${count} ended`),
  /** Until the guard has announced so many of these. */
  async untilAnnounced(type: GuardEvent['type'], count: number) {
    const found = () => events.filter((event) => event.type === type)
    await until(() => found().length >= count, `${count} are ${type}`, LONGEST_PROOF_MS)
    return found().map(({ socket: { condition, seenBy, verdict } }) => ({ condition, seenBy, verdict }))
  },
  /** How many descriptors of accepted connections this process holds. */
  held: () => accepted.filter(({ inode }) => holdsInode(inode)).length,
  /** How many of them belong to connections that the kernel has closed. */
  dead: () => accepted.filter(({ socket }) => peerNameError(socket) === 'ENOTCONN').length,
  /** What the kernel's table shows of connections with that port of the client. */
  states: statesWith,
  untilForgotten: (remotePort: number) =>
    until(() => statesWith(remotePort).length === 0, 'the kernel has forgotten the connection'),
  ports: () => guard!.sweep().ports,
  /** Closes everything that the guard sees now. */
  reclaim(action: Exclude<Action, 'report'>): void {
    for (const { id } of guard!.sweep({ all: true }).sockets) guard!.reclaim(id, action)
  },
}

function statesWith(remotePort: number): string[] {
  return statesOf((server.address() as net.AddressInfo).port, remotePort)
}

function peerNameError(socket: net.Socket): string | null {
  const { _handle: handle } = socket as unknown as { _handle: { getpeername(out: object): number } | null }
  const status = handle?.getpeername({}) ?? 0
  return status === 0 ? null : getSystemErrorName(status)
}

export type ForgetfulServer = typeof actions

obey(actions)
