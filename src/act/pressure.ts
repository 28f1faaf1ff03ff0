// Grace shrinks linearly between two shares of the descriptor limit; at the upper one the oldest suspects are
// reclaimed. A flood can reach the limit between two sweeps, so each new socket is compared with the last count: by the
// number of tracked sockets and by its descriptor, the lowest free one (POSIX, 2.14), so at least as many are open.
import type { Ledger } from '../core/ledger.js'
import type { PressureReport } from '../core/report.js'
import type { SocketRecord } from '../socket/record.js'
import type { Action, Condition } from '../core/vocabulary.js'

export interface PressureSettings {
  readonly from: number
  readonly to: number
  readonly floorMs: number
  readonly maxSuspects: number | null
}

export interface Load {
  readonly usage: number | null
  readonly suspects: number
}

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

export function reclaimOrder(a: Candidate, b: Candidate): number {
  return rankOf(a) - rankOf(b) || a.sinceMs - b.sinceMs
}

function rankOf({ condition, disconnected }: Candidate): number {
  if (disconnected) return 0
  if (condition === 'fin-wait') return 1
  return condition === 'eof-ignored' ? 2 : 3
}

export function overload(load: Load, limit: number | null, settings: PressureSettings): number {
  const bySuspects = settings.maxSuspects === null ? 0 : load.suspects - settings.maxSuspects
  const byDescriptors =
    load.usage === null || limit === null || load.usage < settings.to
      ? 0
      : Math.ceil((load.usage - settings.from) * limit)
  return Math.max(0, bySuspects, byDescriptors)
}

export interface DescriptorLoad {
  readonly open: number
  readonly softLimit: number | null
}

export interface PressureWatch {
  graceMs(graceMs: number): number
  measure(): void
  onDescriptor(fd: number): void
  report(): PressureReport
}

export interface PressureHooks {
  readonly ledger: Ledger<SocketRecord>
  countDescriptors(): DescriptorLoad | null
  reclaim(record: SocketRecord, action: Action): void
  hurry(delayMs: number): void
}

const REMEDY_AT_THE_TOP: Action = 'destroy'

const LOOK_SOON_MS = 50
/** Extra sweeps while a flood rises from the lower mark to the upper one, and again beyond that. */
const LOOKS_ON_THE_WAY = 8

export function createPressureWatch(settings: PressureSettings | null, hooks: PressureHooks): PressureWatch {
  let pressure = 0
  let reclaimed = 0
  /** No count is needed below this descriptor and this number of tracked sockets. */
  let nextFd = Infinity
  let nextSize = Infinity

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

  function planNextCount({ open, limit }: ReturnType<typeof count>): void {
    if (settings === null || open === null || limit === null) return
    const bottom = settings.from * limit
    const top = settings.to * limit
    const step = Math.max(1, (open < top ? top - bottom : limit - top) / LOOKS_ON_THE_WAY)
    nextFd = Math.max(bottom, open < top ? Math.min(open + step, top) : open + step)
    nextSize = hooks.ledger.size + nextFd - open
  }

  function measure(): void {
    if (settings === null) return
    const found = suspects()
    const { open, limit } = count()
    const load = { usage: open === null || limit === null ? null : open / limit, suspects: found.length }
    pressure = pressureOf(load, settings)
    if (pressure < 1) {
      planNextCount({ open, limit })
      return
    }
    const tooMany = Math.max(1, overload(load, limit, settings))
    for (const record of found.sort(byUrgency).slice(0, tooMany)) {
      reclaimed += 1
      hooks.reclaim(record, REMEDY_AT_THE_TOP)
    }
    planNextCount(count())
  }

  if (settings !== null) planNextCount(count())

  return {
    measure,
    onDescriptor(fd) {
      if (fd < nextFd && hooks.ledger.size < nextSize) return
      measure()
      hooks.hurry(LOOK_SOON_MS)
    },
    graceMs: (graceMs) => (settings === null ? graceMs : graceUnderPressure(graceMs, pressure, settings)),
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
