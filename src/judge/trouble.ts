/** What is kept of a socket while something is odd about it, and how a new look changes it. No judgement yet. */
import { classify, type Classification } from './classify.js'
import type { Facts } from './facts.js'
import type { KernelFacts } from '../core/kernel-facts.js'
import type { Deed } from './policy.js'
import type { Condition, Sensor, Verdict } from '../core/vocabulary.js'

export interface Trouble {
  readonly verdict: Verdict
  readonly condition: Condition | null
  readonly seenBy: Sensor
  /** See `Classification.isStall`. */
  readonly isStall: boolean
  /** When the condition began. */
  readonly sinceMs: number
  /** When a byte was last seen to have moved. */
  readonly progressMs: number
  /** Grace runs from here: the last byte, the beginning of the trouble, or later by what the event loop was blocked. */
  readonly restSinceMs: number
  /** When the half-close began that an absolute cap counts from; -1 while there is none. */
  readonly halfClosedMs: number
  /** What the previous observation counted, to see progress. */
  readonly bytesRead: number
  readonly bytesAccepted: number
  readonly unreadBytes: number
  readonly kernel: KernelFacts | null
  /** The event-loop turn in which the connection was first seen dead; -1 while it is not. */
  readonly deadTurn: number
  /** What remains to be done, and when the next deed is due. */
  readonly ladder: readonly Deed[]
  readonly nextDeedMs: number
  /** The guard has acted: whatever closes the socket now, it is `reclaimed` (or `dead`). */
  readonly acted: 'no' | 'reclaim' | 'dead'
  /** When a leak last recovered; `recovered` is shown for one grace from then on. */
  readonly recoveredMs: number
  /** Keep-alive was asked for, and not yet taken back. */
  readonly probing: boolean
  /** The socket is closed: nothing happens here any more. */
  readonly isClosed: boolean
}

/** One look at a socket. */
export interface Observation {
  readonly nowMs: number
  /** Counts event-loop turns, so that two looks within one turn are one sample. */
  readonly turn: number
  readonly facts: Facts
  /** When the last of the sides that have ended did so, as the seam saw it; `null` while none has. */
  readonly endedMs: number | null
  /** When the other connection of its pair left, if that counts; see `Facts.abandoned`. */
  readonly abandonedMs: number | null
}

export interface Look {
  readonly state: Trouble
  readonly found: Classification | null
  /** A byte has moved since the previous look, and for somebody. */
  readonly progressed: boolean
  /** How much of the grace has passed; -1 when a byte has just moved. */
  readonly restMs: number
}

/** @param settleMs how long nothing may have moved before the socket counts as idle */
export function lookAt(previous: Trouble | null, observation: Observation, settleMs: number): Look {
  const { facts, nowMs, turn } = observation
  const state = previous ?? openTrouble(observation)
  const moved = hasProgressed(state, facts)
  const progressMs = moved ? nowMs : state.progressMs
  // That nothing moves is known from two looks, not from one.
  const isIdle = !moved && previous !== null && nowMs - state.restSinceMs >= settleMs
  const found = classify(facts, isIdle)
  const name = nameOf({ ...state, progressMs }, found, observation, previous === null)
  // Bytes for somebody who has gone are no progress.
  const isForNobody = name.condition === 'abandoned' && facts.abandoned === 'for-nobody'
  const progressed = moved && !isForNobody
  const restSinceMs = Math.max(state.restSinceMs, isForNobody ? 0 : progressMs, name.sinceMs)
  const next: Trouble = {
    ...state,
    ...name,
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

/** `progressMs` is now, whenever a side ended: bytes may have moved since, and idle time is only claimed where it was watched. */
export function blankTrouble(nowMs: number): Trouble {
  return {
    verdict: 'none',
    condition: null,
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

/** The event loop was blocked: in that time nobody could have read, nor could a deed have worked. */
export function excuse(state: Trouble, nowMs: number, blockedMs: number): Trouble {
  return {
    ...state,
    restSinceMs: Math.min(nowMs, state.restSinceMs + blockedMs),
    nextDeedMs: state.nextDeedMs + blockedMs,
  }
}

/** A byte came in, a byte left for good, or the application took something out of the read buffer. */
function hasProgressed(state: Trouble, facts: Facts): boolean {
  return (
    facts.bytesRead > state.bytesRead ||
    facts.bytesAccepted > state.bytesAccepted ||
    facts.unreadBytes < state.unreadBytes ||
    hasMovedInKernel(state.kernel, facts.kernel)
  )
}

/**
 * What moved where Node does not see it. A send buffer takes new bytes only when a third of it is free (Linux,
 * include/net/sock.h `sk_stream_min_wspace`): of a slow reader behind a full buffer of megabytes, the stream hears nothing
 * for minutes. Counts are compared, not the ages of the last segments: the kernel's word may be some time old. In
 * CLOSE the kernel has thrown its queue away, and nobody received that.
 */
function hasMovedInKernel(before: KernelFacts | null, now: KernelFacts | null): boolean {
  if (before === null || now === null || now.state === 'CLOSE') return false
  return isLess(now.unsentBytes, before.unsentBytes) || isLess(before.unreadBytes, now.unreadBytes)
}

function isLess(a: number | null, b: number | null): boolean {
  return a !== null && b !== null && a < b
}

type Name = Pick<Trouble, 'condition' | 'seenBy' | 'isStall' | 'sinceMs' | 'halfClosedMs'>

/** What the trouble is called, and since when. Once the guard has acted it keeps its name: our own `end()` is no news. */
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
  // A stall of which one side has now ended: the time until then is nobody's fault.
  if (isStall && !found.isStall) return observation.endedMs ?? observation.nowMs
  const isSame = condition !== null && isSameTrouble(condition, found.condition)
  return isSame ? sinceMs : beginningOf(found.condition, state, observation, isFirst)
}

/** The peer ended: the same half-close, whoever saw it and whatever is unread. */
const PEER_ENDED: ReadonlySet<Condition> = new Set(['eof-ignored', 'eof-unread', 'fin-unseen'])

/** The same trouble keeps its beginning when a better sensor renames it. */
function isSameTrouble(a: Condition, b: Condition): boolean {
  return a === b || (PEER_ENDED.has(a) && PEER_ENDED.has(b))
}

/** Never earlier than it can have been: a report may say too little, but not too much. */
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
      if (endedMs === null || (condition === 'closed-unread' && !facts.eofReceived)) return nowMs
      // Our own FIN left with the last byte of the output, which may have been long after `end()`.
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

/** A half-close is one and the same from its beginning on, whether its bytes move or stand still. */
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
