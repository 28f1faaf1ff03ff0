/**
 * Pressure: as descriptors run out, half-closed sockets have to hurry. Grace shrinks in straight proportion between two shares
 * of the limit; at the top the oldest suspects are reclaimed, before accept() and connect() fail with EMFILE.
 */
import type { Ledger } from '../core/ledger.js'
import type { PressureReport } from '../core/report.js'
import type { SocketRecord } from '../socket/record.js'
import type { Action, Condition } from '../core/vocabulary.js'

export interface PressureSettings {
  /** Share of the limit in use from which grace shrinks. */
  readonly from: number
  /** Share of the limit in use at which only `floorMs` is left. */
  readonly to: number
  readonly floorMs: number
  /** The most suspects that may wait out their grace at the same time. */
  readonly maxSuspects: number | null
}

export interface Load {
  /** Open descriptors against the limit, 0 to 1; `null` where they can't be counted. */
  readonly usage: number | null
  readonly suspects: number
}

/** How hard the process is pressed: 0 not at all, 1 at the top. */
export function pressureOf(load: Load, settings: PressureSettings): number {
  const byDescriptors = load.usage === null ? 0 : (load.usage - settings.from) / (settings.to - settings.from)
  const bySuspects = settings.maxSuspects !== null && load.suspects > settings.maxSuspects ? 1 : 0
  return Math.min(1, Math.max(0, byDescriptors, bySuspects))
}

export function graceUnderPressure(graceMs: number, pressure: number, { floorMs }: PressureSettings): number {
  if (pressure === 0 || graceMs <= floorMs) return graceMs
  return Math.round(graceMs - pressure * (graceMs - floorMs))
}

interface Candidate {
  readonly condition: Condition | null
  readonly disconnected: boolean
  readonly sinceMs: number
}

/** Dead first, then `fin-wait`, then `eof-ignored`, then the others; the oldest first within each. */
export function reclaimOrder(a: Candidate, b: Candidate): number {
  return rankOf(a) - rankOf(b) || a.sinceMs - b.sinceMs
}

function rankOf({ condition, disconnected }: Candidate): number {
  if (disconnected) return 0
  if (condition === 'fin-wait') return 1
  return condition === 'eof-ignored' ? 2 : 3
}

/** How many must go at the top of the pressure: enough to come back under it. */
export function overload(load: Load, limit: number | null, settings: PressureSettings): number {
  const bySuspects = settings.maxSuspects === null ? 0 : load.suspects - settings.maxSuspects
  const byDescriptors =
    load.usage === null || limit === null ? 0 : Math.ceil((load.usage - settings.to) * limit)
  return Math.max(0, bySuspects, byDescriptors)
}

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
        record.trouble !== null &&
        record.trouble.acted === 'no' &&
        (record.trouble.verdict === 'suspect' || record.trouble.verdict === 'leaked'),
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

function urgencyOf({ trouble }: SocketRecord): Parameters<typeof reclaimOrder>[0] {
  return {
    condition: trouble?.condition ?? null,
    disconnected: (trouble?.deadTurn ?? -1) !== -1,
    sinceMs: trouble?.sinceMs ?? 0,
  }
}
