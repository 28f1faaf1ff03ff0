/**
 * What every view of the kernel offers, whatever it is made of. A probe is asked about suspects only: with no suspect it
 * makes no system call.
 */
import type { KeepAliveTimes, KernelFacts } from '../core/kernel-facts.js'

/** What the kernel said about one socket. */
export type KernelSample = KernelFacts

/** One socket that a probe is asked about. Keyed by object: descriptor numbers are reused within a tick. */
export interface ProbeTarget {
  /** The descriptor at this moment, or -1 when there is none any more. Read it in the tick of the system call. */
  fd(): number
  /** The socket's inode, kept here by a probe that needs it; 0 while unknown. */
  inode: number
  /** A unix-domain socket: it has no TCP state, but `ffi` can tell whether its peer has ended. */
  readonly isPipe?: boolean
}

/**
 * One question to the kernel, answered in slices so that the event loop is never held for long. A probe answers one
 * question at a time: a new `ask` ends an unfinished run, whose answers are then all `null`.
 */
export interface ProbeRun {
  /**
   * Works for about `budgetMs` (`Infinity`: to the end). Returns true when all answers are in. Throws when the probe
   * broke.
   */
  advance(budgetMs: number): boolean
  /** One answer per target, in the targets' order; `null` where the kernel could not be asked. */
  readonly samples: ReadonlyArray<KernelSample | null>
}

export interface KernelProbe {
  /** `ffi`, `proc`, `none`, or the name of a probe of your own. */
  readonly name: string
  /** Why there is no better view; `null` when nothing is missing. */
  readonly reason: string | null
  ask(targets: readonly ProbeTarget[]): ProbeRun
  /**
   * Milliseconds until the next question is affordable: 100 times what the last one took, less the time since (so that
   * a probe stays under 1 % of one CPU). A caller that is too early skips its turn.
   */
  restMs?(): number
  /**
   * Sets TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT (whole seconds, rounded up) and reads them back; false when it did
   * not hold. Does not switch keep-alive on: that is `socket.setKeepAlive(true)`, of which Node keeps a record.
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

/** No view of the kernel: says why and answers `null` to everything. */
export function noProbe(reason: string): KernelProbe {
  return { name: 'none', reason, ask: answerNothing }
}

/** A run that is over before it began, without a system call. Also the answer to a question about no socket. */
export function answerNothing(targets: readonly ProbeTarget[]): ProbeRun {
  return { advance: () => true, samples: targets.map(() => null) }
}
