// Which connections belong together now: one is piped to the other, or was opened or used while handling the
// other's request. Read from what Node keeps (`_readableState.pipes`).
import { SETTLE_MS } from '../judge/lifecycle.js'
import type { Tie } from '../core/vocabulary.js'
import { Work } from '../owner/context/work.js'
import { outgoingUseOf, type Makers } from '../owner/outgoing.js'
import { formatEndpoint } from '../core/endpoint.js'
import { pipesOf, requestOn } from '../socket/fields.js'
import { recordOf, type SocketRecord } from '../socket/record.js'
import { isUnanswered } from '../socket/usage.js'
import { connectionOf, isOn, messageOn, reachedFrom, streamOf, type End, type Reached } from './ends.js'
import type { PipeMemory } from './pipe-memory.js'

export interface Partner {
  readonly record: SocketRecord
  readonly end: End
  readonly own: End
  readonly by: Tie
  readonly isEnded: boolean
}

const NOBODY: readonly Partner[] = []

export class Ties {
  readonly #partners = new Map<SocketRecord, Partner[]>()
  readonly #makers: Makers
  readonly #memory: PipeMemory | null
  #newestId = 0
  #expected: SocketRecord[] = []
  #taken = 0

  constructor(makers: Makers, memory: PipeMemory | null) {
    this.#makers = makers
    this.#memory = memory
  }

  expect(records: Iterable<SocketRecord>): void {
    this.#expected = [...records].filter(({ id }) => id > this.#newestId)
    for (const { id } of this.#expected) this.#newestId = Math.max(this.#newestId, id)
    this.#taken = 0
  }

  gather(most: number): boolean {
    const { length } = this.#expected
    const end = Math.min(this.#taken + most, 2 * length)
    for (; this.#taken < end; this.#taken += 1) {
      const isFirstRound = this.#taken < length
      this.#add(this.#expected[isFirstRound ? this.#taken : this.#taken - length]!, isFirstRound)
    }
    if (end < 2 * length) return true
    this.#expected = []
    return false
  }

  /** A socket whose properties throw must not cost others their ties. */
  #add(record: SocketRecord, isFirstRound: boolean): void {
    try {
      if (isFirstRound) this.#addPiped(record, this.#memory)
      else if (record.direction === 'outbound') this.#addWorked(record, this.#makers)
    } catch {
      // Foreign.
    }
  }

  of(record: SocketRecord): readonly Partner[] {
    return this.#partners.get(record) ?? NOBODY
  }

  isUsedBeside(record: SocketRecord, end: End, one: SocketRecord | null): boolean {
    return this.of(record).some(
      ({ record: other, own }) => own === end && other !== one && other.index !== -1,
    )
  }

  // Does this partner serve us alone: in its exchange, or as a connection opened for us that ends with us?
  isThereFor(record: SocketRecord, { record: other, end, isEnded }: Partner): boolean {
    if (end === other.socket) {
      const isOlder = other.direction === 'outbound' && other.firstSeenMs < record.firstSeenMs - SETTLE_MS
      if (!isEnded || isOlder) return false
    }
    return !this.isUsedBeside(other, end, record)
  }

  #addPiped(record: SocketRecord, memory: PipeMemory | null): void {
    this.#addFrom(record, record.socket, record.socket, memory)
    const message = messageOn(record)
    const stream = message === null ? null : streamOf(message)
    if (message !== null && stream !== null) this.#addFrom(record, message, stream, memory)
  }

  #addFrom(record: SocketRecord, own: End, stream: object, memory: PipeMemory | null): void {
    if (pipesOf(stream).length > 0)
      for (const reached of reachedFrom(stream)) this.#addReached(record, own, reached)
    if (memory !== null)
      for (const reached of memory.reachedFrom(stream)) this.#addReached(record, own, reached)
  }

  #addReached(record: SocketRecord, own: End, { target: end, isEnded }: Reached): void {
    const socket = connectionOf(end)
    const other = socket === null ? undefined : recordOf(socket)
    if (other === undefined || other === record || !isOn(end, other)) return
    this.#tie(record, { record: other, end, own, by: 'pipe', isEnded })
    this.#tie(other, { record, end: own, own: end, by: 'pipe', isEnded })
  }

  /** HTTP exchanges and tunnels only: another connection opened in a request may belong to a shared pool. */
  #addWorked(record: SocketRecord, makers: Makers): void {
    const { message, context } = outgoingUseOf(record, makers)
    if (!(context instanceof Work)) return
    const socket = context.connection()
    const other = socket === null ? undefined : recordOf(socket)
    if (other === undefined || this.of(record).some((partner) => partner.record === other)) return
    const isEnded = isTunnel(other, record)
    const own = isEnded ? record.socket : message
    const end = isEnded ? other.socket : servedBy(context, other)
    if (own === null || end === null) return
    this.#tie(record, { record: other, end, own, by: 'context', isEnded })
    this.#tie(other, { record, end: own, own: end, by: 'context', isEnded })
  }

  #tie(record: SocketRecord, partner: Partner): void {
    const partners = this.#partners.get(record)
    if (partners === undefined) this.#partners.set(record, [partner])
    else if (!partners.some(({ end, own }) => end === partner.end && own === partner.own))
      partners.push(partner)
  }
}

/** The end of the accepted connection that this work serves: the request, or the socket of an unanswered upgrade. */
function servedBy(work: Work, { socket, hint }: SocketRecord): End | null {
  if (work.isHandedOver) return hint !== null && isUnanswered(socket, hint) ? socket : null
  const request = requestOn(socket)
  return request !== null && work.serves(request) ? request : null
}

/** The outgoing connection leads to the CONNECT's target, directly or through another proxy. */
function isTunnel({ hint: asked }: SocketRecord, { target, hint }: SocketRecord): boolean {
  if (asked === null || asked.kind !== 'connect' || asked.request === null) return false
  const { path } = asked.request
  return hint?.request?.path === path || (target !== null && formatEndpoint(target) === path)
}
