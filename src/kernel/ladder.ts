/**
 * A probe that stands on the best of several views and steps down when one turns out not to work.
 *
 * Nothing is looked for before somebody asks: until the first question `name` is the view that is meant to
 * answer, as far as that can be told without loading native code. A view that breaks in the middle of a
 * question is replaced, and its successor answers the same question, so that the caller never sees the
 * exception.
 */
import { answerNothing } from './none.js'
import type { KeepAliveTimes, KernelProbe, KernelSample, ProbeRun, ProbeTarget } from './probe.js'

export interface Rung {
  readonly name: string
  /** Why this view is out of the question, told cheaply; or `null`. */
  whyNot(): string | null
  /** Opens the view and proves that it works. Throws when it does not. */
  open(): KernelProbe
}

/** Told of a view that broke after it had been found to work. */
export type OnFallback = (reason: string) => void

export class Ladder implements KernelProbe {
  readonly #rungs: Rung[]
  readonly #last: (reasons: readonly string[]) => KernelProbe
  readonly #onFallback: OnFallback
  readonly #reasons: string[] = []
  #probe: KernelProbe | null = null
  #possible: Rung | null = null

  /**
   * @param rungs the views, best first
   * @param last what to stand on when all have failed; must never throw
   */
  constructor(
    rungs: readonly Rung[],
    last: (reasons: readonly string[]) => KernelProbe,
    onFallback: OnFallback,
  ) {
    this.#rungs = [...rungs]
    this.#last = last
    this.#onFallback = onFallback
  }

  get name(): string {
    this.#dropImpossible()
    return this.#probe?.name ?? this.#rungs[0]?.name ?? this.settle().name
  }

  get reason(): string | null {
    this.#dropImpossible()
    const own = this.#rungs.length === 0 ? this.settle().reason : (this.#probe?.reason ?? null)
    if (own !== null) return own
    return this.#reasons.length === 0 ? null : this.#reasons.join('; ')
  }

  get syscalls(): number {
    return this.#probe?.syscalls ?? 0
  }

  get malformedRows(): number {
    return this.#probe?.malformedRows ?? 0
  }

  ask(targets: readonly ProbeTarget[]): ProbeRun {
    return targets.length === 0 ? answerNothing(targets) : new LadderRun(this, targets)
  }

  restMs(): number {
    return this.attempt((probe) => probe.restMs?.() ?? 0, 0)
  }

  setKeepAlive(fd: number, times: KeepAliveTimes): boolean {
    return this.attempt((probe) => probe.setKeepAlive?.(fd, times) ?? false, false)
  }

  readKeepAlive(fd: number, evenIfOff?: boolean): KeepAliveTimes | null {
    return this.attempt((probe) => probe.readKeepAlive?.(fd, evenIfOff) ?? null, null)
  }

  setUserTimeout(fd: number, ms: number): boolean {
    return this.attempt((probe) => probe.setUserTimeout?.(fd, ms) ?? false, false)
  }

  close(): void {
    this.#probe?.close?.()
  }

  /** Stands on the best view that works. Never throws. */
  settle(): KernelProbe {
    while (this.#probe === null) {
      this.#dropImpossible()
      const rung = this.#rungs[0]
      if (rung === undefined) {
        this.#probe = this.#last(this.#reasons)
        break
      }
      try {
        this.#probe = rung.open()
      } catch (error) {
        this.#dropRung(error)
      }
    }
    return this.#probe
  }

  /** Steps down from a view that broke; whoever finds it broken a second time finds it gone. */
  stepDown(broken: KernelProbe, error: unknown): void {
    if (broken !== this.#probe) return
    this.#probe = null
    this.#dropRung(error)
    this.#tell()
    try {
      broken.close?.()
    } catch {
      // it broke; what it leaves behind is not ours to mend
    }
  }

  attempt<Result>(use: (probe: KernelProbe) => Result, otherwise: Result): Result {
    const probe = this.settle()
    try {
      return use(probe)
    } catch (error) {
      this.stepDown(probe, error)
      return otherwise
    }
  }

  #dropImpossible(): void {
    while (this.#probe === null && this.#rungs[0] !== undefined && this.#rungs[0] !== this.#possible) {
      const reason = this.#rungs[0].whyNot()
      if (reason === null) this.#possible = this.#rungs[0]
      else this.#dropRung(reason)
    }
  }

  #dropRung(why: unknown): void {
    const rung = this.#rungs.shift()
    this.#reasons.push(`${rung?.name ?? 'probe'}: ${why instanceof Error ? why.message : String(why)}`)
  }

  #tell(): void {
    try {
      this.#onFallback(this.#reasons.at(-1) ?? '')
    } catch {
      // a listener's mistake must not reach the sweep
    }
  }
}

class LadderRun implements ProbeRun {
  readonly #ladder: Ladder
  readonly #targets: readonly ProbeTarget[]
  #probe: KernelProbe
  #run: ProbeRun

  constructor(ladder: Ladder, targets: readonly ProbeTarget[]) {
    this.#ladder = ladder
    this.#targets = targets
    this.#probe = ladder.settle()
    this.#run = this.#ask()
  }

  get samples(): ReadonlyArray<KernelSample | null> {
    return this.#run.samples
  }

  advance(budgetMs: number): boolean {
    try {
      return this.#run.advance(budgetMs)
    } catch (error) {
      this.#ladder.stepDown(this.#probe, error)
      this.#run = this.#ask()
      return false
    }
  }

  /** Ends because the ladder does: its last probe does not throw. */
  #ask(): ProbeRun {
    for (;;) {
      this.#probe = this.#ladder.settle()
      try {
        return this.#probe.ask(this.#targets)
      } catch (error) {
        this.#ladder.stepDown(this.#probe, error)
      }
    }
  }
}
