import type { Socket } from 'node:net'
import type { Case } from '../core/lifecycle.js'
import type { Endpoint } from '../core/report.js'
import type { Direction } from '../core/vocabulary.js'
import type { SocketPolicy } from '../options.js'
import type { Attribution } from './attribution.js'
import type { KernelView } from './kernel/view.js'
import type { Origin } from './origin.js'

/** The property under which a socket carries its record: one load to find it, no map (a WeakMap costs 80 bytes more). */
const RECORD = Symbol('socket-leak-guard.record')

export interface SocketEnds {
  readonly local: Endpoint | null
  readonly remote: Endpoint | null
}

interface Carrier {
  [RECORD]?: TrackedSocket | undefined
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
  keepAlive: 'off' | 'guard' | 'application' = 'off'
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

export function recordOf(socket: Socket): TrackedSocket | undefined {
  return (socket as unknown as Carrier)[RECORD]
}

export function attachRecord(socket: Socket, record: TrackedSocket): void {
  const carrier = socket as unknown as Carrier
  if (carrier[RECORD] === undefined && !Object.hasOwn(carrier, RECORD)) {
    Object.defineProperty(carrier, RECORD, {
      value: record,
      writable: true,
      enumerable: false,
      configurable: true,
    })
  } else {
    carrier[RECORD] = record
  }
}

export function detachRecord(socket: Socket): void {
  const carrier = socket as unknown as Carrier
  if (carrier[RECORD] !== undefined) carrier[RECORD] = undefined
}
