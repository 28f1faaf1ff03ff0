// What a connection that is open both ways waits for. HTTP messages tell that by public properties, but not since when,
// so `WaitClock` notes when a census first found them waiting.
import { agoMs } from '../core/durations.js'
import type { Socket } from 'node:net'
import { readField } from '../core/foreign.js'
import type { WaitsFor } from '../core/report.js'
import {
  bytesMoved,
  clientRequestOf,
  hasNoMoreInput,
  incomingOn,
  isOpenBothWays,
  requestOn,
  responseOn,
  responseTo,
} from './fields.js'
import { isHttp2, streamsOn, type Http2Stream, type Http2Streams } from './http2.js'
import type { SocketRecord } from './record.js'
import { isAnsweredByUndici, undiciBodyOn, undiciRequestOn } from './undici.js'
import { heldBackBy, isUnanswered } from './usage.js'

export interface Wait {
  readonly for: WaitsFor
  readonly subject: object
  readonly mark: number
  /** When it began; `null` if nothing but watching can tell. */
  readonly sinceMs: number | null
  readonly unreadBytes: number
  readonly others: readonly object[]
}

export function waitOf(record: SocketRecord, streams: Http2Streams): Wait | null {
  const { socket, hint, direction, firstSeenMs } = record
  if (!isOpenBothWays(socket)) return null
  if (hint !== null && hint.handedOverMs !== 0)
    return isUnanswered(socket, hint) ? known('answer', record, hint.handedOverMs) : null
  const wait = direction === 'inbound' ? waitOfServed(socket) : waitOfAsking(socket, streams)
  if (wait !== null) return wait
  const isUnused = bytesMoved(socket) === 0 && heldBackBy(socket) === null && !isHttp2(socket)
  return isUnused ? known('use', record, firstSeenMs) : null
}

function known(what: WaitsFor, subject: object, sinceMs: number): Wait {
  return { for: what, subject, mark: 0, sinceMs, unreadBytes: 0, others: [] }
}

export function watched(what: WaitsFor, subject: object, mark: number, unreadBytes = 0): Wait {
  return { for: what, subject, mark, sinceMs: null, unreadBytes, others: [] }
}

function waitOfStreams([oldest, ...others]: readonly Http2Stream[]): Wait | null {
  return oldest === undefined ? null : { ...watched('answer', oldest, 0), others }
}

function waitOfServed(socket: Socket): Wait | null {
  const wait = waitOfStreams(streamsOn(socket).filter((one) => readField(one, 'headersSent') === false))
  if (wait !== null) return wait
  const response = responseOn(socket)
  if (response === null || readField(response, 'headersSent') !== false) return null
  const incoming = incomingOn(socket)
  if (incoming !== null && readField(incoming, 'readableFlowing') !== null) return null
  const request = requestOn(socket)
  return watched('answer', response, bytesMoved(socket), request === null ? 0 : unreadIn(request))
}

function waitOfAsking(socket: Socket, streams: Http2Streams): Wait | null {
  if (isHttp2(socket))
    return waitOfStreams(streams.unansweredOn(socket).filter((one) => !hasNoMoreInput(one)))
  const request = clientRequestOf(socket)
  if (request !== null) {
    const answer = responseTo(request)
    if (answer !== null) return waitForReader(request, answer)
    const isEnded = readField(request, 'writableEnded') !== false
    return watched(isEnded ? 'answer' : 'end', request, bytesMoved(socket))
  }
  const fetched = undiciRequestOn(socket)
  if (fetched === null) return null
  const body = undiciBodyOn(socket)
  if (body !== null) return waitForReader(fetched, body)
  return isAnsweredByUndici(socket) ? null : watched('answer', fetched, bytesMoved(socket))
}

/** An answer without a body occupies its connection too, until its end is read. */
function waitForReader(subject: object, answer: object): Wait | null {
  const unreadBytes = unreadIn(answer)
  const isThere = unreadBytes > 0 || readField(answer, 'complete') === true
  const isRead = readField(answer, 'readableFlowing') === true || readField(answer, 'readableEnded') === true
  return isThere && !isRead ? watched('reader', subject, unreadBytes, unreadBytes) : null
}

function unreadIn(message: object): number {
  return Number(readField(message, 'readableLength')) || 0
}

export class WaitClock {
  readonly #began = new WeakMap<object, Pick<Wait, 'for' | 'mark'> & { readonly sinceMs: number }>()

  note({ subject, for: what, mark, sinceMs }: Wait, nowMs: number): void {
    const known = this.#began.get(subject)
    if (sinceMs !== null || (known?.for === what && known.mark === mark)) return
    this.#began.set(subject, { for: what, mark, sinceMs: nowMs })
  }

  msOf({ subject, for: what, mark, sinceMs }: Wait, nowMs: number): number {
    const known = this.#began.get(subject)
    if (sinceMs !== null) return agoMs(sinceMs, nowMs)
    return known?.for === what && known.mark === mark ? agoMs(known.sinceMs, nowMs) : 0
  }
}
