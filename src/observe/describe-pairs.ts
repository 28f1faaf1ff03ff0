/** Pairs of connections for a report: those of which one side has gone or is in trouble, or all. */
import { SETTLE_MS } from '../core/lifecycle.js'
import { pairUp, type PairReport, type PairSide } from '../core/pairs.js'
import { identifySocket } from './describe-socket.js'
import { leftOf, type Left } from './pairs/left.js'
import { isThereFor, partnersOf } from './pairs/ties.js'
import type { TrackedSocket } from './tracked-socket.js'

/** @param all healthy pairs too, and those that were parted only just now */
export function describePairs(records: Iterable<TrackedSocket>, nowMs: number, all: boolean): PairReport[] {
  const pairs = new Map<string, PairReport>()

  function add(a: PairSide, b: PairSide, by: PairReport['by'], isShared = false): void {
    const key = `${Math.min(a.id, b.id)} ${Math.max(a.id, b.id)}`
    if (!pairs.has(key)) pairs.set(key, pairUp(a, b, by, isShared))
  }

  for (const record of records) {
    const left = leftOf(record)
    if (left !== null && (all || nowMs - left.sinceMs >= SETTLE_MS)) {
      add(goneSide(left, nowMs), sideOf(record, nowMs), left.by)
    }
    if (!all && !isInTrouble(record)) continue
    for (const partner of partnersOf(record)) {
      const isShared = !isThereFor(record, partner)
      add(sideOf(record, nowMs), sideOf(partner.record, nowMs), partner.by, isShared)
    }
  }
  return [...pairs.values()]
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
  const sinceMs = isEnded ? peerEndedMs : condition === null ? null : kase!.sinceMs
  return {
    ...identifySocket(record),
    state: isEnded ? 'ended' : 'open',
    condition,
    sinceMs: sinceMs === null ? null : Math.round(nowMs - sinceMs),
    bytesPerSecond: origin?.flow?.bytesPerSecond ?? null,
    idleMs:
      origin?.flow === null || origin?.flow === undefined ? null : Math.round(origin.flow.idleMs(nowMs)),
  }
}
