import type { KernelState } from './vocabulary.js'

/** What the kernel says of one socket; `null` is unknown. */
export interface KernelFacts {
  readonly state: KernelState | null
  readonly peerEnded: boolean | null
  readonly unreadBytes: number | null
  readonly unsentBytes: number | null
  readonly lastDataReceivedMs: number | null
  readonly lastDataSentMs: number | null
  readonly lastAckReceivedMs: number | null
  readonly retransmits: number | null
  readonly probes: number | null
  readonly rttMs: number | null
  /** A Unix socket: nothing can be sent or received any more (`POLLHUP`). */
  readonly hungUp?: boolean
}

export interface KeepAliveTimes {
  readonly idleMs: number
  readonly intervalMs: number
  readonly count: number
}
