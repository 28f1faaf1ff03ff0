/** What is kept of an odd socket, and how an observation updates it. No judgement yet. */
import { classify, type Classification } from './classify.js'
import { phaseOf, type Facts } from './facts.js'
import type { KernelFacts } from '../core/kernel-facts.js'
import type { Deed } from './policy.js'
import type { Condition, Phase, Sensor, Verdict } from '../core/vocabulary.js'

export interface Trouble {
  readonly verdict: Verdict
  readonly condition: Condition | null
  readonly phase: Phase
  readonly seenBy: Sensor
  readonly isStall: boolean
  readonly sinceMs: number
  readonly progressMs: number
  // Start of the grace: the last byte or the beginning of the trouble, plus blocks of the event loop.
  readonly restSinceMs: number
  /** Start of the half-close for `maxHalfClosedMs`; -1 for none. */
  readonly halfClosedMs: number
  readonly bytesRead: number
  readonly bytesAccepted: number
  readonly unreadBytes: number
  readonly kernel: KernelFacts | null
  /** The event-loop turn in which the connection was first seen dead; -1 if it was not. */
  readonly deadTurn: number
  readonly ladder: readonly Deed[]
  readonly nextDeedMs: number
  readonly acted: 'no' | 'reclaim' | 'dead'
  readonly recoveredMs: number
  readonly probing: boolean
  readonly isClosed: boolean
}

export interface Observation {
  readonly nowMs: number
  /** Event-loop turns: two looks within one turn are one sample. */
  readonly turn: number
  readonly facts: Facts
  /** When the second side, or the only one, ended; `null` for none. */
  readonly endedMs: number | null
  readonly abandonedMs: number | null
}

export interface Look {
  readonly state: Trouble
  readonly found: Classification | null
  /** A byte has moved since the previous look, and somebody waits for it. */
  readonly progressed: boolean
  readonly restMs: number
}

export function lookAt(previous: Trouble | null, observation: Observation, settleMs: number): Look {
  const { facts, nowMs, turn } = observation
  const state = previous ?? openTrouble(observation)
  const held = facts.session?.held ?? null
  const movedMs = Math.min(held?.movedMs ?? nowMs, nowMs)
  const moved = held === null ? hasProgressed(state, facts) : movedMs > state.progressMs
  const progressMs = moved ? movedMs : state.progressMs
  // Idleness takes two looks.
  const isIdle = !moved && previous !== null && nowMs - state.restSinceMs >= settleMs
  const found = classify(facts, isIdle)
  const name = nameOf({ ...state, progressMs }, found, observation, previous === null)
  const isForNobody = name.condition === 'abandoned' && facts.abandoned === 'for-nobody'
  const progressed = moved && !isForNobody
  const restSinceMs = Math.max(state.restSinceMs, isForNobody ? 0 : progressMs, name.sinceMs)
  const next: Trouble = {
    ...state,
    ...name,
    phase: phaseOf(facts),
    progressMs,
    restSinceMs,
    bytesRead: facts.bytesRead,
    bytesAccepted: facts.bytesAccepted,
    unreadBytes: facts.unreadBytes,
    kernel: facts.kernel,
    deadTurn: facts.disconnected !== true ? -1 : state.deadTurn === -1 ? turn : state.deadTurn,
  }
  return { state: next, found, progressed, restMs: progressed ? -1 : nowMs - restSinceMs }
}

function openTrouble({ facts, nowMs, endedMs }: Observation): Trouble {
  return {
    ...blankTrouble(nowMs),
    sinceMs: endedMs ?? nowMs,
    bytesRead: facts.bytesRead,
    bytesAccepted: facts.bytesAccepted,
    unreadBytes: facts.unreadBytes,
    kernel: facts.kernel,
  }
}

/** `progressMs` starts now, because bytes may have moved before anybody watched. */
export function blankTrouble(nowMs: number): Trouble {
  return {
    verdict: 'none',
    condition: null,
    phase: 'open',
    seenBy: 'stream',
    isStall: false,
    sinceMs: nowMs,
    progressMs: nowMs,
    restSinceMs: nowMs,
    halfClosedMs: -1,
    bytesRead: 0,
    bytesAccepted: 0,
    unreadBytes: 0,
    kernel: null,
    deadTurn: -1,
    ladder: [],
    nextDeedMs: 0,
    acted: 'no',
    recoveredMs: 0,
    probing: false,
    isClosed: false,
  }
}

export function excuse(state: Trouble, nowMs: number, blockedMs: number): Trouble {
  return {
    ...state,
    restSinceMs: Math.min(nowMs, state.restSinceMs + blockedMs),
    nextDeedMs: state.nextDeedMs + blockedMs,
  }
}

function hasProgressed(state: Trouble, facts: Facts): boolean {
  return (
    facts.bytesRead > state.bytesRead ||
    facts.bytesAccepted > state.bytesAccepted ||
    facts.unreadBytes < state.unreadBytes ||
    hasMovedInKernel(state.kernel, facts.kernel)
  )
}

// Linux takes new bytes only when a third of the send buffer is free (include/net/sock.h
// `sk_stream_min_wspace`), so the stream sees no progress of a slow reader for minutes. Counts are compared
// instead of segment ages, because a sample may be old. In CLOSE the kernel has discarded its queue.
function hasMovedInKernel(before: KernelFacts | null, now: KernelFacts | null): boolean {
  if (before === null || now === null || now.state === 'CLOSE') return false
  return isLess(now.unsentBytes, before.unsentBytes) || isLess(before.unreadBytes, now.unreadBytes)
}

function isLess(a: number | null, b: number | null): boolean {
  return a !== null && b !== null && a < b
}

type Name = Pick<Trouble, 'condition' | 'seenBy' | 'isStall' | 'sinceMs' | 'halfClosedMs'>

/** The condition and its start. Once the guard has acted both stay, because our own `end()` is no news. */
function nameOf(
  state: Trouble,
  found: Classification | null,
  observation: Observation,
  isFirst: boolean,
): Name {
  const { condition, seenBy, isStall, sinceMs, halfClosedMs } = state
  if (state.acted !== 'no') return { condition, seenBy, isStall, sinceMs, halfClosedMs }
  if (found === null) return { condition: null, seenBy: 'stream', isStall: false, sinceMs, halfClosedMs: -1 }
  const began = startOf(found, state, observation, isFirst)
  return { ...found, sinceMs: began, halfClosedMs: halfCloseOf(found.condition, state, observation, began) }
}

function startOf(found: Classification, state: Trouble, observation: Observation, isFirst: boolean): number {
  const { condition, isStall, sinceMs } = state
  // A stall turned into a half-close: the time before that is nobody's fault.
  if (isStall && !found.isStall) return observation.endedMs ?? observation.nowMs
  const isSame = condition !== null && isSameTrouble(condition, found.condition)
  return isSame ? sinceMs : beginningOf(found.condition, state, observation, isFirst)
}

const PEER_ENDED: ReadonlySet<Condition> = new Set(['eof-ignored', 'eof-unread', 'fin-unseen'])

function isSameTrouble(a: Condition, b: Condition): boolean {
  return a === b || (PEER_ENDED.has(a) && PEER_ENDED.has(b))
}

/** The latest possible start, so that a report does not overstate the time. */
function beginningOf(
  condition: Condition,
  { progressMs }: Trouble,
  { nowMs, endedMs, abandonedMs, facts }: Observation,
  isFirst: boolean,
): number {
  switch (condition) {
    case 'eof-ignored':
    case 'eof-unread':
      return endedMs ?? nowMs
    case 'fin-wait':
    case 'closed-unread':
      if (facts.session !== null) return progressMs
      if (endedMs === null || (condition === 'closed-unread' && !facts.eofReceived)) return nowMs
      // Our FIN left with the last byte of output, which may have been long after `end()`.
      return isFirst ? endedMs : Math.max(endedMs, progressMs)
    case 'write-stalled':
    case 'window-closed':
      return progressMs
    case 'fin-unseen':
    case 'reset-unseen':
    case 'self-connected':
      return nowMs
    case 'abandoned':
      return abandonedMs ?? nowMs
  }
}

/** The half-close keeps its start, whether bytes move or not. */
function halfCloseOf(
  condition: Condition,
  { halfClosedMs }: Trouble,
  { nowMs, endedMs, facts }: Observation,
  sinceMs: number,
): number {
  const isStalledHalf = condition === 'write-stalled' && facts.eofReceived && !facts.localEnded
  if (!isStalledHalf && !PEER_ENDED.has(condition) && condition !== 'fin-wait') return -1
  if (halfClosedMs !== -1) return halfClosedMs
  return isStalledHalf ? (endedMs ?? nowMs) : sinceMs
}
