// One connection of a pair is gone and the other goes on, as when a proxy reads upstream for a client that left. It may
// be meant, so it is only reported, unless the guard closed the first or with `propagateAbort`: then a grace starts.
import type { Facts } from '../judge/facts.js'
import { SETTLE_MS } from '../judge/lifecycle.js'
import type { PartnerName } from '../core/report.js'
import type { Condition, Tie } from '../core/vocabulary.js'
import { Work } from '../owner/context/work.js'
import { Opener, type Makers } from '../owner/outgoing.js'
import type { PropagateAbort, SocketPolicy } from '../judge/policy.js'
import { clientRequestOf, pipesOf, readAddresses, responseOn } from '../socket/fields.js'
import { hasSource, isUnanswered } from '../socket/usage.js'
import type { SocketRecord } from '../socket/record.js'
import { isOn, isPiped, isUnfinished, type End } from './ends.js'
import { Throughput } from './throughput.js'
import { PipeMemory } from './pipe-memory.js'
import { Ties, type Partner } from './ties.js'

/** Kept for the connection that is left behind. `partner` is `null` once that is closed, not just ended by its peer. */
export interface Left {
  readonly who: PartnerName
  readonly by: Tie
  readonly sinceMs: number
  readonly partner: SocketRecord | null
  readonly end: End
  readonly abandoned: Facts['abandoned']
  /** The partner's policy, if this connection has none of its own. */
  readonly policy: SocketPolicy | null
  isTold: boolean
}

export interface PairHooks {
  readonly records: Iterable<SocketRecord> & { readonly size: number }
  readonly makers: Makers
  now(): number
  identify(record: SocketRecord): PartnerName
  readonly defaults: SocketPolicy
  onParted(record: SocketRecord, left: Left): void
  onFailure(error: unknown): void
}

/** Of one CPU: the ties are reused for so long that looks at all of them, in a burst of closes, take no more. */
const CPU_SHARE = 0.2
/** What only looks at ties may find them so much older than what acts on them. */
const SLACK_MS = 5
const CONNECTIONS_A_STEP = 32

export class Pairs {
  readonly #hooks: PairHooks
  readonly #lefts = new Map<SocketRecord, Left>()
  readonly #throughputs = new Map<SocketRecord, Throughput>()
  #memory: PipeMemory | null = null
  #ties: Ties | null = null
  #tiesUntilMs = 0
  #gathering: { readonly ties: Ties; costMs: number } | null = null

  constructor(hooks: PairHooks) {
    this.#hooks = hooks
  }

  onPolicy({ propagateAbort }: SocketPolicy): void {
    if (propagateAbort !== null) this.#memory ??= new PipeMemory(this.#hooks.onFailure)
  }

  stop(): void {
    this.#ties = null
    this.#gathering = null
    this.#memory?.stop()
  }

  /** @param isLast also those that came after the last look at all: a connection of the pair is about to close */
  ties(isLast = false): Ties {
    const { now, records } = this.#hooks
    const isFresh = this.#ties !== null && now() <= this.#tiesUntilMs + (isLast ? 0 : SLACK_MS)
    // What a sweep has gathered so far may lack a pipe that was made since.
    if (isLast && !isFresh) this.#gathering = null
    if (!isFresh) while (this.#gatherSome(Infinity)) {}
    if (isLast && isFresh) {
      this.#ties!.expect(records)
      this.#ties!.gather(Infinity)
    }
    return this.#ties!
  }

  gather(): boolean {
    if (this.#ties !== null && this.#hooks.now() <= this.#tiesUntilMs) return false
    return this.#gatherSome(CONNECTIONS_A_STEP)
  }

  isWatching(): boolean {
    return this.#lefts.size + this.#throughputs.size > 0
  }

  #gatherSome(most: number): boolean {
    const { now, records, makers } = this.#hooks
    const startMs = now()
    if (this.#gathering === null) {
      this.#gathering = { ties: new Ties(makers, this.#memory), costMs: 0 }
      this.#gathering.ties.expect(records)
    }
    const gathering = this.#gathering
    const isMore = gathering.ties.gather(most)
    const endMs = now()
    gathering.costMs += endMs - startMs
    if (isMore) return true
    this.#gathering = null
    this.#ties = gathering.ties
    this.#tiesUntilMs = endMs + gathering.costMs / CPU_SHARE
    return false
  }

  /** Reads the addresses now: once the socket is closed they are gone, and its partner's report names it. */
  onPeerEnded(record: SocketRecord): void {
    if (this.#hooks.records.size < 2 || record.addresses !== null || !mayBeTied(record)) return
    const addresses = readAddresses(record.socket)
    if (addresses.remote !== null) record.addresses = addresses
  }

  // Call before Node removes the pipes of a closing connection. Returns whether a partner's grace starts now.
  onReleasing(record: SocketRecord): boolean {
    this.onForgotten(record)
    if (this.#hooks.records.size < 2 || !mayBeTied(record)) return false
    // Once Node has removed its pipes, a pair can't be seen any more.
    const ties = this.ties(true)
    const isReclaimed = record.trouble !== null && record.trouble.acted !== 'no'
    let isInGrace = false
    for (const partner of ties.of(record)) {
      if (
        partner.record.socket.destroyed ||
        !wasCutShort(record, partner, isReclaimed) ||
        !ties.isThereFor(record, partner)
      )
        continue
      const abandoned = abandonedBy(record, partner, isReclaimed)
      this.#leave(record, partner, null, abandoned)
      isInGrace ||= abandoned !== null
    }
    return isInGrace
  }

  onForgotten(record: SocketRecord): void {
    if (this.#lefts.size > 0) this.#lefts.delete(record)
    if (this.#throughputs.size > 0) this.#throughputs.delete(record)
  }

  /** After a look at a connection in trouble: if its peer is gone, its partners are left behind. */
  onObserved(record: SocketRecord): void {
    if (record.trouble === null || record.trouble.verdict === 'none') return
    const nowMs = this.#hooks.now()
    for (const partner of this.ties().of(record)) {
      this.#lookAtThroughput(partner.record, nowMs)
      const isNew = hasPeerEnded(record) && this.leftOf(partner.record) === null
      if (isNew && doesPropagate(record, partner) && this.ties().isThereFor(record, partner))
        this.#leave(record, partner, record, 'waiting')
    }
  }

  refresh(): void {
    const nowMs = this.#hooks.now()
    for (const [record, left] of this.#lefts) {
      if (this.leftOf(record) === null) {
        this.#lefts.delete(record)
        continue
      }
      this.#lookAtThroughput(record, nowMs)
      const isDue = nowMs - left.sinceMs >= Math.max(SETTLE_MS, record.policy.graceMs)
      if (!isDue || left.isTold || hasVerdict(record)) continue
      left.isTold = true
      this.#hooks.onParted(record, left)
    }
    for (const record of this.#throughputs.keys()) {
      const isOfInterest =
        this.#lefts.has(record) ||
        this.ties()
          .of(record)
          .some((one) => isInTrouble(one.record))
      if (!isOfInterest) this.#throughputs.delete(record)
    }
    this.#ties = null
    this.#gathering = null
  }

  /** `null` once its own exchange is over or another partner took over. */
  leftOf(record: SocketRecord): Left | null {
    const left = this.#lefts.get(record)
    if (left === undefined) return null
    const { end, partner } = left
    const isStill = isOn(end, record) && (partner === null || hasPeerEnded(partner))
    return isStill && !this.ties().isUsedBeside(record, end, partner) ? left : null
  }

  *lefts(): Generator<Left, void> {
    for (const record of this.#lefts.keys()) {
      const left = this.leftOf(record)
      if (left !== null) yield left
    }
  }

  throughputOf(record: SocketRecord): Throughput | null {
    return this.#throughputs.get(record) ?? null
  }

  abandonmentOf(record: SocketRecord): Facts['abandoned'] {
    return this.leftOf(record)?.abandoned ?? null
  }

  policyOf(record: SocketRecord): SocketPolicy {
    return this.#lefts.get(record)?.policy ?? record.policy
  }

  #lookAtThroughput(record: SocketRecord, nowMs: number): void {
    const throughput = this.#throughputs.get(record)
    if (throughput === undefined) this.#throughputs.set(record, new Throughput(record.socket, nowMs))
    else throughput.look(record.socket, nowMs)
  }

  #leave(
    record: SocketRecord,
    { record: survivor, by, end }: Partner,
    still: SocketRecord | null,
    abandoned: Facts['abandoned'],
  ): void {
    const { now, identify, defaults } = this.#hooks
    this.#lefts.set(survivor, {
      who: identify(record),
      by,
      sinceMs: still?.trouble?.sinceMs ?? now(),
      partner: still,
      end,
      abandoned,
      policy: abandoned !== null && survivor.policy === defaults ? record.policy : null,
      isTold: false,
    })
    this.#lookAtThroughput(survivor, now())
  }
}

export function isInTrouble({ trouble }: SocketRecord): boolean {
  return trouble !== null && (trouble.verdict === 'suspect' || trouble.verdict === 'leaked')
}

function mayBeTied({ socket, direction, hint, opener }: SocketRecord): boolean {
  if (pipesOf(socket).length > 0 || hasSource(socket)) return true
  if (hint?.kind === 'connect' || (hint !== null && isUnanswered(socket, hint))) return true
  if (opener instanceof Opener && opener.context instanceof Work && opener.context.isHandedOver) return true
  const message = direction === 'outbound' ? clientRequestOf(socket) : responseOn(socket)
  return message !== null && isUnfinished(message)
}

// Bytes for a closed client are no progress. Bytes for a waiting one are, and so are bytes of a pair tied by its
// request alone, because the handler may use them otherwise.
function abandonedBy(record: SocketRecord, partner: Partner, isReclaimed: boolean): Facts['abandoned'] {
  const isToldTo = doesPropagate(record, partner)
  if (!isToldTo && !isReclaimed) return null
  return record.direction === 'inbound' && (isToldTo || isConduit(partner)) ? 'for-nobody' : 'waiting'
}

function isConduit({ by, isEnded }: Partner): boolean {
  return by === 'pipe' || isEnded
}

/** The accepted connection's policy decides, because people set options on servers. */
function doesPropagate(record: SocketRecord, { record: survivor, by }: Partner): boolean {
  const { propagateAbort } = (record.direction === 'inbound' ? record : survivor).policy
  return covers(propagateAbort, by)
}

function covers(propagateAbort: PropagateAbort, by: Tie): boolean {
  return propagateAbort === 'context' || propagateAbort === by
}

/** A close in good order has passed its end on, and leaves nobody behind. */
function wasCutShort(record: SocketRecord, partner: Partner, isReclaimed: boolean): boolean {
  const { record: survivor, by, own, end, isEnded } = partner
  if (isEnded && own === record.socket && (by === 'context' || isReclaimed))
    return !survivor.socket.writableEnded
  // Before an answer is passed on, a handler may ask another upstream or answer by itself.
  const isUpstream = record.direction === 'outbound' && survivor.direction === 'inbound'
  if (isUpstream && (by === 'context' || !isPiped(own, end))) return false
  if (by === 'context' || own !== record.socket) return isUnfinished(own)
  // Many streams may be piped into one connection that outlives them.
  return isEnded && (isPiped(own, end) || isPiped(end, own))
}

const ENDED: ReadonlySet<Condition> = new Set(['eof-ignored', 'eof-unread', 'fin-unseen', 'reset-unseen'])

/** It has a line of its own in the log, or is exempt. */
function hasVerdict({ trouble, isExempt }: SocketRecord): boolean {
  return isExempt || (trouble !== null && trouble.verdict !== 'none' && trouble.verdict !== 'recovered')
}

function hasPeerEnded({ trouble }: SocketRecord): boolean {
  return trouble !== null && !trouble.isClosed && trouble.condition !== null && ENDED.has(trouble.condition)
}
