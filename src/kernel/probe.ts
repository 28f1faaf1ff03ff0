// What a view of the kernel offers. It is asked about suspects, and makes no system call without one.
import type { KeepAliveTimes, KernelFacts } from '../core/kernel-facts.js'

export type KernelSample = KernelFacts

// Keyed by object, because descriptor numbers are reused within a tick.
export interface ProbeTarget {
  /** The current descriptor, or -1. Read it in the tick of the system call. */
  fd(): number
  inode: number
  /** A unix-domain socket: no TCP state, but `ffi` can tell whether its peer ended. */
  readonly isPipe?: boolean
}

/** One question, answered in slices. A new `ask` ends an unfinished run, whose answers are then `null`. */
export interface ProbeRun {
  /** Works for about `budgetMs`; returns true when all answers are in. Throws if the probe broke. */
  advance(budgetMs: number): boolean
  /** In the order of the targets; `null` if the kernel could not be asked. */
  readonly samples: ReadonlyArray<KernelSample | null>
}

export interface KernelProbe {
  /** `ffi`, `proc`, `none`, or the name of a probe of your own. */
  readonly name: string
  readonly reason: string | null
  ask(targets: readonly ProbeTarget[]): ProbeRun
  /** Milliseconds until the next question, so that a probe stays under 1 % of a CPU. An early caller skips its turn. */
  restMs?(): number
  /** Sets TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT (rounded up to seconds); false if reading them back fails. */
  setKeepAlive?(fd: number, times: KeepAliveTimes): boolean
  /** The values in force, or `null` if keep-alive is off or unreadable. `evenIfOff`: the values it would have. */
  readKeepAlive?(fd: number, evenIfOff?: boolean): KeepAliveTimes | null
  /** Sets TCP_USER_TIMEOUT; false if reading it back fails. */
  setUserTimeout?(fd: number, ms: number): boolean
  close?(): void
}

export function noProbe(reason: string): KernelProbe {
  return { name: 'none', reason, ask: answerNothing }
}

export function answerNothing(targets: readonly ProbeTarget[]): ProbeRun {
  return { advance: () => true, samples: targets.map(() => null) }
}
