/**
 * The judgement: one pure function from a socket's case and an event to the next case and the effects to carry out.
 *
 * A case exists only while something is odd about a socket; a healthy one has none. All times are milliseconds on one
 * monotonic clock. Grace is idle time: every byte that moves, in either direction, starts it again.
 */
import { classify, isProvablyLossFree, type Classification } from './classify.js'
import type { Facts } from './facts.js'
import { remedyLadder, type ActionChooser, type Deed } from './policy.js'
import type { Action, Condition, EventType, Sensor, Verdict } from './vocabulary.js'

/** The part of a socket's policy that judgement needs. */
export interface JudgementPolicy {
  readonly graceMs: number
  readonly maxHalfClosedMs: number | null
  readonly action: Action | ActionChooser
  readonly escalateMs: number
  readonly reclaimDead: boolean
  /** The application said that this half-close is meant: no grace runs, only proven death is acted on. */
  readonly exempt: boolean
}

export interface Case {
  readonly verdict: Verdict
  readonly condition: Condition | null
  readonly seenBy: Sensor
  /** When the condition began. */
  readonly sinceMs: number
  /** When a byte was last seen to have moved. */
  readonly progressMs: number
  /** Counters of the previous observation, to see progress. */
  readonly bytesRead: number
  readonly bytesAccepted: number
  readonly unreadBytes: number
  /** The event-loop turn in which the connection was first seen dead; -1 while it is not. */
  readonly deadTurn: number
  /** What remains to be done, and when the next deed is due. */
  readonly ladder: readonly Deed[]
  readonly nextDeedMs: number
  /** The guard has acted: whatever closes the socket now, it is `reclaimed` (or `dead`). */
  readonly acted: 'no' | 'reclaim' | 'dead'
}

export type LifecycleEvent =
  | {
      readonly type: 'observed'
      readonly nowMs: number
      /** Counts event-loop turns, so that two looks within one turn are one sample. */
      readonly turn: number
      readonly facts: Facts
      /** When the first side ended as the seam saw it, or `null`. */
      readonly endedMs: number | null
    }
  | { readonly type: 'closed'; readonly nowMs: number }
  /** The event loop was blocked: in that time nobody could have read, so it does not count as idle. */
  | { readonly type: 'stalled'; readonly nowMs: number; readonly blockedMs: number }
  | {
      readonly type: 'decided'
      readonly nowMs: number
      readonly action: Action
      readonly localEnded: boolean
    }

export type Effect =
  | { readonly type: 'announce'; readonly event: EventType }
  | { readonly type: 'keep-alive'; readonly on: boolean }
  /** Ask the policy what to do, then come back with a `decided` event. */
  | { readonly type: 'decide' }
  | { readonly type: 'deed'; readonly deed: Deed }

export interface Step {
  readonly state: Case | null
  readonly effects: readonly Effect[]
}

/** A healthy close takes a round trip: nothing is called a suspect before it has been idle for this long. */
export const SETTLE_MS = 1000

const NO_EFFECTS: readonly Effect[] = []
const PROBE_PEER: readonly Effect[] = [{ type: 'keep-alive', on: true }]
const NO_DEEDS: readonly Deed[] = []

export function step(state: Case | null, event: LifecycleEvent, policy: JudgementPolicy): Step {
  switch (event.type) {
    case 'observed':
      return observed(state, event, policy)
    case 'closed':
      return closed(state)
    case 'stalled':
      return {
        state: state === null ? null : excuse(state, event.nowMs, event.blockedMs),
        effects: NO_EFFECTS,
      }
    case 'decided':
      return decided(state ?? blankCase(event.nowMs), event, policy)
  }
}

function observed(
  previous: Case | null,
  event: Extract<LifecycleEvent, { type: 'observed' }>,
  policy: JudgementPolicy,
): Step {
  const { facts, nowMs } = event
  const state = previous ?? openCase(event)
  const progressed = hasProgressed(state, facts)
  const progressMs = progressed ? nowMs : state.progressMs
  const idleMs = nowMs - progressMs
  const settled = idleMs >= Math.min(SETTLE_MS, policy.graceMs / 2)
  const found = classify(facts, !progressed && settled)
  const next: Case = {
    ...state,
    ...nameOf(state, found, event),
    progressMs,
    bytesRead: facts.bytesRead,
    bytesAccepted: facts.bytesAccepted,
    unreadBytes: facts.unreadBytes,
    deadTurn: facts.disconnected !== true ? -1 : state.deadTurn === -1 ? event.turn : state.deadTurn,
  }
  if (found === null) return heal(next, facts, nowMs, policy)
  if (next.acted !== 'no') return escalate(next, nowMs, policy)
  if (policy.reclaimDead && next.deadTurn !== -1 && event.turn > next.deadTurn && isProvablyLossFree(facts)) {
    return { state: { ...next, acted: 'dead' }, effects: [{ type: 'deed', deed: 'destroy' }] }
  }
  if (progressed && next.verdict === 'leaked' && !isOverCap(next, nowMs, policy)) return recover(next, nowMs)
  return judge(next, nowMs, settled, policy)
}

/** Suspect, then leaked; both at once when grace has already passed at the first look. */
function judge(state: Case, nowMs: number, settled: boolean, policy: JudgementPolicy): Step {
  if (policy.exempt) return { state: { ...state, verdict: 'exempt' }, effects: NO_EFFECTS }
  const effects: Effect[] = []
  let verdict = state.verdict
  const isCalm = verdict === 'none' || verdict === 'recovered' || verdict === 'exempt'
  if (isCalm && (settled || isOverCap(state, nowMs, policy))) {
    verdict = 'suspect'
    effects.push({ type: 'keep-alive', on: true }, { type: 'announce', event: 'suspect' })
  }
  if (verdict === 'suspect' && isOverdue(state, nowMs, policy)) {
    verdict = 'leaked'
    effects.push({ type: 'announce', event: 'leaked' }, { type: 'decide' })
  }
  return { state: { ...state, verdict }, effects }
}

function isOverdue(state: Case, nowMs: number, policy: JudgementPolicy): boolean {
  return nowMs - state.progressMs >= policy.graceMs || isOverCap(state, nowMs, policy)
}

/** The absolute cap on a half-close, progress or not. */
function isOverCap(state: Case, nowMs: number, { maxHalfClosedMs }: JudgementPolicy): boolean {
  const isHalfClosed = state.condition !== 'window-closed' && state.condition !== 'self-connected'
  return maxHalfClosedMs !== null && isHalfClosed && nowMs - state.sinceMs >= maxHalfClosedMs
}

function decided(
  state: Case,
  event: Extract<LifecycleEvent, { type: 'decided' }>,
  policy: JudgementPolicy,
): Step {
  const ladder = remedyLadder(event.action, state.condition ?? 'eof-ignored', event.localEnded)
  if (ladder.length === 0) return { state, effects: NO_EFFECTS }
  return escalate({ ...state, acted: 'reclaim', ladder, nextDeedMs: event.nowMs }, event.nowMs, policy)
}

function escalate(state: Case, nowMs: number, policy: JudgementPolicy): Step {
  const [deed, ...rest] = state.ladder
  if (deed === undefined || nowMs < state.nextDeedMs) return { state, effects: NO_EFFECTS }
  const next: Case = { ...state, ladder: rest, nextDeedMs: nowMs + policy.escalateMs }
  return { state: next, effects: [{ type: 'deed', deed }] }
}

function excuse(state: Case, nowMs: number, blockedMs: number): Case {
  return { ...state, progressMs: Math.min(nowMs, state.progressMs + blockedMs) }
}

/** Nothing is odd any more. A leak that healed is told once and stays visible for one grace period. */
function heal(state: Case, facts: Facts, nowMs: number, policy: JudgementPolicy): Step {
  if (state.acted !== 'no') return escalate(state, nowMs, policy)
  switch (state.verdict) {
    case 'leaked':
      return recover(state, nowMs)
    case 'suspect':
      return { state: { ...state, verdict: 'none' }, effects: [{ type: 'keep-alive', on: false }] }
    case 'recovered':
      return nowMs - state.sinceMs < policy.graceMs
        ? { state, effects: NO_EFFECTS }
        : { state: null, effects: NO_EFFECTS }
    default:
      return { state, effects: isLongBlind(facts, state, nowMs, policy) ? PROBE_PEER : NO_EFFECTS }
  }
}

/** Nobody reads and nothing moves: no fault yet, but without keep-alive a vanished peer would never be found out. */
function isLongBlind(facts: Facts, state: Case, nowMs: number, policy: JudgementPolicy): boolean {
  return facts.readable && !facts.reading && nowMs - state.progressMs >= policy.graceMs
}

function recover(state: Case, nowMs: number): Step {
  return {
    state: { ...state, verdict: 'recovered', sinceMs: state.condition === null ? nowMs : state.sinceMs },
    effects: [
      { type: 'keep-alive', on: false },
      { type: 'announce', event: 'recovered' },
    ],
  }
}

function closed(state: Case | null): Step {
  if (state === null) return { state, effects: NO_EFFECTS }
  const event: EventType | null =
    state.acted === 'dead'
      ? 'dead'
      : state.acted === 'reclaim'
        ? 'reclaimed'
        : state.verdict === 'leaked'
          ? 'recovered'
          : null
  if (event === null) return { state: null, effects: NO_EFFECTS }
  return { state: { ...state, verdict: event }, effects: [{ type: 'announce', event }] }
}

function openCase({ facts, nowMs, endedMs }: Extract<LifecycleEvent, { type: 'observed' }>): Case {
  return {
    ...blankCase(nowMs),
    sinceMs: endedMs ?? nowMs,
    bytesRead: facts.bytesRead,
    bytesAccepted: facts.bytesAccepted,
    unreadBytes: facts.unreadBytes,
  }
}

/** `progressMs` is now, whenever a side ended: bytes may have moved since, and idle time is only claimed where it was watched. */
function blankCase(nowMs: number): Case {
  return {
    verdict: 'none',
    condition: null,
    seenBy: 'stream',
    sinceMs: nowMs,
    progressMs: nowMs,
    bytesRead: 0,
    bytesAccepted: 0,
    unreadBytes: 0,
    deadTurn: -1,
    ladder: NO_DEEDS,
    nextDeedMs: 0,
    acted: 'no',
  }
}

/** A byte came in, a byte left for good, or the application took something out of the read buffer. */
function hasProgressed(state: Case, facts: Facts): boolean {
  return (
    facts.bytesRead > state.bytesRead ||
    facts.bytesAccepted > state.bytesAccepted ||
    facts.unreadBytes < state.unreadBytes
  )
}

/**
 * What the trouble is called, and since when. It keeps its beginning even when a better sensor renames it, and once the
 * guard has acted it keeps its name too: our own `end()` must not make it look like another.
 */
function nameOf(
  state: Case,
  found: Classification | null,
  event: Extract<LifecycleEvent, { type: 'observed' }>,
): Pick<Case, 'condition' | 'seenBy' | 'sinceMs'> {
  const { condition, seenBy, sinceMs } = state
  if (state.acted !== 'no') return { condition, seenBy, sinceMs }
  if (found === null) return { condition: null, seenBy: 'stream', sinceMs }
  return { ...found, sinceMs: condition === null ? (event.endedMs ?? event.nowMs) : sinceMs }
}
