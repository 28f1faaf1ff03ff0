/** Keeps account of what a probe costs, so that all its questions together stay under a share of one CPU. */

const CPU_SHARE = 0.01

/**
 * Counts wall-clock time, not CPU time: reading the latter is itself a system call that costs as much as a
 * small question. On a busy machine that errs towards asking less.
 */
export class CpuShare {
  readonly #now: () => number
  #runMs = 0
  #restUntilMs = Number.NEGATIVE_INFINITY

  constructor(now: () => number) {
    this.#now = now
  }

  /** A new question begins. */
  begin(): void {
    this.#runMs = 0
  }

  /** A slice of the question ended that began at `startedMs`. */
  spend(startedMs: number): void {
    const nowMs = this.#now()
    this.#runMs += nowMs - startedMs
    this.#restUntilMs = nowMs + this.#runMs / CPU_SHARE
  }

  restMs(): number {
    return Math.max(0, this.#restUntilMs - this.#now())
  }
}
