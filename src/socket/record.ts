import type { Socket } from 'node:net'
import type { Trouble } from '../judge/lifecycle.js'
import type { Endpoint } from '../core/endpoint.js'
import type { Direction, Kind } from '../core/vocabulary.js'
import type { KeepAliveTimes } from '../core/kernel-facts.js'
import type { PolicyOptions } from '../options/options.js'
import type { SocketPolicy } from '../judge/policy.js'
import type { KernelView } from './kernel-view.js'

export interface GuardProbes {
  /** The kernel's times before, where they could be read: they are put back. */
  readonly before: KeepAliveTimes | null
}

export interface Addresses {
  readonly local: Endpoint | null
  readonly remote: Endpoint | null
}

/** What a server or a single socket was given; what is missing is as one level below. */
export interface GivenSettings {
  readonly policy: PolicyOptions | null
  readonly label: string | null
}

/** What only somebody else can tell of a socket: Node in a rare turn (an upgrade, a CONNECT), an adapter, `guard.label()`. */
export class Hint {
  kind: Kind | null = null
  /** The request that took the socket from HTTP, or that an adapter told; a name, not the request itself. */
  request: RequestName | null = null
  webSocket: object | null = null
  /** The server by whose settings the socket lives, where that is not the one that accepted it. */
  server: object | null = null
  /** When the HTTP server let go of the socket; 0 while it has not. */
  handedOverMs = 0
  /** What had been written by then. */
  bytesWrittenBefore = 0
}

/** A request in three strings: it may be kept for as long as a connection lives. */
export interface RequestName {
  readonly method: string
  /** Without its query. */
  readonly path: string
  /** The pattern of its route; an empty string where none is known. */
  readonly route: string
}

/**
 * The record of one socket: small and always of the same shape, because every healthy socket carries one.
 * Times are whole milliseconds since the guard started (small integers, stored without a box), 0 for "not yet".
 */
export class SocketRecord {
  readonly id: number
  /** The socket that the application sees: the TLSSocket, not the raw one under it. */
  socket: Socket
  direction: Direction
  readonly firstSeenMs: number
  peerEndedMs = 0
  localEndedMs = 0
  policy: SocketPolicy
  /** Its place in the ledger's list. */
  index = -1
  /** What is odd about it; `null` for a healthy socket. */
  trouble: Trouble | null = null
  isExempt = false
  label: string | null = null
  /** What this socket itself was given, which wins over its server's settings; `null` for nothing. */
  settings: GivenSettings | null = null
  hint: Hint | null = null
  /** Where an outgoing socket was told to go; `null` for an accepted one. */
  target: Endpoint | null = null
  /** In whose work an outgoing socket was opened; `null` where nobody can tell. */
  opener: object | null = null
  /** The guard's own keep-alive probes; `null` while it has switched none on. */
  probes: GuardProbes | null = null
  /** The guard has set TCP_USER_TIMEOUT. */
  hasUserTimeout = false
  /** What the kernel last said; `null` until it was asked. */
  kernel: KernelView | null = null
  /** Both ends, read once something is odd: a dead connection has no addresses any more. */
  addresses: Addresses | null = null
  /** Checked for having connected to itself: only once. */
  selfConnected: boolean | null = null

  constructor(id: number, socket: Socket, direction: Direction, firstSeenMs: number, policy: SocketPolicy) {
    this.id = id
    this.socket = socket
    this.direction = direction
    this.firstSeenMs = firstSeenMs
    this.policy = policy
  }
}

/** What `new` of a subclass makes is what it was given: so its private field lands on a socket that exists already. */
class Given {
  constructor(socket: object) {
    return socket
  }
}

/**
 * The place on a socket where its record is kept: a private field. Nobody else can see it, it costs less memory than an entry
 * of a WeakMap, and less time to add than a hidden property by `Object.defineProperty`. A field can't be taken off again, so a socket without a record may hold `undefined` in it.
 */
class Carrier extends Given {
  #record: SocketRecord | undefined

  static readonly read = (socket: object): SocketRecord | undefined =>
    #record in socket ? socket.#record : undefined

  static readonly write = (socket: object, record: SocketRecord): void => {
    const carrier = #record in socket ? socket : new Carrier(socket)
    carrier.#record = record
  }

  static readonly clear = (socket: object): void => {
    if (#record in socket) socket.#record = undefined
  }
}

export const { read: recordOf, write: attachRecord, clear: detachRecord } = Carrier

export function hintOf(record: SocketRecord): Hint {
  return (record.hint ??= new Hint())
}
