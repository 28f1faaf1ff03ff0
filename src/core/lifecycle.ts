/**
 * The judgement: one pure function from a socket's case and an event to the next case and the effects to carry out.
 *
 * A case exists only while something is odd about a socket; a healthy one has none. All times are milliseconds on one
 * monotonic clock. Grace is idle time: every byte that moves, in either direction, starts it again.
 */
import { blankCase, lookAt, type Case, type Observation } from './case.js'
import { isProvablyLossFree } from './classify.js'
import type { Facts } from './facts.js'
import { remedyLadder, type ActionChooser, type Deed } from './policy.js'
import type { Action, EventType } from './vocabulary.js'

export type { Case } from './case.js'

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

export type LifecycleEvent =
  | ({ readonly type: 'observed' } & Observation)
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

function observed(previous: Case | null, observation: Observation, policy: JudgementPolicy): Step {
  const { facts, nowMs, turn } = observation
  const settleMs = Math.min(SETTLE_MS, policy.graceMs / 2)
  const { state: next, found, progressed, settled } = lookAt(previous, observation, settleMs)
  if (found === null) return heal(next, facts, nowMs, policy)
  if (next.acted !== 'no') return escalate(next, nowMs, policy)
  if (policy.reclaimDead && next.deadTurn !== -1 && turn > next.deadTurn && isProvablyLossFree(facts)) {
    return { state: { ...next, acted: 'dead' }, effects: [{ type: 'deed', deed: 'destroy' }] }
  }
  if (progressed && next.verdict === 'leaked' && !isOverCap(next, nowMs, policy)) return recover(next, nowMs)
  return judge(next, nowMs, settled, policy)
}

/** Suspect, then leaked; both at once when grace has already passed at the first look. */
function judge(state: Case, nowMs: number, settled: boolean, policy: JudgementPolicy): Step {
  if (policy.exempt) return { state: { ...state, verdict: 'exempt' }, effects: NO_EFFECTS }
  const effects: Effect[] = []
  const overCap = isOverCap(state, nowMs, policy)
  const overdue = overCap || (settled && nowMs - state.progressMs >= policy.graceMs)
  let verdict = state.verdict
  const isCalm = verdict === 'none' || verdict === 'recovered' || verdict === 'exempt'
  if (isCalm && (settled || overCap)) {
    verdict = 'suspect'
    effects.push({ type: 'keep-alive', on: true }, { type: 'announce', event: 'suspect' })
  }
  if (verdict === 'suspect' && overdue) {
    verdict = 'leaked'
    effects.push({ type: 'announce', event: 'leaked' }, { type: 'decide' })
  }
  return { state: { ...state, verdict }, effects }
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
