import type { DurationsReport } from './report.js'

/** Whole milliseconds. A report is made in steps, so what it tells of may be younger than it is: 0. */
export function agoMs(thenMs: number, nowMs: number): number {
  return Math.max(0, Math.round(nowMs - thenMs))
}

export const BOUNDS_MS = [
  100, 500, 1000, 5000, 15_000, 30_000, 60_000, 120_000, 300_000, 900_000, 3_600_000, 21_600_000, 86_400_000,
] as const

export class Durations {
  readonly #counts = new Float64Array(BOUNDS_MS.length + 1)
  #sumMs = 0

  note(ms: number): void {
    const bound = BOUNDS_MS.findIndex((atMostMs) => ms <= atMostMs)
    this.#counts[bound === -1 ? BOUNDS_MS.length : bound]! += 1
    this.#sumMs += ms
  }

  report(): DurationsReport {
    let count = 0
    const cumulated = Array.from(this.#counts, (one) => (count += one))
    return {
      count,
      sumMs: Math.round(this.#sumMs),
      buckets: BOUNDS_MS.map((atMostMs, i) => ({ atMostMs, count: cumulated[i]! })),
    }
  }
}
