// The judgement: pure, from a socket's trouble and an event to the next trouble and the effects. A healthy socket has
// none. Times are milliseconds of one monotonic clock. Grace is idle time: each byte in either direction restarts it.
import { blankTrouble, excuse, lookAt, type Trouble, type Look, type Observation } from './trouble.js'
import { isProvablyLossFree } from './classify.js'
import { remedyLadder, type ActionChooser, type Deed } from './policy.js'
import type { Action, EventType, Verdict } from '../core/vocabulary.js'

export type { Trouble } from './trouble.js'

export interface JudgementPolicy {
  readonly graceMs: number
  readonly maxHalfClosedMs: number | null
  readonly action: Action | ActionChooser
  readonly escalateMs: number
  readonly reclaimDead: boolean
  readonly stallGraceMs: number
  readonly exempt: boolean
}

export type LifecycleEvent =
  | ({ readonly type: 'observed' } & Observation)
  /** `died`: with an error that says so. */
  | { readonly type: 'closed'; readonly nowMs: number; readonly died?: boolean }
  | { readonly type: 'blocked'; readonly nowMs: number; readonly blockedMs: number }
  | {
      readonly type: 'decided'
      readonly nowMs: number
      readonly action: Action
      readonly localEnded: boolean
    }

export type Effect =
  | { readonly type: 'announce'; readonly event: EventType }
  | { readonly type: 'keep-alive'; readonly on: boolean }
  | { readonly type: 'decide' }
  | { readonly type: 'deed'; readonly deed: Deed }

export interface Step {
  readonly state: Trouble | null
  readonly effects: readonly Effect[]
}

/** A healthy close takes a round trip, so a socket must be idle this long to be a suspect. */
export const SETTLE_MS = 1000

const NO_EFFECTS: readonly Effect[] = []

export function step(state: Trouble | null, event: LifecycleEvent, policy: JudgementPolicy): Step {
  if (state !== null && state.isClosed) return { state, effects: NO_EFFECTS }
  switch (event.type) {
    case 'observed':
      return observed(state, event, policy)
    case 'closed':
      return event.died === true ? died(state ?? blankTrouble(event.nowMs)) : closed(state)
    case 'blocked':
      return {
        state: state === null ? null : excuse(state, event.nowMs, event.blockedMs),
        effects: NO_EFFECTS,
      }
    case 'decided':
      return decided(state ?? blankTrouble(event.nowMs), event, policy)
  }
}

function observed(previous: Trouble | null, observation: Observation, policy: JudgementPolicy): Step {
  const look = lookAt(previous, observation, settleMs(policy))
  return probePeer(judge(look, observation, policy), observation, policy)
}

function judge(look: Look, { facts, nowMs, turn }: Observation, policy: JudgementPolicy): Step {
  const { state, found, progressed, restMs } = look
  if (found === null) return heal(state, nowMs, policy)
  if (state.acted !== 'no') return escalate(state, nowMs, policy)
  if (policy.reclaimDead && state.deadTurn !== -1 && turn > state.deadTurn && isProvablyLossFree(facts)) {
    const ladder = remedyLadder('destroy', 'reset-unseen', facts.localEnded)
    return escalate({ ...state, acted: 'dead', ladder, nextDeedMs: nowMs }, nowMs, policy)
  }
  if (policy.exempt) return { state: { ...state, verdict: 'exempt' }, effects: NO_EFFECTS }
  if (progressed && state.verdict === 'leaked' && !isOverCap(state, nowMs, policy))
    return recover(state, nowMs)
  return found.isStall ? stall(state, nowMs, restMs, policy) : accuse(state, nowMs, restMs, policy)
}

// A connection that is open both ways is announced as stalled after its grace, without being a suspect first.
function stall(state: Trouble, nowMs: number, restMs: number, policy: JudgementPolicy): Step {
  if (state.verdict === 'stalled') return { state, effects: NO_EFFECTS }
  if (state.verdict === 'leaked') return recover({ ...state, restSinceMs: nowMs }, nowMs)
  if (restMs >= policy.stallGraceMs) {
    const effects: Effect[] = [{ type: 'announce', event: 'stalled' }, { type: 'decide' }]
    return { state: { ...state, verdict: 'stalled' }, effects }
  }
  const verdict = state.verdict === 'suspect' ? 'none' : faded(state, nowMs, policy)
  return { state: { ...state, verdict }, effects: NO_EFFECTS }
}

function accuse(state: Trouble, nowMs: number, restMs: number, policy: JudgementPolicy): Step {
  const effects: Effect[] = []
  const overCap = isOverCap(state, nowMs, policy)
  let verdict = faded(state, nowMs, policy)
  if ((verdict === 'none' || verdict === 'recovered') && (overCap || restMs >= settleMs(policy))) {
    verdict = 'suspect'
    effects.push({ type: 'announce', event: 'suspect' })
  }
  if (verdict === 'suspect' && (overCap || restMs >= policy.graceMs)) {
    verdict = 'leaked'
    effects.push({ type: 'announce', event: 'leaked' }, { type: 'decide' })
  }
  return { state: { ...state, verdict }, effects }
}

function isOverCap({ halfClosedMs }: Trouble, nowMs: number, { maxHalfClosedMs }: JudgementPolicy): boolean {
  return maxHalfClosedMs !== null && halfClosedMs !== -1 && nowMs - halfClosedMs >= maxHalfClosedMs
}

function settleMs({ graceMs }: JudgementPolicy): number {
  return Math.min(SETTLE_MS, graceMs / 2)
}

export function nextDueMs(state: Trouble, policy: JudgementPolicy): number {
  const { graceMs, stallGraceMs, maxHalfClosedMs, exempt } = policy
  if (state.isClosed) return Infinity
  if (state.acted !== 'no') return state.ladder.length === 0 ? Infinity : state.nextDeedMs
  if (exempt || state.verdict === 'leaked' || state.verdict === 'stalled') return Infinity
  if (state.isStall) return state.restSinceMs + stallGraceMs
  const capMs =
    maxHalfClosedMs === null || state.halfClosedMs === -1 ? Infinity : state.halfClosedMs + maxHalfClosedMs
  return state.verdict === 'suspect' ? Math.min(capMs, state.restSinceMs + graceMs) : capMs
}

function decided(
  state: Trouble,
  event: Extract<LifecycleEvent, { type: 'decided' }>,
  policy: JudgementPolicy,
): Step {
  const ladder = remedyLadder(event.action, state.condition ?? 'eof-ignored', event.localEnded)
  if (ladder.length === 0) return { state, effects: NO_EFFECTS }
  return escalate({ ...state, acted: 'reclaim', ladder, nextDeedMs: event.nowMs }, event.nowMs, policy)
}

function escalate(state: Trouble, nowMs: number, policy: JudgementPolicy): Step {
  const [deed, ...rest] = state.ladder
  if (deed === undefined || nowMs < state.nextDeedMs) return { state, effects: NO_EFFECTS }
  const next: Trouble = { ...state, ladder: rest, nextDeedMs: nowMs + policy.escalateMs }
  return { state: next, effects: [{ type: 'deed', deed }] }
}

function heal(state: Trouble, nowMs: number, policy: JudgementPolicy): Step {
  if (state.acted !== 'no') return escalate(state, nowMs, policy)
  if (state.verdict === 'leaked') return recover(state, nowMs)
  const verdict = policy.exempt
    ? 'exempt'
    : state.verdict === 'suspect'
      ? 'none'
      : faded(state, nowMs, policy)
  return { state: { ...state, verdict }, effects: NO_EFFECTS }
}

function faded({ verdict, recoveredMs }: Trouble, nowMs: number, policy: JudgementPolicy): Verdict {
  if (verdict === 'recovered') return nowMs - recoveredMs >= policy.graceMs ? 'none' : verdict
  return verdict === 'exempt' || verdict === 'stalled' ? 'none' : verdict
}

function recover(state: Trouble, nowMs: number): Step {
  const sinceMs = state.condition === null ? nowMs : state.sinceMs
  return {
    state: { ...state, verdict: 'recovered', recoveredMs: nowMs, sinceMs },
    effects: [{ type: 'announce', event: 'recovered' }],
  }
}

// Keep-alive tells a legal half-close, whose peer answers, from a dead peer. It goes on for suspects, leaks and what
// nobody has read for a grace, where a vanished peer would not be noticed.
function probePeer(step: Step, { facts, nowMs }: Observation, policy: JudgementPolicy): Step {
  const { state, effects } = step
  if (state === null || state.acted !== 'no') return step
  const isBlind = facts.readable && !facts.reading && nowMs - state.progressMs >= Math.max(1, policy.graceMs)
  const on = !policy.exempt && (state.verdict === 'suspect' || state.verdict === 'leaked' || isBlind)
  if (on === state.probing) return step
  return { state: { ...state, probing: on }, effects: [{ type: 'keep-alive', on }, ...effects] }
}

function closed(state: Trouble | null): Step {
  if (state === null) return { state, effects: NO_EFFECTS }
  const event = outcomeOf(state)
  if (event === null) return { state: { ...state, isClosed: true }, effects: NO_EFFECTS }
  return { state: { ...state, verdict: event, isClosed: true }, effects: [{ type: 'announce', event }] }
}

function died(state: Trouble): Step {
  if (state.acted !== 'no') return closed(state)
  const deadTurn = Math.max(state.deadTurn, 0)
  return {
    state: { ...state, verdict: 'dead', seenBy: 'stream', deadTurn, isClosed: true },
    effects: [{ type: 'announce', event: 'dead' }],
  }
}

function outcomeOf({ acted, verdict }: Trouble): EventType | null {
  switch (acted) {
    case 'dead':
      return 'dead'
    case 'reclaim':
      return 'reclaimed'
    case 'no':
      return verdict === 'leaked' ? 'recovered' : null
  }
}
