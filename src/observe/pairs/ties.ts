/**
 * Which connections belong together: bytes are piped from one to the other, or one was used in the work of the other's
 * request. Ties are kept beside the messages and connections that they tie, and go with them.
 */
import { Socket } from 'node:net'
import { SETTLE_MS } from '../../core/lifecycle.js'
import type { Tie } from '../../core/vocabulary.js'
import { ServedRequest } from '../context/served-request.js'
import { recordOf, type TrackedSocket } from '../tracked-socket.js'
import { connectionOf, endsOn, isOn, sourceOf, targetOf, type End } from './ends.js'

/** The other side of a tie. */
export interface Partner {
  readonly record: TrackedSocket
  /** What uses its connection for this tie. */
  readonly end: End
  /** What uses ours. */
  readonly own: End
  readonly by: Tie
  /** The end of one was to be the end of the other, as `pipe()` does it. */
  readonly isEnded: boolean
}

/** Connections live long and may be piped to many: at so many, and whenever they have doubled, ties to what is over are looked for. */
const MANY = 8

const ties = new WeakMap<End, Map<End, boolean>>()
/** Streams in between: a transform, a tee. Whose bytes they carry, and whether they end with it. */
const carried = new WeakMap<object, { readonly from: End; readonly isEnded: boolean }>()
/** Connections that one request after the other was piped to or from: a feed, a broker. */
const shared = new WeakSet<End>()
/** Until something is piped from a connection, a closing socket pays one comparison. */
let isAnyTied = false

export function notePipe(source: object, target: unknown, isTargetEnded: boolean): void {
  const own = sourceOf(source)
  const through = own === null && isAnyTied ? carried.get(source) : undefined
  const from = own ?? through?.from
  if (from === undefined) return
  const isEnded = isTargetEnded && through?.isEnded !== false
  const to = targetOf(target)
  if (to === null) {
    if (!canBePiped(target)) return
    isAnyTied = true
    carried.set(target, { from, isEnded })
  } else if (from !== to && connectionOf(from) !== connectionOf(to)) {
    isAnyTied = true
    tie(from, to, isEnded)
    tie(to, from, isEnded)
  }
}

function canBePiped(stream: unknown): stream is object {
  return (
    typeof stream === 'object' && stream !== null && typeof (stream as { read?: unknown }).read === 'function'
  )
}

function tie(end: End, other: End, isEnded: boolean): void {
  let others = ties.get(end)
  if (others === undefined) ties.set(end, (others = new Map()))
  if (others.size >= MANY && isPowerOfTwo(others.size))
    for (const old of others.keys()) if (userOf(old) === null) others.delete(old)
  if (others.size > 0 && !others.has(other) && end instanceof Socket && !(other instanceof Socket))
    shared.add(end)
  others.set(other, isEnded || others.get(other) === true)
}

function isPowerOfTwo(size: number): boolean {
  return (size & (size - 1)) === 0
}

/** The connection that it uses now; `null` when it is over. */
function userOf(end: End): TrackedSocket | null {
  const socket = connectionOf(end)
  const record = socket === null ? undefined : recordOf(socket)
  return record !== undefined && isOn(end, record) ? record : null
}

/** A connection has closed: what is tied to it must not hold on to it. */
export function forgetTies(socket: Socket): void {
  if (!isAnyTied) return
  for (const other of ties.get(socket)?.keys() ?? []) ties.get(other)?.delete(socket)
  ties.delete(socket)
}

/** The open connections that are tied to this one now, each once: a pipe says more than a context. */
export function partnersOf(record: TrackedSocket): Partner[] {
  const piped = isAnyTied ? [...pipedWith(record)] : []
  const worked = workedWith(record)
  if (piped.length === 0) return worked
  return [
    ...piped,
    ...worked.filter(({ record: other }) => piped.every((partner) => partner.record !== other)),
  ]
}

/** Without a look at the others, of which a connection that many share may have thousands. */
export function firstPartnerOf(record: TrackedSocket): Partner | null {
  for (const partner of pipedWith(record)) return partner
  return workedWith(record)[0] ?? null
}

function* pipedWith(record: TrackedSocket): Generator<Partner, void> {
  for (const own of endsOn(record)) {
    for (const [end, isEnded] of ties.get(own) ?? []) {
      const other = userOf(end)
      if (other !== null && other !== record) yield { record: other, end, own, by: 'pipe', isEnded }
    }
  }
}

/**
 * Is this partner there for us alone? An exchange that nobody else takes part in; or a connection that was opened for us and
 * ends with us, not one that many share.
 */
export function isThereFor(
  record: TrackedSocket,
  { record: other, end, isEnded }: Pick<Partner, 'record' | 'end' | 'isEnded'>,
): boolean {
  if (end === other.socket) {
    const isOlder = other.direction === 'outbound' && other.firstSeenMs < record.firstSeenMs - SETTLE_MS
    if (!isEnded || isOlder || shared.has(end)) return false
  }
  return !isUsedBeside(other, end, record)
}

/** Does another than this one have a part in what goes over `end` now? */
export function isUsedBeside(record: TrackedSocket, end: End, one: TrackedSocket | null): boolean {
  for (const tied of ties.get(end)?.keys() ?? []) {
    const other = userOf(tied)
    if (other !== null && other !== record && other !== one) return true
  }
  return workedWith(record).some(({ record: other, own }) => own === end && other !== one)
}

/** Exchanges of HTTP only: a plain connection that is opened in a request may be a pool's, and live for all. */
function workedWith(record: TrackedSocket): Partner[] {
  const { origin } = record
  if (origin === null) return []
  const found: Partner[] = []
  if (record.direction === 'inbound') {
    const own = record.attribution?.request ?? null
    if (own === null || origin.serving?.serves(own) !== true) return []
    for (const other of origin.serving.users()) {
      for (const end of exchangesIn(origin.serving, other)) {
        found.push({ record: other, end, own, by: 'context', isEnded: false })
      }
    }
    return found
  }
  for (const [served, own] of workOn(record)) {
    const other = served.connection
    const end = other?.attribution?.request ?? null
    if (other === null || end === null || !served.serves(end) || !isOn(end, other)) continue
    found.push({ record: other, end, own, by: 'context', isEnded: false })
  }
  return found
}

function exchangesIn(served: ServedRequest, record: TrackedSocket): End[] {
  return workOn(record)
    .filter(([work]) => work === served)
    .map(([, end]) => end)
}

/** For which accepted requests this outgoing connection is in use, and through what. */
function workOn(record: TrackedSocket): [ServedRequest, End][] {
  const { origin, socket } = record
  if (origin === null || socket.destroyed) return []
  const [, message] = endsOn(record)
  const work: [ServedRequest, End][] = []
  if (message !== undefined && origin.context instanceof ServedRequest) work.push([origin.context, message])
  for (const { request, context } of origin.exchanges ?? []) {
    if (context instanceof ServedRequest && isOn(request, record)) work.push([context, request])
  }
  return work
}
