/**
 * One connection of a pair has gone, the other goes on: for whom? A client that left while the proxy reads on from upstream, an
 * upstream that died while the client waits. It may be meant (work that is finished although nobody waits), so it is a fact
 * in the report, and a reason for grace only with `propagateAbort`.
 */
import type { Facts } from '../../core/facts.js'
import type { PartnerName } from '../../core/report.js'
import type { Condition, Tie } from '../../core/vocabulary.js'
import type { PropagateAbort, SocketPolicy } from '../../options/options.js'
import { originOf } from '../origin.js'
import type { TrackedSocket } from '../tracked-socket.js'
import { isOn, isPiped, isUnanswered, type End } from './ends.js'
import { forgetTies, isThereFor, isUsedBeside, partnersOf, type Partner } from './ties.js'
import { Flow } from './flow.js'

/** Kept on the connection that is left behind. */
export interface Left {
  readonly who: PartnerName
  readonly by: Tie
  readonly sinceMs: number
  /** The partner while it is still there and only its peer has ended; `null`: it is closed. */
  readonly partner: TrackedSocket | null
  /** What on our side was tied to it. */
  readonly end: End
  /** It brings this connection into grace. */
  readonly propagates: boolean
  /** By which rules, where this connection has none of its own. */
  readonly policy: SocketPolicy | null
}

export interface LeftHooks {
  now(): number
  /** The partner in words, while it can still be asked. */
  identify(record: TrackedSocket): PartnerName
  /** What holds for a connection that nobody has configured. */
  readonly defaults: SocketPolicy
}

/** Before a connection is closed, and Node takes its pipes apart. @returns those that are left behind */
export function noteLeaving(record: TrackedSocket, hooks: LeftHooks): TrackedSocket[] {
  const survivors = partnersOf(record).filter(
    (partner) => wasCutShort(record, partner) && isThereFor(record, partner),
  )
  for (const partner of survivors) leave(record, partner, null, hooks)
  forgetTies(record.socket)
  return survivors.map((partner) => partner.record)
}

/** After a look at a connection that is in trouble: has its peer gone, so that what is tied to it should go as well? */
export function noteEnded(record: TrackedSocket, hooks: LeftHooks): void {
  if (!hasPeerEnded(record)) return
  for (const partner of partnersOf(record)) {
    const isNew = leftOf(partner.record) === null
    if (isNew && doesPropagate(record, partner) && isThereFor(record, partner))
      leave(record, partner, record, hooks)
  }
}

function leave(record: TrackedSocket, partner: Partner, still: TrackedSocket | null, hooks: LeftHooks): void {
  const { record: survivor, by, end } = partner
  const nowMs = hooks.now()
  const propagates = doesPropagate(record, partner)
  const isOwnPolicy = survivor.policy !== hooks.defaults
  const origin = originOf(survivor)
  origin.left = {
    who: hooks.identify(record),
    by,
    sinceMs: still?.case?.sinceMs ?? nowMs,
    partner: still,
    end,
    propagates,
    policy: propagates && !isOwnPolicy ? record.policy : null,
  }
  origin.flow ??= new Flow(survivor.socket, nowMs)
}

/** The client's own word counts, whichever of the two has left: its server is where people set options. */
function doesPropagate(record: TrackedSocket, { record: survivor, by }: Partner): boolean {
  const { propagateAbort } = (record.direction === 'inbound' ? record : survivor).policy
  return covers(propagateAbort, by)
}

function covers(propagateAbort: PropagateAbort, by: Tie): boolean {
  return propagateAbort === 'context' || propagateAbort === by
}

/** Was the conversation still going on? A close in good order has passed its end on, and is no news to anybody. */
function wasCutShort(record: TrackedSocket, { record: survivor, by, own, end, isEnded }: Partner): boolean {
  // Before an answer is passed on, a handler may well ask another upstream, or answer without the one that failed it.
  const isUpstream = record.direction === 'outbound' && survivor.direction === 'inbound'
  if (isUpstream && (by === 'context' || !isPiped(own, end))) return false
  if (by === 'context') return isUnanswered(own)
  if (own !== record.socket) return isUnanswered(own)
  // Many may be piped into one connection, which is meant to outlive them.
  return isEnded && (isPiped(own, end) || isPiped(end, own))
}

const ENDED: ReadonlySet<Condition> = new Set(['eof-ignored', 'eof-unread', 'fin-unseen', 'reset-unseen'])

function hasPeerEnded({ case: kase }: TrackedSocket): boolean {
  return kase !== null && !kase.isClosed && kase.condition !== null && ENDED.has(kase.condition)
}

/** What this connection is left behind by; `null` once its own part is over too, or another has taken the place. */
export function leftOf(record: TrackedSocket): Left | null {
  const { origin } = record
  if (origin === null || origin.left === null) return null
  const { end, partner } = origin.left
  const isStill = isOn(end, record) && (partner === null || hasPeerEnded(partner))
  if (isStill && !isUsedBeside(record, end, partner)) return origin.left
  origin.left = null
  origin.flow = null
  return null
}

/** What of that is to bring it into grace. Bytes for a client that has gone are for nobody; to one that waits, they count. */
export function abandonmentOf(record: TrackedSocket): Facts['abandoned'] {
  const left = leftOf(record)
  if (left === null || !left.propagates) return null
  return left.partner === null && left.who.direction === 'inbound' ? 'for-nobody' : 'waiting'
}

/** The rules for this connection, which may be those of the one that left it. */
export function policyOf(record: TrackedSocket): SocketPolicy {
  return record.origin?.left?.policy ?? record.policy
}
