// All reads of the private fields of Node's sockets, each behind a capability check (Node 20.20, 22.23, 24.21, 26.10):
// - `_handle`: lib/net.js; null before connect, after destroy and after a hand-over to another process
// - `_handle.reading`: lib/internal/stream_base_commons.js `onStreamRead`; true after EOF, and in http2 up to Node 24
// - `_handle.getpeername(out)`: src/tcp_wrap.cc; returns a negative errno, TLSWrap forwards it
// - `_handle.writeQueueSize`: bytes in libuv's queue; `_handle.bytesWritten`: bytes handed to libuv
// - `_httpMessage`: the ServerResponse being sent (lib/_http_server.js `assignSocket`), or the ClientRequest, `null` in
//   a pool (lib/_http_client.js `tickOnSocket`); an `Agent` listens for `'agentRemove'` meanwhile (lib/_http_agent.js)
// - `_host`: the name that `connect()` looked up (lib/net.js `lookupAndConnect`)
// - `_writableState.writelen`: lib/internal/streams/writable.js; size of the chunk being written, else 0
// - `parser.incoming`: lib/_http_server.js `parserOnIncoming`; the latest request, until it is read and answered
// - `_readableState.pipes`: lib/internal/streams/readable.js `Readable.prototype.pipe`; the current destinations
// - `ClientRequest.res`: lib/_http_client.js `parserOnIncomingClient`; set once the response's head is there
// - `_readableState.readable`, `_writableState.writable`: lib/internal/streams/duplex.js; false for a missing direction
// - `_readableState.ended`: lib/internal/streams/readable.js `onEofChunk`; true even if `'end'` is still to come
import { Socket, type Server } from 'node:net'
import { hasListener, readField, type ForeignField } from '../core/foreign.js'
import type { Facts, SessionFacts } from '../judge/facts.js'
import type { KernelFacts } from '../core/kernel-facts.js'
import type { Endpoint } from '../core/report.js'
import type { Direction } from '../core/vocabulary.js'
import { tolerantRecord, type Addresses, type SocketRecord } from './record.js'
import { isEnding, isHttp2 } from './http2.js'
import { isHeldByUndici, undiciBodyOn } from './undici.js'

interface Handle {
  readonly fd?: number
  readonly reading?: boolean
  readonly writeQueueSize?: number
  readonly bytesRead?: number
  readonly bytesWritten?: number
  getpeername?(out: PeerName): number
  getsockname?(out: PeerName): number
  reset?(callback?: () => void): number
  close?(callback?: () => void): void
  hasRef?(): boolean
  setKeepAlive?(enable: boolean, delaySeconds: number, intervalSeconds?: number, count?: number): number
  readonly _parent?: Handle
}

interface PeerName {
  address?: string
  port?: number
}

interface SocketFields {
  readonly _host?: unknown
  readonly _handle?: Handle | null
  readonly _httpMessage?: unknown
  readonly parser?: unknown
  readonly server?: Server | null
  readonly _parent?: Socket | null
  readonly _readableState?: {
    readonly ended?: boolean
    readonly readable?: boolean
    readonly pipes?: unknown
  }
  readonly _writableState?: { readonly writelen?: number; readonly writable?: boolean }
}

function objectAt(object: object | null, key: ForeignField): object | null {
  const value = object === null ? null : readField(object, key)
  return typeof value === 'object' ? value : null
}

function fieldsOf(socket: object): SocketFields {
  return socket
}

function handleOf(socket: Socket): Handle | null {
  return fieldsOf(socket)._handle ?? null
}

export function hasReadableFields(socket: Socket): boolean {
  const fields = fieldsOf(socket)
  return '_handle' in fields && typeof fields._readableState?.ended === 'boolean'
}

// A few property reads, no system call. A socket that is not being read is odd: Node would not notice its end.
export function isOdd(socket: Socket): boolean {
  return isEofReceived(socket) || socket.writableEnded || !isReading(handleOf(socket))
}

/** Before its first read a handle that `connect()` made has no such property. */
function isReading(handle: Handle | null): boolean {
  return handle === null || handle.reading === true
}

export function isOpenBothWays(socket: Socket): boolean {
  return !socket.connecting && !socket.destroyed && !socket.writableEnded && !isEofReceived(socket)
}

/** Not connected yet, or sent to another process by `child.send`, after which no `'close'` comes. */
export function hasNoHandle(socket: Socket): boolean {
  return handleOf(socket) === null && !socket.destroyed && !socket.connecting
}

/** Undocumented (lib/internal/process/per_thread.js; Node 20.20, 22.23, 24.21 and 26.10). */
export function activeHandles(): readonly unknown[] {
  return (process as { _getActiveHandles?(): readonly unknown[] })._getActiveHandles?.() ?? []
}

export function descriptorOf(socket: Socket): number {
  return handleOf(socket)?.fd ?? -1
}

export function isTcp(socket: Socket): boolean {
  return typeof tcpHandleOf(socket)?.getpeername === 'function'
}

export function isEofReceived(socket: Socket): boolean {
  return fieldsOf(socket)._readableState?.ended === true
}

export function hasNoMoreInput(stream: object): boolean {
  return readField(readField(stream, '_readableState') ?? {}, 'ended') === true
}

export function rawSocketOf(socket: Socket): Socket | null {
  return fieldsOf(socket)._parent ?? null
}

export function serverOf(socket: Socket): Server | null {
  try {
    const { server = null } = fieldsOf(socket)
    return typeof server === 'object' ? server : null
  } catch {
    return null
  }
}

export function listeningDescriptorOf(socket: Socket): number {
  return (serverOf(socket) as { readonly _handle?: Handle | null } | null)?._handle?.fd ?? -1
}

export function directionOf(socket: Socket): Direction {
  return serverOf(socket) === null ? 'outbound' : 'inbound'
}

export function clientRequestOf(socket: Socket): object | null {
  return objectAt(socket, '_httpMessage')
}

export function responseTo(request: object): object | null {
  return objectAt(request, 'res')
}

export function pipesOf(stream: object): readonly unknown[] {
  try {
    const pipes = fieldsOf(stream)._readableState?.pipes
    return Array.isArray(pipes) ? pipes : NO_PIPES
  } catch {
    return NO_PIPES
  }
}

const NO_PIPES: readonly unknown[] = []

/** An agent of `node:http` holds the socket: it was neither upgraded nor taken over. */
export function isHeldByAgent(socket: Socket): boolean {
  return hasListener(socket, 'agentRemove')
}

export function hostNameOf(socket: Socket): string | null {
  const name = fieldsOf(socket)._host
  return typeof name === 'string' ? name : null
}

export function hasBlockedOutput(socket: Socket): boolean {
  return socket.writableLength > 0 || (handleOf(socket)?.writeQueueSize ?? 0) > 0
}

export function isTls(socket: Socket): boolean {
  return (socket as { encrypted?: boolean }).encrypted === true
}

// The liveness oracle: has the kernel closed the connection (ENOTCONN)? It consumes nothing. `socket.remoteAddress`
// would not do: its cached answer survives the connection. Returns `null` if connecting, without a handle, or not TCP.
export function isDisconnected(socket: Socket): boolean | null {
  const handle = handleOf(socket)
  if (handle === null || socket.connecting || typeof handle.getpeername !== 'function') return null
  return handle.getpeername({}) === -enotconn()
}

/** Loads node:os at the first suspect, not at start. */
function enotconn(): number {
  return process.getBuiltinModule('node:os').constants.errno.ENOTCONN
}

/** Local and remote end are the same address and port (TCP simultaneous open, RFC 9293, 3.5). */
export function isSelfConnected(socket: Socket): boolean {
  const handle = handleOf(socket)
  if (typeof handle?.getpeername !== 'function' || typeof handle.getsockname !== 'function') return false
  const peer: PeerName = {}
  const local: PeerName = {}
  if (handle.getpeername(peer) !== 0 || handle.getsockname(local) !== 0) return false
  return peer.port !== undefined && peer.port === local.port && peer.address === local.address
}

export function tcpHandleOf(socket: Socket): Handle | null | undefined {
  const handle = handleOf(socket)
  return isTls(socket) ? handle?._parent : handle
}

/** Asks the handle, because `socket.remoteAddress` would cache the answer on the socket. */
export function readAddresses(socket: Socket): Addresses {
  return { local: readAddress(socket, 'local'), remote: readAddress(socket, 'remote') }
}

export function readAddress(socket: Socket, end: keyof Addresses): Endpoint | null {
  const name: PeerName = {}
  if (
    handleOf(socket)?.[end === 'local' ? 'getsockname' : 'getpeername']?.(name) !== 0 ||
    name.address === undefined
  )
    return null
  return { address: name.address, port: name.port ?? null }
}

export function bytesMoved(socket: Socket): number {
  return numberAt(socket, 'bytesRead') + numberAt(socket, 'bytesWritten')
}

function numberAt(object: object, key: ForeignField): number {
  return Number(readField(object, key)) || 0
}

export function responseOn(socket: Socket): object | null {
  return objectAt(socket, '_httpMessage')
}

// The request that occupies an accepted HTTP connection: an incomplete one, else the first of pipelined requests.
export function requestOn(socket: Socket): object | null {
  if (isPlain(socket)) return null
  const incoming = objectAt(objectAt(socket, 'parser'), 'incoming')
  if (incoming !== null && readField(incoming, 'complete') === false) return incoming
  return objectAt(objectAt(socket, '_httpMessage'), 'req') ?? incoming
}

/** No HTTP/1 uses it. The same as two calls of `readField()`, and several times as quick. */
function isPlain(socket: Socket): boolean {
  try {
    const { parser, _httpMessage } = fieldsOf(socket)
    return parser == null && _httpMessage == null
  } catch {
    return false
  }
}

export function isServedByHttp(socket: Socket): boolean {
  return objectAt(socket, 'parser') !== null && serverOf(socket) !== null
}

export function incomingOn(socket: Socket): object | null {
  const incoming = objectAt(objectAt(socket, 'parser'), 'incoming')
  return incoming !== null && readField(incoming, 'complete') === false ? incoming : null
}

// Its reader took everything and waits for more (lib/internal/streams/readable.js `Readable.prototype.read`).
export function isAskingForMore(stream: object): boolean {
  return readField(readField(stream, '_readableState') ?? {}, 'reading') === true
}

// The stream the application reads: the socket, or an HTTP body behind undici's decoders; `null` if unknown.
function readerEndOf(socket: Socket): object | null {
  if (objectAt(socket, 'parser') !== null) return incomingOn(socket)
  if (isHttp2(socket)) return null
  if (!isHeldByUndici(socket)) return socket
  let end = undiciBodyOn(socket)
  for (let decoders = 0; decoders < MOST_DECODERS; decoders += 1) {
    const [next] = end === null ? [] : pipesOf(end)
    if (typeof next !== 'object' || next === null) break
    end = next
  }
  return end
}

const MOST_DECODERS = 5

// Has the application asked for incoming data? `readableFlowing` is `null` before the first `'data'` or
// `'readable'` listener, pipe, reader, `resume()` or `pause()`, and after a `'readable'` listener is removed
// (lib/internal/streams/readable.js). Unknown counts as asked.
function isAskedFor(socket: Socket): boolean {
  const end = readerEndOf(socket)
  return (
    end === null || readField(end, 'readableFlowing') !== null || readField(end, 'readableDidRead') === true
  )
}

export function bytesAccepted(socket: Socket): number {
  const handle = objectAt(socket, '_handle') ?? {}
  return Math.max(0, numberAt(handle, 'bytesWritten') - numberAt(handle, 'writeQueueSize'))
}

/** A property that throws looks healthy. */
export function readFacts(
  record: SocketRecord,
  disconnected: boolean | null,
  kernel: KernelFacts | null,
  abandoned: Facts['abandoned'],
  session: SessionFacts | null,
): Facts {
  try {
    return fieldFacts(record, disconnected, kernel, abandoned, session)
  } catch {
    const facts = fieldFacts(tolerantRecord(record), disconnected, kernel, abandoned, session)
    return { ...UNREADABLE, ...Object.fromEntries(Object.entries(facts).filter(([, fact]) => isKnown(fact))) }
  }
}

function isKnown(fact: unknown): boolean {
  return fact !== undefined && !Number.isNaN(fact)
}

const UNREADABLE: Facts = {
  connecting: false,
  destroyed: false,
  readable: true,
  writable: true,
  eofReceived: false,
  eofConsumed: false,
  localEnded: false,
  localFinished: false,
  reading: true,
  asked: true,
  unreadBytes: 0,
  unsentBytes: 0,
  bytesRead: 0,
  bytesAccepted: 0,
  selfConnected: false,
  abandoned: null,
  session: null,
  disconnected: null,
  kernel: null,
}

/** One object literal, because spreading two objects takes longer. */
function fieldFacts(
  { socket, selfConnected, hint }: SocketRecord,
  disconnected: boolean | null,
  kernel: KernelFacts | null,
  abandoned: Facts['abandoned'],
  session: SessionFacts | null,
): Facts {
  const fields = fieldsOf(socket)
  const handle = fields._handle ?? null
  const queued = handle?.writeQueueSize ?? 0
  const readable = fields._readableState?.readable !== false
  const writable = fields._writableState?.writable !== false
  const isEndUnheard = hint?.isUnderTls === true && kernel?.peerEnded === true
  const eofReceived = fields._readableState?.ended === true || isEndUnheard
  const reading = isReading(handle)
  const held = session?.held ?? null
  const unsentBytes = unsentIn(socket, queued) || (held?.unsentBytes ?? 0)
  return {
    connecting: socket.connecting,
    destroyed: socket.destroyed,
    readable: readable && ((socket.readable ?? true) || eofReceived),
    writable: writable && ((socket.writable ?? true) || socket.writableEnded),
    eofReceived: readable && eofReceived,
    eofConsumed: readable && (socket.readableEnded || isEndUnheard),
    localEnded: writable && (socket.writableEnded || isEnding(session, unsentBytes)),
    localFinished: writable && socket.writableFinished,
    reading,
    asked: reading || isAskedFor(socket),
    unreadBytes: socket.readableLength + (held?.unreadBytes ?? 0),
    unsentBytes,
    bytesRead: handle?.bytesRead ?? 0,
    bytesAccepted: Math.max(0, (handle?.bytesWritten ?? 0) - queued),
    selfConnected: selfConnected === true,
    abandoned,
    session,
    disconnected,
    kernel,
  }
}

// Bytes still in this process. A stream counts a chunk as unsent until all of it is written, though the
// kernel may have most of it. TLS changes the sizes, so there the whole chunk counts.
function unsentIn(socket: Socket, queued: number): number {
  if (isTls(socket)) return Math.max(socket.writableLength, queued)
  const underWay = fieldsOf(socket)._writableState?.writelen ?? 0
  return socket.writableLength - underWay + queued
}
