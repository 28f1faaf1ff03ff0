// What `node:http2` keeps on a socket (lib/internal/http2/core.js, Node 20.20, 22.23, 24.21 and 26.10). `Http2Session`
// sits under the name "undefined", because that file imports a symbol that is not exported. Once a session has ended,
// the name stays and holds nothing. Its `state` has `streams` and `pendingStreams`; a stream of the compatibility API
// has its Http2ServerRequest under `request`.
import type { Socket } from 'node:net'
import { bySymbol, listenersOf, readAny, readField } from '../core/foreign.js'
import type { SessionFacts } from '../judge/facts.js'
import { Given } from './record.js'

/** True even if the session has let go of the socket. */
export function isHttp2(socket: Socket): boolean {
  return 'undefined' in socket || Object.getOwnPropertySymbols(socket).some(isOfSession)
}

function isOfSession({ description }: symbol): boolean {
  return description === 'kBoundSession' || description === 'session'
}

export function sessionOn(socket: Socket): Session | null {
  try {
    const { undefined: session = null } = socket as { readonly undefined?: Session | null }
    return typeof session === 'object' ? session : null
  } catch {
    return null
  }
}

export interface Session {
  readonly connecting: boolean
  close(): void
  destroy(): void
}

export interface Http2Stream {
  destroy(): void
}

export function unreadOn(stream: Http2Stream): number {
  return Number(readField(stream, 'readableLength')) || 0
}

export function unsentOn(stream: Http2Stream): number {
  return Number(readField(stream, 'writableLength')) || 0
}

export function idOf(stream: Http2Stream): number | null {
  return (readField(stream, 'id') as number | undefined) ?? null
}

const MOST_STREAMS = 1000

export function streamsOn(socket: Socket): Http2Stream[] {
  const session = sessionOn(socket)
  return session === null ? [] : streamsOf(session)
}

function streamsOf(session: Session): Http2Stream[] {
  const state = stateOf(session)
  if (state === undefined) return []
  return [...state.streams.values(), ...state.pendingStreams].slice(0, MOST_STREAMS)
}

export function pendingStreamsOn(socket: Socket): Http2Stream[] {
  const session = sessionOn(socket)
  return session === null ? [] : [...(stateOf(session)?.pendingStreams ?? [])]
}

interface SessionState {
  readonly streams: ReadonlyMap<number, Http2Stream>
  readonly pendingStreams: ReadonlySet<Http2Stream>
}

function stateOf(session: Session): SessionState | undefined {
  return bySymbol(session, 'state') as SessionState | undefined
}

/** The request as the application has it: the stream itself if it listens for `'stream'`. */
export function requestOfStream(stream: Http2Stream): object {
  return (bySymbol(stream, 'request') as object | null | undefined) ?? stream
}

export function streamOfRequest(request: object): object | null {
  const stream = Heard.of(request) === undefined ? readField(request, 'stream') : request
  const isStream = typeof stream === 'object' && stream !== null && 'rstCode' in stream
  return isStream ? stream : null
}

/** A private field on a stream: Node keeps the headers of an accepted one nowhere. */
class Heard extends Given {
  #headers: object | undefined

  static readonly note = (stream: object, headers: object): void => {
    const heard = #headers in stream ? stream : new Heard(stream)
    heard.#headers = headers
  }

  static readonly of = (stream: object): object | undefined =>
    #headers in stream ? stream.#headers : undefined
}

export const { note: noteHeaders } = Heard

export function headersOf(stream: object): object | null {
  const headers = Heard.of(stream) ?? readField(stream, 'sentHeaders')
  return typeof headers === 'object' && headers !== null && ':path' in headers ? headers : null
}

/** The application closed the session, and either no stream is open or output holds up its end. */
export function isEnding(session: SessionFacts | null, unsentBytes: number): boolean {
  return session?.isClosed === true && (session.openStreams === 0 || unsentBytes > 0)
}

function receivedOn(socket: Socket): number {
  return Number(readField(socket, 'bytesRead')) || 0
}

/** `handleKey`: the symbol under which Node keeps the handle of a session and of its streams. */
function receivedBy(stream: Http2Stream, handleKey: symbol | undefined): number {
  const handle = handleKey === undefined ? undefined : readAny(stream, handleKey)
  return typeof handle === 'object' && handle !== null ? Number(readField(handle, 'bytesRead')) || 0 : 0
}

function handleKeyOf(session: Session): symbol | undefined {
  return Object.getOwnPropertySymbols(session).find(({ description }) => description === 'kHandle')
}

function weightOf(stream: Http2Stream): number {
  return Number(readField(readField(stream, 'state') ?? {}, 'weight')) || DEFAULT_WEIGHT
}

function hasNoData(stream: Http2Stream, handle: symbol | undefined): boolean {
  const isClosed = readField(stream, 'closed') === true
  return !isClosed && unreadOn(stream) === 0 && receivedBy(stream, handle) === 0
}

/** Of a client that allows no table nothing is known. */
function hasRememberedNothing(session: Session): boolean {
  if (readField(readField(session, 'state') ?? {}, 'inflateDynamicTableSize') !== 0) return false
  return readField(readField(session, 'localSettings') ?? {}, 'headerTableSize') !== 0
}

/** A listener of `once()` is gone after the first answer. */
function isAwaited(stream: Http2Stream): boolean {
  return listenersOf(stream, 'response', 'rawListeners').some((one) => 'listener' in one)
}

interface Note {
  readonly firstSeenMs: number
  /** What the session had received, if no byte came between the looks before and after the stream was opened. */
  readonly silentAt: number | null
  movedMs: number
  unread: number
  unsent: number
  received: number
  sent: number
  /** What the session had sent when `unsent` last changed. */
  sentBefore: number
}

/** Up to so many bytes between two looks may be control frames: pings, window updates. */
const CONTROL_BYTES = 128

/** Node's default; the peer or the application may have asked for less. */
const DEFAULT_WEIGHT = 16
/** How many times its share of the session's output a stream may miss before it is its own window that holds it up. */
const MOST_MISSED = 4

function newNote(
  stream: Http2Stream,
  received: number,
  sent: number,
  silentAt: number | null,
  nowMs: number,
): Note {
  const [unread, unsent] = [unreadOn(stream), unsentOn(stream)]
  return { firstSeenMs: nowMs, silentAt, movedMs: nowMs, unread, unsent, received, sent, sentBefore: sent }
}

function renew(
  note: Note,
  stream: Http2Stream,
  received: number,
  sent: number,
  streams: number,
  nowMs: number,
): void {
  const [unread, unsent] = [unreadOn(stream), unsentOn(stream)]
  if (unsent !== note.unsent) note.sentBefore = sent
  const hasRead = received > note.received || unread < note.unread
  const hasSent =
    unsent !== note.unsent ||
    (unsent > 0 && sent - note.sent > CONTROL_BYTES && maySend(stream, sent - note.sentBefore, streams))
  if (hasRead || hasSent) note.movedMs = nowMs
  note.unread = unread
  note.unsent = unsent
  note.received = received
  note.sent = sent
}

/** Only whole chunks leave what is unsent, so the session's bytes may be its own. Streams send in turns, by weight. */
function maySend(stream: Http2Stream, sentBySession: number, streams: number): boolean {
  const turns = sentBySession / (unsentOn(stream) * streams * MOST_MISSED)
  return turns < 1 || turns < DEFAULT_WEIGHT / weightOf(stream)
}

/** A session may be busy while one of its streams stands still, so each stream is noted. */
export class Http2Streams {
  readonly #notes = new WeakMap<object, Note>()
  readonly #receivedBy = new WeakMap<object, number>()

  look(socket: Socket, bytesAccepted: (socket: Socket) => number, now: () => number): SessionFacts | null {
    const session = sessionOn(socket)
    if (session === null) return null
    const sent = bytesAccepted(socket)
    const nowMs = now()
    const received = receivedOn(socket)
    const silentAt = this.#receivedBy.get(session) === received ? received : null
    this.#receivedBy.set(session, received)
    const streams = streamsOf(session)
    const handle = handleKeyOf(session)
    for (const stream of streams) {
      const note = this.#notes.get(stream)
      if (note === undefined)
        this.#notes.set(stream, newNote(stream, receivedBy(stream, handle), sent, silentAt, nowMs))
      else renew(note, stream, receivedBy(stream, handle), sent, streams.length, nowMs)
    }
    return this.#facts(session, streams)
  }

  // Requests whose answer has not begun. Node does not keep whether it has. These prove that it has not: the session
  // never had a header to remember (RFC 7541, section 2.3.2; a `:status` alone leaves none), no byte has come since, or
  // somebody waits for it by `once()`.
  unansweredOn(socket: Socket): Http2Stream[] {
    const session = sessionOn(socket)
    if (session === null) return []
    const received = receivedOn(socket)
    const handle = handleKeyOf(session)
    const silent = streamsOf(session).filter((stream) => hasNoData(stream, handle))
    if (silent.length === 0 || hasRememberedNothing(session)) return silent
    return silent.filter(
      (stream) =>
        idOf(stream) === null || this.#notes.get(stream)?.silentAt === received || isAwaited(stream),
    )
  }

  factsOf(socket: Socket): SessionFacts | null {
    const session = sessionOn(socket)
    return session === null ? null : this.#facts(session, streamsOf(session))
  }

  #facts(session: Session, streams: readonly Http2Stream[]): SessionFacts {
    const held = this.#heldLongest(streams)
    const note = held === null ? undefined : this.#notes.get(held)
    const isClosed = readField(session, 'closed') === true
    return {
      isClosed,
      openStreams: streams.filter((stream) => readField(stream, 'closed') !== true).length,
      held:
        held === null || note === undefined
          ? null
          : {
              unreadBytes: unreadOn(held),
              unsentBytes: unsentOn(held),
              // A session that is closed ends with its last stream, so that one which moves keeps it alive.
              movedMs: isClosed ? this.#lastMovedMs(streams) : note.movedMs,
            },
    }
  }

  #lastMovedMs(streams: readonly Http2Stream[]): number {
    return Math.max(...streams.map((stream) => this.#notes.get(stream)?.movedMs ?? 0))
  }

  #heldLongest(streams: readonly Http2Stream[]): Http2Stream | null {
    let longest: Http2Stream | null = null
    let sinceMs = Infinity
    for (const stream of streams) {
      const movedMs = this.#notes.get(stream)?.movedMs ?? Infinity
      if (movedMs >= sinceMs || unreadOn(stream) + unsentOn(stream) === 0) continue
      longest = stream
      sinceMs = movedMs
    }
    return longest
  }

  chief(socket: Socket): Http2Stream | null {
    const streams = streamsOn(socket)
    return this.#heldLongest(streams) ?? (streams.length === 1 ? streams[0]! : null)
  }

  firstSeenMs(stream: Http2Stream): number | null {
    return this.#notes.get(stream)?.firstSeenMs ?? null
  }
}
