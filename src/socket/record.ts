import type { Socket } from 'node:net'
import { tolerant } from '../core/foreign.js'
import type { Trouble } from '../judge/lifecycle.js'
import type { Endpoint } from '../core/endpoint.js'
import type { Direction, Kind } from '../core/vocabulary.js'
import type { KeepAliveTimes } from '../core/kernel-facts.js'
import type { PolicyOptions } from '../options/options.js'
import type { SocketPolicy } from '../judge/policy.js'
import type { KernelView } from './kernel-view.js'

export interface GuardProbes {
  /** The kernel's times before ours, to be put back; `null` if they could not be read. */
  readonly before: KeepAliveTimes | null
}

export interface Addresses {
  readonly local: Endpoint | null
  readonly remote: Endpoint | null
}

export interface GivenSettings {
  readonly policy: PolicyOptions | null
  readonly label: string | null
}

/** Facts that no field of Node shows: an upgrade, an adapter's or `guard.label()`'s word. */
export class Hint {
  kind: Kind | null = null
  request: RequestName | null = null
  webSocket: object | null = null
  /** The server whose settings apply, if another one accepted the socket. */
  server: object | null = null
  /** 0 if no HTTP server has let go of the socket. */
  handedOverMs = 0
  bytesWrittenBefore = 0
  isBornBefore = false
  /** Its TLSSocket is not known yet, so that the peer's end shows in the kernel alone. */
  isUnderTls = false
}

/** Three strings: keeping them keeps no request alive. */
export interface RequestName {
  readonly method: string
  readonly path: string
  readonly route: string
}

// Each socket has a record, so it is small and has one shape. Times are whole milliseconds since the guard
// started (V8 stores small integers unboxed), 0 for "not yet".
export class SocketRecord {
  readonly id: number
  socket: Socket
  direction: Direction
  readonly firstSeenMs: number
  peerEndedMs = 0
  localEndedMs = 0
  policy: SocketPolicy
  index = -1
  trouble: Trouble | null = null
  isExempt = false
  settings: GivenSettings | null = null
  hint: Hint | null = null
  target: Endpoint | null = null
  /** The request in whose work an outgoing socket was opened, if known. */
  opener: object | null = null
  probes: GuardProbes | null = null
  hasUserTimeout = false
  kernel: KernelView | null = null
  /** Read once something is odd, because a dead connection has no addresses. */
  addresses: Addresses | null = null
  /** Bytes moved at the last census, modulo 2^32, and when one first found as many. */
  bytesMoved = 0
  movedMs = 0
  selfConnected: boolean | null = null

  constructor(id: number, socket: Socket, direction: Direction, firstSeenMs: number, policy: SocketPolicy) {
    this.id = id
    this.socket = socket
    this.direction = direction
    this.firstSeenMs = firstSeenMs
    this.policy = policy
  }
}

/** `new` returns the given object, so a subclass adds its private field to an existing socket. */
export class Given {
  constructor(socket: object) {
    return socket
  }
}

// A private field on the socket is invisible to others, smaller than a WeakMap entry and faster than
// `Object.defineProperty`. It can't be removed, so it may hold `undefined`.
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

/** If a property throws, reads again without that property. */
export function readRecord<T>(record: SocketRecord, read: (record: SocketRecord) => T): T {
  try {
    return read(record)
  } catch {
    return read(tolerantRecord(record))
  }
}

export function tolerantRecord(record: SocketRecord): SocketRecord {
  return Object.create(record, { socket: { value: tolerant(record.socket) } }) as SocketRecord
}

export function hintOf(record: SocketRecord): Hint {
  return (record.hint ??= new Hint())
}
