/** The last hour in constant memory: a ring of points, filled at the end of sweeps. */
import type { HistoryReport } from '../core/report.js'

export interface Sample {
  readonly tracked: number
  readonly suspect: number
  readonly leaked: number
  readonly reclaimed: number
  readonly openDescriptors: number | null
  readonly descriptorLimit: number | null
}

const HOUR_MS = 3_600_000
const INTERVAL_MS = 20_000
const POINTS = HOUR_MS / INTERVAL_MS
/** The time, and the members of a sample. */
const COLUMNS = 7

export class History {
  readonly #points = new Float64Array(POINTS * COLUMNS)
  readonly #now: () => number
  readonly #read: () => Sample
  #taken = 0
  #dueMs = -Infinity

  constructor(now: () => number, read: () => Sample) {
    this.#now = now
    this.#read = read
    this.sample()
  }

  sample(): void {
    const nowMs = this.#now()
    if (nowMs < this.#dueMs) return
    this.#dueMs = nowMs + INTERVAL_MS
    this.#points.set(rowOf(nowMs, this.#read()), (this.#taken % POINTS) * COLUMNS)
    this.#taken += 1
  }

  /** A sweep that comes seldom leaves points of more than an hour. */
  report(unixMs: number): Omit<HistoryReport, 'sites'> {
    const nowMs = this.#now()
    const rows: number[][] = []
    for (let i = Math.max(0, this.#taken - POINTS); i < this.#taken; i += 1) {
      const at = (i % POINTS) * COLUMNS
      const row = [...this.#points.subarray(at, at + COLUMNS)]
      if (nowMs - row[0]! < HOUR_MS) rows.push(row)
    }
    rows.push(rowOf(nowMs, this.#read()))
    const column = (index: number) => rows.map((row) => row[index]!)
    const known = (index: number) => column(index).map((value) => (value === -1 ? null : value))
    return {
      at: column(0).map((atMs) => Math.round((unixMs - nowMs + atMs) / 1000)),
      tracked: column(1),
      suspect: column(2),
      leaked: column(3),
      reclaimed: column(4),
      openDescriptors: known(5),
      descriptorLimit: known(6),
    }
  }
}

function rowOf(nowMs: number, sample: Sample): number[] {
  const { tracked, suspect, leaked, reclaimed, openDescriptors, descriptorLimit } = sample
  return [nowMs, tracked, suspect, leaked, reclaimed, openDescriptors ?? -1, descriptorLimit ?? -1]
}
