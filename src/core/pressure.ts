/**
 * Pressure: as descriptors run out, half-closed sockets have to hurry. Grace shrinks in straight proportion between two
 * fractions of the limit; at the top the oldest suspects go first, in the order in which least is lost.
 */
import type { Condition } from './vocabulary.js'

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
