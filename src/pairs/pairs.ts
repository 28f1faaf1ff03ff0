/**
 * One connection of a pair has gone, the other goes on: for whom? A client that left while the proxy reads on from upstream, an
 * upstream that died while the client waits. It may be meant (work that is finished although nobody waits), so it is a fact
 * in the report, and a reason for grace only with `propagateAbort`.
 */
import type { Facts } from '../judge/facts.js'
import type { PartnerName } from '../core/report.js'
import type { Condition, Tie } from '../core/vocabulary.js'
import type { Makers } from '../owner/outgoing.js'
import type { PropagateAbort, SocketPolicy } from '../judge/policy.js'
import { clientRequestOf, pipesOf, readAddresses, responseOn } from '../socket/fields.js'
import { hasSource } from '../socket/usage.js'
import type { SocketRecord } from '../socket/record.js'
import { isOn, isPiped, isUnanswered, type End } from './ends.js'
import { Throughput } from './throughput.js'
import { PipeMemory } from './pipe-memory.js'
import { Ties, type Partner } from './ties.js'

/** Kept for the connection that is left behind. */
export interface Left {
  readonly who: PartnerName
  readonly by: Tie
  readonly sinceMs: number
  /** The partner while it is still there and only its peer has ended; `null`: it is closed. */
  readonly partner: SocketRecord | null
  /** What on our side was tied to it. */
  readonly end: End
  /** It brings this connection into grace. */
  readonly propagates: boolean
  /** By which rules, where this connection has none of its own. */
  readonly policy: SocketPolicy | null
}

export interface PairHooks {
  /** Everything that is tracked. */
  readonly records: Iterable<SocketRecord> & { readonly size: number }
  readonly makers: Makers
  now(): number
  /** The partner in words, while it can still be asked. */
  identify(record: SocketRecord): PartnerName
  /** What holds for a connection that nobody has configured. */
  readonly defaults: SocketPolicy
  onFailure(error: unknown): void
}

/** The ties of one moment hold for a burst of closes: to look anew for each of thousands would take seconds. */
const FRESH_MS = 10

export class Pairs {
  readonly #hooks: PairHooks
  readonly #lefts = new Map<SocketRecord, Left>()
  readonly #throughputs = new Map<SocketRecord, Throughput>()
  #memory: PipeMemory | null = null
  #ties: Ties | null = null
  #tiesAtMs = 0

  constructor(hooks: PairHooks) {
    this.#hooks = hooks
  }

  /** A policy is in force from now on. */
  onPolicy({ propagateAbort }: SocketPolicy): void {
    if (propagateAbort !== null) this.#memory ??= new PipeMemory(this.#hooks.onFailure)
  }

  stop(): void {
    this.#memory?.stop()
  }

  /** The ties of now. */
  ties(): Ties {
    const { now, records, makers } = this.#hooks
    if (this.#ties === null || now() - this.#tiesAtMs > FRESH_MS) {
      this.#ties = new Ties(records, makers, this.#memory)
      this.#tiesAtMs = now()
    }
    return this.#ties
  }

  /** When it is closed a moment later its addresses are gone, and whom it leaves behind is to say who left. */
  onPeerEnded(record: SocketRecord): void {
    if (this.#hooks.records.size < 2 || record.addresses !== null || !mayBeTied(record)) return
    const addresses = readAddresses(record.socket)
    if (addresses.remote !== null) record.addresses = addresses
  }

  /** Before a connection is closed, and Node takes its pipes apart. @returns somebody left behind is in grace from now on */
  onReleasing(record: SocketRecord): boolean {
    this.onForgotten(record)
    if (this.#hooks.records.size < 2 || !mayBeTied(record)) return false
    const ties = this.ties()
    let propagates = false
    for (const partner of ties.of(record)) {
      if (
        partner.record.socket.destroyed ||
        !wasCutShort(record, partner) ||
        !ties.isThereFor(record, partner)
      )
        continue
      this.#leave(record, partner, null)
      propagates ||= doesPropagate(record, partner)
    }
    return propagates
  }

  /** It left by another door: nobody is left behind. */
  onForgotten(record: SocketRecord): void {
    if (this.#lefts.size > 0) this.#lefts.delete(record)
    if (this.#throughputs.size > 0) this.#throughputs.delete(record)
  }

  /** After a look at a connection that is in trouble: has its peer gone, so that what is tied to it should go as well? */
  onObserved(record: SocketRecord): void {
    if (record.trouble === null || record.trouble.verdict === 'none') return
    const nowMs = this.#hooks.now()
    for (const partner of this.ties().of(record)) {
      this.#lookAtThroughput(partner.record, nowMs)
      const isNew = hasPeerEnded(record) && this.leftOf(partner.record) === null
      if (isNew && doesPropagate(record, partner) && this.ties().isThereFor(record, partner))
        this.#leave(record, partner, record)
    }
  }

  /** Once a sweep: forgets what is over, and looks how fast bytes move on what was left behind. */
  refresh(): void {
    const nowMs = this.#hooks.now()
    for (const record of this.#lefts.keys()) {
      if (this.leftOf(record) === null) this.#lefts.delete(record)
      else this.#lookAtThroughput(record, nowMs)
    }
    for (const record of this.#throughputs.keys()) {
      const isOfInterest =
        this.#lefts.has(record) ||
        this.ties()
          .of(record)
          .some((one) => isInTrouble(one.record))
      if (!isOfInterest) this.#throughputs.delete(record)
    }
  }

  /** What this connection is left behind by; `null` once its own part is over too, or another has taken the place. */
  leftOf(record: SocketRecord): Left | null {
    const left = this.#lefts.get(record)
    if (left === undefined) return null
    const { end, partner } = left
    const isStill = isOn(end, record) && (partner === null || hasPeerEnded(partner))
    return isStill && !this.ties().isUsedBeside(record, end, partner) ? left : null
  }

  /** Everything that was left behind, and still is. */
  *lefts(): Generator<Left, void> {
    for (const record of this.#lefts.keys()) {
      const left = this.leftOf(record)
      if (left !== null) yield left
    }
  }

  throughputOf(record: SocketRecord): Throughput | null {
    return this.#throughputs.get(record) ?? null
  }

  /** What of that is to bring it into grace. Bytes for a client that has gone are for nobody; to one that waits, they count. */
  abandonmentOf(record: SocketRecord): Facts['abandoned'] {
    const left = this.leftOf(record)
    if (left === null || !left.propagates) return null
    return left.partner === null && left.who.direction === 'inbound' ? 'for-nobody' : 'waiting'
  }

  /** The rules for this connection, which may be those of the one that left it. */
  policyOf(record: SocketRecord): SocketPolicy {
    return this.#lefts.get(record)?.policy ?? record.policy
  }

  #lookAtThroughput(record: SocketRecord, nowMs: number): void {
    const throughput = this.#throughputs.get(record)
    if (throughput === undefined) this.#throughputs.set(record, new Throughput(record.socket, nowMs))
    else throughput.look(record.socket, nowMs)
  }

  #leave(record: SocketRecord, partner: Partner, still: SocketRecord | null): void {
    const { record: survivor, by, end } = partner
    const { now, identify, defaults } = this.#hooks
    const propagates = doesPropagate(record, partner)
    this.#lefts.set(survivor, {
      who: identify(record),
      by,
      sinceMs: still?.trouble?.sinceMs ?? now(),
      partner: still,
      end,
      propagates,
      policy: propagates && survivor.policy === defaults ? record.policy : null,
    })
    this.#lookAtThroughput(survivor, now())
  }
}

export function isInTrouble({ trouble }: SocketRecord): boolean {
  return trouble !== null && (trouble.verdict === 'suspect' || trouble.verdict === 'leaked')
}

/** Cheap, and asked at every close: is anything piped to or from it, or an exchange in the middle? */
function mayBeTied({ socket, direction }: SocketRecord): boolean {
  if (pipesOf(socket).length > 0 || hasSource(socket)) return true
  const message = direction === 'outbound' ? clientRequestOf(socket) : responseOn(socket)
  return message !== null && isUnanswered(message)
}

/** The client's own word counts, whichever of the two has left: its server is where people set options. */
function doesPropagate(record: SocketRecord, { record: survivor, by }: Partner): boolean {
  const { propagateAbort } = (record.direction === 'inbound' ? record : survivor).policy
  return covers(propagateAbort, by)
}

function covers(propagateAbort: PropagateAbort, by: Tie): boolean {
  return propagateAbort === 'context' || propagateAbort === by
}

/** Was the conversation still going on? A close in good order has passed its end on, and is no news to anybody. */
function wasCutShort(record: SocketRecord, { record: survivor, by, own, end, isEnded }: Partner): boolean {
  // Before an answer is passed on, a handler may well ask another upstream, or answer without the one that failed it.
  const isUpstream = record.direction === 'outbound' && survivor.direction === 'inbound'
  if (isUpstream && (by === 'context' || !isPiped(own, end))) return false
  if (by === 'context' || own !== record.socket) return isUnanswered(own)
  // Many may be piped into one connection, which is meant to outlive them.
  return isEnded && (isPiped(own, end) || isPiped(end, own))
}

const ENDED: ReadonlySet<Condition> = new Set(['eof-ignored', 'eof-unread', 'fin-unseen', 'reset-unseen'])

function hasPeerEnded({ trouble }: SocketRecord): boolean {
  return trouble !== null && !trouble.isClosed && trouble.condition !== null && ENDED.has(trouble.condition)
}
