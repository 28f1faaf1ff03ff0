import type { Socket } from 'node:net'
import type { Case } from '../core/lifecycle.js'
import type { Endpoint } from '../core/report.js'
import type { Direction } from '../core/vocabulary.js'
import type { PolicyOptions, SocketPolicy } from '../options/options.js'
import type { Attribution } from './requests/attribution.js'
import type { KeepAliveTimes } from '../kernel/probe.js'
import type { KernelView } from './kernel/view.js'
import type { Origin } from './origin.js'

export interface GuardProbes {
  /** The kernel's times before, where they could be read: they are put back. */
  readonly before: KeepAliveTimes | null
}

export interface SocketEnds {
  readonly local: Endpoint | null
  readonly remote: Endpoint | null
}

/** What a server or a single socket was given; what is missing is as one level below. */
export interface GivenSettings {
  readonly policy: PolicyOptions | null
  readonly label: string | null
}

/**
 * The record of one socket: small and always of the same shape, because every healthy socket carries one.
 * Times are whole milliseconds since the guard started (small integers, stored without a box), 0 for "not yet".
 */
export class TrackedSocket {
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
  case: Case | null = null
  /** Who uses it; `null` until somebody says. */
  attribution: Attribution | null = null
  /** In whose work it was opened and touched; `null` while nobody wants to know. */
  origin: Origin | null = null
  isExempt = false
  /** The guard's own keep-alive probes; `null` while it has switched none on. */
  probes: GuardProbes | null = null
  /** The guard has set TCP_USER_TIMEOUT. */
  hasUserTimeout = false
  /** What it was given itself, beside what its server was given; `null` for nearly all. */
  settings: GivenSettings | null = null
  /** What the kernel last said; `null` until it was asked. */
  kernel: KernelView | null = null
  /** Both ends, read once something is odd: a dead connection has no addresses any more. */
  ends: SocketEnds | null = null
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
 * The place on a socket where its record is kept: a private field. It is found with one load and no map (a WeakMap
 * costs 80 bytes more), nobody else can see it, and V8 adds it at a seventh of what `Object.defineProperty` takes to
 * add a hidden property. A field can't be taken off again, so a socket without a record may hold `undefined` in it.
 */
class Carrier extends Given {
  #record: TrackedSocket | undefined

  static read(socket: object): TrackedSocket | undefined {
    return #record in socket ? socket.#record : undefined
  }

  static write(socket: object, record: TrackedSocket | undefined): void {
    const carrier = #record in socket ? socket : new Carrier(socket)
    carrier.#record = record
  }
}

export function recordOf(socket: Socket): TrackedSocket | undefined {
  return Carrier.read(socket)
}

export function attachRecord(socket: Socket, record: TrackedSocket): void {
  Carrier.write(socket, record)
}

export function detachRecord(socket: Socket): void {
  if (Carrier.read(socket) !== undefined) Carrier.write(socket, undefined)
}
