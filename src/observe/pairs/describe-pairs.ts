/** Pairs of connections for a report: those of which one side has gone or is in trouble, or all. */
import { SETTLE_MS } from '../../core/lifecycle.js'
import { pairUp } from '../../core/pairs.js'
import type { PairReport, PairSide } from '../../core/report.js'
import { identifySocket } from '../describe-socket.js'
import { leftOf, type Left } from './left.js'
import { isThereFor, partnersOf } from './ties.js'
import type { TrackedSocket } from '../tracked-socket.js'

/**
 * Those that have lasted longest. Of the others, no more is asked than when it began: after a storm of aborts there are thousands.
 *
 * @param all healthy pairs too, and those that were parted only just now
 */
export function describePairs(
  records: Iterable<TrackedSocket>,
  nowMs: number,
  { all = false, limit }: { readonly all?: boolean | undefined; readonly limit: number },
): PairReport[] {
  const found = new Map<string, Found>()

  function add(ids: [number, number], beganMs: number, describe: () => PairReport): void {
    const key = ids.sort((a, b) => a - b).join(' ')
    if (!found.has(key)) found.set(key, { beganMs, describe })
  }

  for (const record of records) {
    const left = leftOf(record)
    if (left !== null && (all || nowMs - left.sinceMs >= SETTLE_MS)) {
      const beganMs = Math.min(left.sinceMs, beginningOf(record))
      add([left.who.id, record.id], beganMs, () =>
        pairUp(goneSide(left, nowMs), sideOf(record, nowMs), left.by),
      )
    }
    if (!all && !isInTrouble(record)) continue
    for (const partner of partnersOf(record)) {
      const { record: other, by } = partner
      add([record.id, other.id], Math.min(beginningOf(record), beginningOf(other)), () =>
        pairUp(sideOf(record, nowMs), sideOf(other, nowMs), by, !isThereFor(record, partner)),
      )
    }
  }
  return [...found.values()]
    .sort((a, b) => (a.beganMs === b.beganMs ? 0 : a.beganMs - b.beganMs))
    .slice(0, limit)
    .map(({ describe }) => describe())
}

/** Those of which one side has gone. */
export function countParted(records: Iterable<TrackedSocket>, nowMs: number): number {
  let count = 0
  for (const record of records) {
    const left = leftOf(record)
    if (left !== null && left.partner === null && nowMs - left.sinceMs >= SETTLE_MS) count += 1
  }
  return count
}

interface Found {
  /** When one of the two ended or got stuck; `Infinity` where neither did. */
  readonly beganMs: number
  readonly describe: () => PairReport
}

function beginningOf({ case: kase, peerEndedMs }: TrackedSocket): number {
  if (peerEndedMs !== 0) return peerEndedMs
  return kase === null || kase.condition === null ? Infinity : kase.sinceMs
}

function isInTrouble({ case: kase }: TrackedSocket): boolean {
  return kase !== null && (kase.verdict === 'suspect' || kase.verdict === 'leaked')
}

function goneSide({ who, partner, sinceMs }: Left, nowMs: number): PairSide {
  return {
    ...who,
    state: partner === null ? 'closed' : 'ended',
    condition: partner?.case?.condition ?? null,
    sinceMs: Math.round(nowMs - sinceMs),
    bytesPerSecond: null,
    idleMs: null,
  }
}

function sideOf(record: TrackedSocket, nowMs: number): PairSide {
  const { case: kase, peerEndedMs, origin } = record
  // The sweep looks no more once the trouble is over.
  origin?.flow?.look(record.socket, nowMs)
  const isEnded = peerEndedMs !== 0
  const condition = kase?.condition ?? null
  const beganMs = beginningOf(record)
  return {
    ...identifySocket(record),
    state: isEnded ? 'ended' : 'open',
    condition,
    sinceMs: beganMs === Infinity ? null : Math.round(nowMs - beganMs),
    bytesPerSecond: origin?.flow?.bytesPerSecond ?? null,
    idleMs:
      origin?.flow === null || origin?.flow === undefined ? null : Math.round(origin.flow.idleMs(nowMs)),
  }
}
