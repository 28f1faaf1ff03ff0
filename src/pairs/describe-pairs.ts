import { agoMs } from '../core/durations.js'
import { SETTLE_MS } from '../judge/lifecycle.js'
import { pairUp } from '../report/pair-lines.js'
import type { PairReport, PairSide, PartnerName } from '../core/report.js'
import type { SocketRecord } from '../socket/record.js'
import { isInTrouble, type Left, type Pairs } from './pairs.js'

export interface PairQuery {
  readonly all: boolean
  readonly limit: number
}

export interface PairView {
  readonly pairs: Pairs
  readonly nowMs: number
  identify(record: SocketRecord): PartnerName
}

// Of the pairs beyond `limit` only the start is computed: an abort storm can leave thousands.
export function describePairs(
  records: Iterable<SocketRecord>,
  view: PairView,
  { all, limit }: PairQuery,
): PairReport[] {
  const { pairs, nowMs } = view
  const found = new Map<string, Found>()

  function add(ids: [number, number], beganMs: number, describe: () => PairReport): void {
    const key = ids.sort((a, b) => a - b).join(' ')
    if (!found.has(key)) found.set(key, { beganMs, describe })
  }

  for (const record of records) {
    const left = pairs.leftOf(record)
    if (left !== null && (all || nowMs - left.sinceMs >= SETTLE_MS)) {
      const beganMs = Math.min(left.sinceMs, beginningOf(record))
      add([left.who.id, record.id], beganMs, () => describeLeft(record, left, view))
    }
    if (!all && !isInTrouble(record)) continue
    const ties = pairs.ties()
    for (const partner of ties.of(record)) {
      const { record: other, by } = partner
      add([record.id, other.id], Math.min(beginningOf(record), beginningOf(other)), () =>
        pairUp(sideOf(record, view), sideOf(other, view), by, !ties.isThereFor(record, partner)),
      )
    }
  }
  return [...found.values()]
    .sort((a, b) => (a.beganMs === b.beganMs ? 0 : a.beganMs - b.beganMs))
    .slice(0, limit)
    .map(({ describe }) => describe())
}

export function describeLeft(record: SocketRecord, left: Left, view: PairView): PairReport {
  return pairUp(goneSide(left, view.nowMs), sideOf(record, view), left.by)
}

function sideOf(record: SocketRecord, view: PairView): PairSide {
  const { pairs, nowMs } = view
  const { trouble, peerEndedMs } = record
  const throughput = pairs.throughputOf(record)
  const beganMs = beginningOf(record)
  return {
    ...view.identify(record),
    state: peerEndedMs !== 0 ? 'ended' : 'open',
    condition: trouble?.condition ?? null,
    sinceMs: beganMs === Infinity ? null : agoMs(beganMs, nowMs),
    bytesPerSecond: throughput?.bytesPerSecond ?? null,
    idleMs: throughput === null ? null : agoMs(throughput.lastMovedMs, nowMs),
  }
}

export function countParted(pairs: Pairs, nowMs: number): number {
  let count = 0
  for (const { partner, sinceMs } of pairs.lefts()) {
    if (partner === null && nowMs - sinceMs >= SETTLE_MS) count += 1
  }
  return count
}

interface Found {
  readonly beganMs: number
  readonly describe: () => PairReport
}

function beginningOf({ trouble, peerEndedMs }: SocketRecord): number {
  if (peerEndedMs !== 0) return peerEndedMs
  return trouble === null || trouble.condition === null ? Infinity : trouble.sinceMs
}

function goneSide({ who, partner, sinceMs }: Left, nowMs: number): PairSide {
  return {
    ...who,
    state: partner === null ? 'closed' : 'ended',
    condition: partner?.trouble?.condition ?? null,
    sinceMs: agoMs(sinceMs, nowMs),
    bytesPerSecond: null,
    idleMs: null,
  }
}
