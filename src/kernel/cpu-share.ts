const CPU_SHARE = 0.01

/** Wall-clock time, because reading CPU time is a system call that costs as much as a small question. */
export class CpuShare {
  readonly #now: () => number
  #runMs = 0
  #restUntilMs = Number.NEGATIVE_INFINITY

  constructor(now: () => number) {
    this.#now = now
  }

  begin(): void {
    this.#runMs = 0
  }

  spend(startedMs: number): void {
    const nowMs = this.#now()
    this.#runMs += nowMs - startedMs
    this.#restUntilMs = nowMs + this.#runMs / CPU_SHARE
  }

  restMs(): number {
    return Math.max(0, this.#restUntilMs - this.#now())
  }
}
