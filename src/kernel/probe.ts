/**
 * What every view of the kernel offers, whatever it is made of. A probe is asked about suspects only:
 * with no suspect it makes no system call at all.
 */
import type { KernelState } from '../core/vocabulary.js'

/** One socket that a probe is asked about. Keyed by object: descriptor numbers are reused within a tick. */
export interface ProbeTarget {
  /**
   * The descriptor at this very moment, or -1 when there is none any more. Read it in the tick of the system
   * call.
   */
  fd(): number
  /** The socket's inode, cached here by a probe that needs it; 0 while unknown. */
  inode: number
}

/**
 * The timer that the kernel runs for a connection. `zero-window`: the peer does not read; `retransmit`: it
 * does not answer.
 */
export type KernelTimer = 'none' | 'retransmit' | 'keep-alive' | 'zero-window'

/** What the kernel said about one socket. `null`: this probe can't tell. */
export interface KernelSample {
  /**
   * `CLOSE` from the `proc` probe only means that the tables did not list the socket: confirm it with
   * getpeername. From `ffi` it is the kernel's own word.
   */
  readonly state: KernelState | null
  /** The peer's FIN has arrived. `null` in `CLOSE`, which a FIN and a reset reach alike. */
  readonly peerEnded: boolean | null
  /** Bytes the kernel holds for us that nobody has read (a pending FIN is not counted). */
  readonly unreadBytes: number | null
  /**
   * Bytes the kernel holds that the peer has not acknowledged (our own FIN is not counted; none in `CLOSE`).
   */
  readonly unsentBytes: number | null
  /** How long ago; counted from the connection's beginning while nothing has moved. So are the next two. */
  readonly lastDataReceivedMs: number | null
  readonly lastDataSentMs: number | null
  readonly lastAckReceivedMs: number | null
  readonly retransmits: number | null
  /** Unanswered keep-alive or zero-window probes. */
  readonly probes: number | null
  readonly timer: KernelTimer | null
  readonly rttMs: number | null
}

/**
 * One question to the kernel, answered in slices so that the event loop is never held for long. A probe
 * answers one question at a time: a new `ask` ends an unfinished run, whose answers are then all `null`.
 */
export interface ProbeRun {
  /**
   * Works for about `budgetMs` (`Infinity`: to the end). Returns true when all answers are in. Throws when
   * the probe broke.
   */
  advance(budgetMs: number): boolean
  /** One answer per target, in the targets' order; `null` where the kernel could not be asked. */
  readonly samples: ReadonlyArray<KernelSample | null>
}

export interface KeepAliveTimes {
  readonly idleMs: number
  readonly intervalMs: number
  readonly count: number
}

export interface KernelProbe {
  /** `ffi`, `proc`, `none`, or the name of a probe of your own. */
  readonly name: string
  /** Why there is no better view; `null` when nothing is missing. */
  readonly reason: string | null
  /** How many system calls it has made. */
  readonly syscalls?: number
  /** Rows of the kernel's tables that could not be read. */
  readonly malformedRows?: number
  ask(targets: readonly ProbeTarget[]): ProbeRun
  /**
   * Milliseconds until the next question is affordable: 100 times what the last one took, less the time
   * since (so that a probe stays under 1 % of one CPU). A caller that is too early skips its turn.
   */
  restMs?(): number
  /**
   * Sets TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT (whole seconds, rounded up) and reads them back; false
   * when it did not hold. Does not switch keep-alive on: that is `socket.setKeepAlive(true)`, of which Node
   * keeps a record.
   */
  setKeepAlive?(fd: number, times: KeepAliveTimes): boolean
  /**
   * The three values now in force, or `null` when keep-alive is off or can't be read.
   *
   * @param evenIfOff the values that would be in force if it were on
   */
  readKeepAlive?(fd: number, evenIfOff?: boolean): KeepAliveTimes | null
  /** Sets TCP_USER_TIMEOUT in milliseconds and reads it back; false when it did not hold. */
  setUserTimeout?(fd: number, ms: number): boolean
  close?(): void
}
