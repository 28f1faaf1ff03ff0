/**
 * Keeps count of the sockets of this process that no record stands for: handed over and not yet gone, inherited,
 * held by the cluster primary, opened by native code or before the guard was there. Looked for only when a report is
 * made, in slices, and not more often than every ten seconds.
 */
import { fstatSync } from 'node:fs'
import type { Socket } from 'node:net'
import type { OrphansReport } from '../core/report.js'
import type { KernelState } from '../core/vocabulary.js'
import { monotonicMs, setTimeout } from '../real-time.js'
import { countDescriptors } from '../kernel/descriptors.js'
import { OrphanSearch, type OrphanReport } from '../kernel/orphans.js'
import { descriptorOf } from './socket-fields.js'

export interface OrphanWatch {
  /** Looks again if the last look is old: at once where that is quick, else in the background. */
  refresh(): void
  /** As of the last look; `null` when there was none, or where nothing can be seen. */
  report(): OrphansReport | null
  stop(): void
}

/** A look is fresh for this long. */
const FRESH_MS = 10_000
/** So many descriptors are looked at on the spot: about a millisecond. */
const QUICK_DESCRIPTORS = 256
const SLICE_MS = 0.5

/** @param known every socket that is accounted for */
export function createOrphanWatch(known: () => Iterable<Socket>): OrphanWatch {
  let search: OrphanSearch | null = null
  let found: OrphanReport | null = null
  let foundAtMs = -Infinity

  function knownInodes(): Set<number> {
    const inodes = new Set<number>()
    for (const socket of known()) {
      const fd = descriptorOf(socket)
      if (fd < 0) continue
      try {
        inodes.add(fstatSync(fd).ino)
      } catch {
        // Closed by somebody else: it is not among the descriptors then, either.
      }
    }
    return inodes
  }

  function proceed(budgetMs: number): void {
    if (search === null) return
    if (!search.advance(budgetMs)) {
      setTimeout(proceed, 1, SLICE_MS).unref()
      return
    }
    found = search.report
    foundAtMs = monotonicMs()
    search = null
  }

  return {
    refresh() {
      if (search !== null || monotonicMs() - foundAtMs < FRESH_MS) return
      const count = countDescriptors()
      if (count === null) return
      search = new OrphanSearch(knownInodes())
      proceed(count.open <= QUICK_DESCRIPTORS ? Infinity : SLICE_MS)
    },
    report: () => (found === null ? null : summarize(found, monotonicMs() - foundAtMs)),
    stop() {
      search?.close()
      search = null
    },
  }
}

function summarize({ orphans, listeners, socketDescriptors }: OrphanReport, ageMs: number): OrphansReport {
  const states: Partial<Record<KernelState, number>> = {}
  let [tcp, unix, other] = [0, 0, 0]
  for (const { kind, state } of orphans) {
    if (kind === 'unix') unix += 1
    else if (kind === 'other') other += 1
    else {
      tcp += 1
      if (state !== null) states[state] = (states[state] ?? 0) + 1
    }
  }
  return { tcp, states, unix, other, listeners, socketDescriptors, ageMs: Math.round(ageMs) }
}
