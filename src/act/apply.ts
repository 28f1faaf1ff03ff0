import { readField } from '../core/foreign.js'
import type { Ledger } from '../core/ledger.js'
import {
  nextDueMs,
  step,
  type Trouble,
  type Effect,
  type JudgementPolicy,
  type LifecycleEvent,
} from '../judge/lifecycle.js'
import type { ActionChooser } from '../judge/policy.js'
import type { SocketReport } from '../core/report.js'
import { ACTIONS, type Action, type EventType } from '../core/vocabulary.js'
import type { RunDetached } from '../base/detached.js'
import { describeValue } from '../base/errors.js'
import type { SocketPolicy } from '../judge/policy.js'
import { isTcp } from '../socket/fields.js'
import type { SocketRecord } from '../socket/record.js'
import { callShielded, messageOf, warnOnce } from '../base/warnings.js'
import type { Announcer } from './announcer.js'
import type { Executor } from './executor.js'

export interface JudgeHooks {
  readonly ledger: Ledger<SocketRecord>
  readonly runDetached: RunDetached
  readonly executor: Executor
  readonly announcer: Announcer
  now(): number
  isActive(): boolean
  /** The policy of this connection, or of the partner that left it behind. */
  policyOf(record: SocketRecord): SocketPolicy
  describe(record: SocketRecord): SocketReport
  onVerdict?(record: SocketRecord, type: EventType): void
  effectiveGraceMs(graceMs: number): number
  urge(delayMs: number): void
}

const CONFIRM_DEATH_MS = 50

export interface Judge {
  apply(record: SocketRecord, event: LifecycleEvent): void
  setKeepAlive(record: SocketRecord, on: boolean): void
}

export function createJudge(hooks: JudgeHooks): Judge {
  const { executor, announcer, ledger } = hooks

  function apply(record: SocketRecord, event: LifecycleEvent): void {
    const policy = policyOf(record)
    const wasExempt = record.isExempt
    const { state, effects } = step(record.trouble, event, policy)
    // A late sweep finds suspect and leak at once. Whoever deals with the suspect has had no leak.
    const asSuspect: Trouble | null =
      state?.verdict === 'leaked' && effects.some(isSuspicion) ? { ...state, verdict: 'suspect' } : null
    // Before the effects, because a deed calls the patched methods at once.
    record.trouble = asSuspect ?? state
    for (const effect of effects) {
      // A listener may have closed or exempted the socket, or uninstalled the guard.
      if ((record.trouble?.isClosed === true && event.type !== 'closed') || !hooks.isActive()) break
      if (record.isExempt && !wasExempt) break
      try {
        // Listeners must not run in the async context of the code that closes a socket.
        hooks.runDetached(carryOut, record, effect)
      } catch (error) {
        warnOnce('SLG_WARN_INTERNAL', `acting on a socket failed: ${messageOf(error)}`)
      }
      if (asSuspect === null || !isSuspicion(effect)) continue
      if (record.trouble !== asSuspect) break
      record.trouble = state
    }
    if (record.trouble !== null && event.type !== 'closed') urgeFor(record.trouble, event, policy)
  }

  function urgeFor(state: Trouble, event: LifecycleEvent, policy: JudgementPolicy): void {
    const isNewlyDead = event.type === 'observed' && state.acted === 'no' && state.deadTurn === event.turn
    const dueMs = nextDueMs(state, policy) - event.nowMs
    hooks.urge(isNewlyDead ? Math.min(dueMs, CONFIRM_DEATH_MS) : dueMs)
  }

  function policyOf(record: SocketRecord): JudgementPolicy {
    const policy = hooks.policyOf(record)
    const { isExempt } = record
    // Pressure does not hurry connections that are open both ways.
    const stallGraceMs = policy.stalled.graceMs ?? policy.graceMs
    return { ...policy, stallGraceMs, graceMs: hooks.effectiveGraceMs(policy.graceMs), exempt: isExempt }
  }

  function carryOut(record: SocketRecord, effect: Effect): void {
    switch (effect.type) {
      case 'announce':
        ledger.count(effect.event)
        hooks.onVerdict?.(record, effect.event)
        announcer.announce(effect.event, () => hooks.describe(record))
        return
      case 'keep-alive':
        setKeepAlive(record, effect.on)
        return
      case 'deed':
        executor.perform(record.socket, effect.deed)
        return
      case 'decide':
        // A listener may have reclaimed it already.
        if (record.trouble !== null && record.trouble.acted !== 'no') return
        decide(record)
        return
    }
  }

  function decide(record: SocketRecord): void {
    const action = actionFor(record)
    // So may the function that chooses.
    if (record.isExempt) return
    const localEnded = readField(record.socket, 'writableEnded') === true
    apply(record, { type: 'decided', nowMs: hooks.now(), action, localEnded })
  }

  function actionFor(record: SocketRecord): Action {
    const policy = hooks.policyOf(record)
    const { action } = record.trouble?.verdict === 'stalled' ? policy.stalled : policy
    return typeof action === 'function' ? choose(action, hooks.describe(record)) : action
  }

  function setKeepAlive(record: SocketRecord, on: boolean): void {
    const { keepAlive } = record.policy
    const { socket } = record
    if (keepAlive === false || socket.destroyed || socket.connecting || !isTcp(socket)) return
    if (on) {
      executor.setKeepAlive(record, keepAlive)
    } else if (keepAlive.when === 'suspect') {
      executor.setKeepAlive(record, null)
    }
  }

  return { apply, setKeepAlive }
}

function isSuspicion(effect: Effect): boolean {
  return effect.type === 'announce' && effect.event === 'suspect'
}

function choose(chooser: ActionChooser, socket: SocketReport): Action {
  let failure: string | null = null
  const action = callShielded(
    () => chooser(socket),
    (message) => {
      failure = `the action function threw: ${message}`
    },
  )
  if ((ACTIONS as readonly unknown[]).includes(action)) return action as Action
  failure ??= `the action function must return ${ACTIONS.join(', ')}, got ${describeValue(action)}`
  warnOnce('SLG_WARN_ACTION', failure)
  return 'report'
}
