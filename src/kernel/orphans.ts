// Counts descriptors of sockets that nobody tracks (inherited, handed over, opened by native code), and lists those in
// CLOSE_WAIT. Linux only: a link for each descriptor and, if any is left over, the tables tcp6, tcp and unix.
import type { OrphansReport } from '../core/report.js'
import { monotonicMs, setTimeout } from '../base/real-time.js'
import { countOrphans, type OrphanCount } from './count-orphans.js'
import { workFor, type Steps } from './sliced.js'

export interface OrphanWatch {
  refresh(): void
  report(): OrphansReport | null
  stop(): void
}

const FRESH_MS = 10_000
const QUICK_DESCRIPTORS = 256
const SLICE_MS = 0.5

/** `known`: the descriptors that are accounted for. `openDescriptors`: the number of all, or `null`. */
export function createOrphanWatch(
  known: () => Iterable<number>,
  openDescriptors: () => number | null,
): OrphanWatch {
  let steps: Steps | null = null
  let found: OrphanCount | null = null
  let foundAtMs = -Infinity

  function* look(): Steps {
    try {
      found = yield* countOrphans(known)
    } catch {
      found = null // EMFILE, EACCES: seen by nobody
    }
    foundAtMs = monotonicMs()
    steps = null
  }

  function proceed(budgetMs: number): void {
    if (steps !== null && !workFor(steps, budgetMs, monotonicMs)) setTimeout(proceed, 1, SLICE_MS).unref()
  }

  return {
    refresh() {
      if (steps !== null || monotonicMs() - foundAtMs < FRESH_MS) return
      const open = openDescriptors()
      if (open === null) return
      steps = look()
      proceed(open <= QUICK_DESCRIPTORS ? Infinity : SLICE_MS)
    },
    report: () => found && { ...found, ageMs: Math.round(monotonicMs() - foundAtMs) },
    stop() {
      steps?.return()
      steps = null
    },
  }
}
