/** Tells the judgement a story, line by line, on a clock that is only a column of numbers. */
import type { Test } from 'tap'
import type { Facts } from '../../src/judge/facts.js'
import type { KernelFacts } from '../../src/core/kernel-facts.js'
import {
  step,
  type Trouble,
  type Effect,
  type JudgementPolicy,
  type LifecycleEvent,
} from '../../src/judge/lifecycle.js'
import type { Action, Verdict } from '../../src/core/vocabulary.js'

/** An established connection that is being read, with nothing on the way. */
export const HEALTHY: Facts = Object.freeze({
  connecting: false,
  destroyed: false,
  readable: true,
  writable: true,
  eofReceived: false,
  eofConsumed: false,
  localEnded: false,
  localFinished: false,
  reading: true,
  asked: false,
  unreadBytes: 0,
  unsentBytes: 0,
  bytesRead: 0,
  bytesAccepted: 0,
  selfConnected: false,
  abandoned: null,
  disconnected: false,
  kernel: null,
  session: null,
})

export const POLICY: JudgementPolicy = Object.freeze({
  graceMs: 60_000,
  maxHalfClosedMs: null,
  action: 'report',
  escalateMs: 5_000,
  reclaimDead: true,
  stallGraceMs: 60_000,
  exempt: false,
})

export function kernel(facts: Partial<KernelFacts>): KernelFacts {
  return {
    state: 'ESTABLISHED',
    peerEnded: false,
    unreadBytes: 0,
    unsentBytes: 0,
    lastDataReceivedMs: null,
    lastDataSentMs: null,
    lastAckReceivedMs: null,
    retransmits: null,
    probes: null,
    rttMs: null,
    ...facts,
  }
}

/** What is seen: facts that changed since the line before. `sameTurn`: the event loop has not run in between. */
export type Sight = Partial<Facts> & { readonly sameTurn?: true }

export type Happening = Sight | 'closed' | { readonly decided: Action } | { readonly blockedMs: number }

/** `-`: no case is left. */
export type Outcome = Verdict | '-' | (Partial<Trouble> & { readonly idleMs?: number })

/** When, what happens, what the verdict is then, and the effects in their order. */
export type Line = readonly [atMs: number, happening: Happening, outcome: Outcome, ...effects: string[]]

export function say(effect: Effect): string {
  switch (effect.type) {
    case 'announce':
      return `announce ${effect.event}`
    case 'keep-alive':
      return `keep-alive ${effect.on ? 'on' : 'off'}`
    case 'deed':
      return `deed ${effect.deed}`
    case 'decide':
      return 'decide'
  }
}

/** The judgement of one socket over time. Whatever goes in is frozen, so that nothing can be written to. */
export class Judgement {
  state: Trouble | null = null
  facts: Facts = HEALTHY
  turn = 0
  #peerEndedMs = 0
  #localEndedMs = 0
  #abandonedMs = 0

  /** Also answers `decide` as the executor would, with a policy that is one word. */
  apply(nowMs: number, happening: Happening, policy: JudgementPolicy): Effect[] {
    const effects = this.#step(this.#eventOf(nowMs, happening), policy)
    if (typeof policy.action !== 'string' || !effects.some(({ type }) => type === 'decide')) return effects
    // The story's policy has one action, and none for what is stalled.
    if (this.state?.verdict === 'stalled') return effects
    const { action } = policy
    const { localEnded } = this.facts
    return [...effects, ...this.#step({ type: 'decided', nowMs, action, localEnded }, policy)]
  }

  #step(event: LifecycleEvent, policy: JudgementPolicy): Effect[] {
    const { state, effects } = step(this.state, deepFreeze(event), Object.freeze({ ...policy }))
    this.state = deepFreeze(state)
    return [...deepFreeze(effects)]
  }

  #eventOf(nowMs: number, happening: Happening): LifecycleEvent {
    if (happening === 'closed') return { type: 'closed', nowMs }
    if ('decided' in happening) {
      return { type: 'decided', nowMs, action: happening.decided, localEnded: this.facts.localEnded }
    }
    if ('blockedMs' in happening) return { type: 'blocked', nowMs, blockedMs: happening.blockedMs }
    const { sameTurn, ...changed } = happening
    this.facts = { ...this.facts, ...changed }
    if (this.facts.eofReceived) this.#peerEndedMs ||= nowMs
    if (this.facts.localEnded) this.#localEndedMs ||= nowMs
    if (this.facts.abandoned !== null) this.#abandonedMs ||= nowMs
    if (sameTurn !== true) this.turn += 1
    const ended = Math.max(this.#peerEndedMs, this.#localEndedMs)
    return {
      type: 'observed',
      nowMs,
      turn: this.turn,
      facts: this.facts,
      endedMs: ended === 0 ? null : ended,
      abandonedMs: this.facts.abandoned === null ? null : this.#abandonedMs,
    }
  }
}

export function tell(t: Test, policy: Partial<JudgementPolicy>, lines: readonly Line[]): void {
  const judgement = new Judgement()
  for (const [index, [atMs, happening, outcome, ...effects]] of lines.entries()) {
    const name = `line ${index + 1}, at ${atMs}`
    const done = judgement.apply(atMs, happening, { ...POLICY, ...policy })
    const { state } = judgement
    t.same(done.map(say), effects, `${name}: effects`)
    if (outcome === '-') t.equal(state, null, `${name}: no case`)
    else if (typeof outcome === 'string') t.equal(state?.verdict, outcome, `${name}: verdict`)
    else t.match(state && { ...state, idleMs: atMs - state.progressMs }, outcome, `${name}: case`)
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  for (const inner of Object.values(value)) deepFreeze(inner)
  return Object.freeze(value)
}
