/**
 * Watches how close the process is to its limit of descriptors, once a sweep, and makes half-closed sockets hurry.
 * At the top of the pressure the oldest suspects are reclaimed, before accept() and connect() fail with EMFILE.
 */
import type { Ledger } from '../core/ledger.js'
import {
  graceUnderPressure,
  overload,
  pressureOf,
  reclaimOrder,
  type PressureSettings,
} from '../core/pressure.js'
import type { PressureReport } from '../core/report.js'
import type { Action } from '../core/vocabulary.js'
import type { SocketRecord } from '../socket/record.js'

export interface DescriptorLoad {
  readonly open: number
  readonly softLimit: number | null
}

export interface PressureWatch {
  /** The grace that holds right now. */
  graceMs(graceMs: number): number
  /** Takes a new measurement, and reclaims what must go. To be called after each sweep. */
  measure(): void
  report(): PressureReport
}

export interface PressureHooks {
  readonly ledger: Ledger<SocketRecord>
  countDescriptors(): DescriptorLoad | null
  reclaim(record: SocketRecord, action: Action): void
}

/** Under pressure nobody waits for a graceful end: the descriptor is what is missing. */
const REMEDY_AT_THE_TOP: Action = 'destroy'

/** @param settings `null`: only measures, for the report */
export function createPressureWatch(settings: PressureSettings | null, hooks: PressureHooks): PressureWatch {
  let pressure = 0
  let reclaimed = 0

  function count(): { open: number | null; limit: number | null } {
    const counted = hooks.countDescriptors()
    return { open: counted?.open ?? null, limit: counted?.softLimit ?? null }
  }

  function suspects(): SocketRecord[] {
    return [...hooks.ledger].filter(
      (record) =>
        !record.isExempt &&
        record.case !== null &&
        record.case.acted === 'no' &&
        (record.case.verdict === 'suspect' || record.case.verdict === 'leaked'),
    )
  }

  function load(found: readonly SocketRecord[]): {
    usage: number | null
    limit: number | null
    suspects: number
  } {
    const { open, limit } = count()
    return { usage: open === null || limit === null ? null : open / limit, limit, suspects: found.length }
  }

  return {
    graceMs: (graceMs) => (settings === null ? graceMs : graceUnderPressure(graceMs, pressure, settings)),
    measure() {
      if (settings === null) return
      const found = suspects()
      const now = load(found)
      pressure = pressureOf(now, settings)
      if (pressure < 1) return
      const tooMany = Math.min(found.length, Math.max(1, overload(now, now.limit, settings)))
      for (const record of found.sort(byUrgency).slice(0, tooMany)) {
        reclaimed += 1
        hooks.reclaim(record, REMEDY_AT_THE_TOP)
      }
    },
    report() {
      const { open, limit } = count()
      return {
        openDescriptors: open,
        descriptorLimit: limit,
        pressure: settings === null ? null : pressure,
        reclaimed,
      }
    },
  }
}

function byUrgency(a: SocketRecord, b: SocketRecord): number {
  return reclaimOrder(urgencyOf(a), urgencyOf(b))
}

function urgencyOf({ case: kase }: SocketRecord): Parameters<typeof reclaimOrder>[0] {
  return {
    condition: kase?.condition ?? null,
    disconnected: (kase?.deadTurn ?? -1) !== -1,
    sinceMs: kase?.sinceMs ?? 0,
  }
}
