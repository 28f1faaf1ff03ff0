/**
 * The one file that reads private fields of Node's sockets, each behind a capability check.
 *
 * What it rests on (checked on Node 20.20, 22.23, 24.21 and 26.10):
 * - `_handle`: lib/net.js; null before connect, after destroy and after a hand-over to another process
 * - `_handle.reading`: lib/internal/stream_base_commons.js `onStreamRead`; false once the handle was told to stop
 *   (stale `true` after EOF; http2 sessions up to Node 24 leave it `true` while they don't read)
 * - `_handle.getpeername(out)`: src/tcp_wrap.cc; returns a negative errno, TLSWrap forwards it
 * - `_handle.writeQueueSize`: libuv's queue in bytes; `_handle.bytesWritten`: handed to libuv so far
 * - `_httpMessage`: of an accepted socket, the ServerResponse that is being sent (lib/_http_server.js `assignSocket`);
 *   of an outgoing one, the ClientRequest for which it is in use, `null` while it waits in a pool (lib/_http_client.js
 *   `tickOnSocket`, lib/_http_agent.js `Agent` on `'free'`, which also listens for `'agentRemove'` as long as it has the socket)
 * - `_host`: the name that was looked up for `connect()` (lib/net.js `lookupAndConnect`)
 * - `_writableState.writelen`: lib/internal/streams/writable.js; the size of the chunk that is being written, else 0
 * - `parser.incoming`: lib/_http_server.js `parserOnIncoming`; the latest request, until its body has been read and it is answered
 * - `_readableState.pipes`: lib/internal/streams/readable.js `Readable.prototype.pipe`; where a stream is piped to at this moment
 * - `kSetKeepAlive`: lib/net.js `Socket` and `setKeepAlive`, a symbol; a TLS handle forwards `setKeepAlive` to `_parent`
 * - `ClientRequest.res`: lib/_http_client.js `parserOnIncomingClient`; the response, once its head is there
 * - `_readableState.readable`, `_writableState.writable`: lib/internal/streams/duplex.js; false for a direction that the socket was
 *   made without, which counts as ended from the beginning
 * - `_readableState.ended`: lib/internal/streams/readable.js `onEofChunk`; true while `'end'` is still kept back
 */
import { Socket, type Server } from 'node:net'
import { readField } from '../core/foreign.js'
import type { Facts } from '../judge/facts.js'
import type { KernelFacts } from '../core/kernel-facts.js'
import type { Endpoint } from '../core/report.js'
import type { Direction } from '../core/vocabulary.js'
import type { Addresses, SocketRecord } from './record.js'
import { pipeAt } from './target.js'
import { isHeldByUndici, undiciBodyOn } from './undici.js'

/** What is used of a TCP, Pipe or TLS handle; everything may be missing. */
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
  setKeepAlive?(enable: boolean, delaySeconds: number, intervalSeconds?: number, count?: number): number
  readonly _parent?: Handle
}

interface PeerName {
  address?: string
  port?: number
}

interface SocketFields {
  readonly _httpMessage?: object | null
  readonly parser?: { readonly incoming?: object | null } | null
  readonly _host?: unknown
  readonly _handle?: Handle | null
  readonly _parent?: Socket | null
  readonly _readableState?: {
    readonly ended?: boolean
    readonly readable?: boolean
    readonly pipes?: unknown
  }
  readonly _writableState?: { readonly writelen?: number; readonly writable?: boolean }
}

function fieldsOf(socket: object): SocketFields {
  return socket
}

function handleOf(socket: Socket): Handle | null {
  return fieldsOf(socket)._handle ?? null
}

/** Can this version of Node's handles be read at all? Asked once, of a socket that was never connected. */
export function hasReadableFields(socket: Socket): boolean {
  const fields = fieldsOf(socket)
  return '_handle' in fields && typeof fields._readableState?.ended === 'boolean'
}

/**
 * The sweep's only question to a healthy socket: is anything odd? A few property reads, and no system call.
 * Not reading is no fault (it is how back-pressure works), but Node is blind then, so the oracle must be asked.
 */
export function isOdd(socket: Socket): boolean {
  const fields = fieldsOf(socket)
  return fields._readableState?.ended === true || socket.writableEnded || fields._handle?.reading === false
}

/** Not connected yet, or handed to another process, after which `'close'` will never come (`child.send`). */
export function hasNoHandle(socket: Socket): boolean {
  return handleOf(socket) === null && !socket.destroyed && !socket.connecting
}

/** Node keeps this list for itself, but for years (lib/internal/process/per_thread.js; Node 20.20, 22.23, 24.21 and 26.10). */
export function activeHandles(): readonly unknown[] {
  return (process as { _getActiveHandles?(): readonly unknown[] })._getActiveHandles?.() ?? []
}

/** The descriptor at this very moment, -1 when there is none. Windows has none to show. */
export function descriptorOf(socket: Socket): number {
  return handleOf(socket)?.fd ?? -1
}

/** TCP, or TLS over TCP: anything that has a peer address. Pipes and terminals have not. */
export function isTcp(socket: Socket): boolean {
  return typeof tcpHandleOf(socket)?.getpeername === 'function'
}

/** The raw socket under a TLSSocket, when there is one as a JavaScript object. */
export function rawSocketOf(socket: Socket): Socket | null {
  return fieldsOf(socket)._parent ?? null
}

/** The server that accepted the socket (lib/net.js `onconnection`); an outgoing one has none. */
export function serverOf(socket: Socket): Server | null {
  return (socket as { server?: Server | null }).server ?? null
}

/** What its server listens on; -1 where that is not known, or it listens no more. */
export function listeningDescriptorOf(socket: Socket): number {
  return (serverOf(socket) as { readonly _handle?: Handle | null } | null)?._handle?.fd ?? -1
}

export function directionOf(socket: Socket): Direction {
  return serverOf(socket) === null ? 'outbound' : 'inbound'
}

/** The request of `node:http` that an outgoing socket serves right now. */
export function clientRequestOf(socket: Socket): object | null {
  return fieldsOf(socket)._httpMessage ?? null
}

/** The response to a request of `node:http`, once its head has come. */
export function responseTo(request: object): object | null {
  const response = readField(request, 'res')
  return typeof response === 'object' ? response : null
}

/** Where a stream is piped to at this moment. */
export function pipesOf(stream: object): readonly unknown[] {
  const pipes = readField(readField(stream, '_readableState') ?? {}, 'pipes')
  return Array.isArray(pipes) ? pipes : []
}

/** An agent of `node:http` has it; one that was upgraded or taken over belongs to none. */
export function isHeldByAgent(socket: Socket): boolean {
  return socket.listenerCount('agentRemove') > 0
}

/** The name that the application connected to; `null` where it gave an address. */
export function hostNameOf(socket: Socket): string | null {
  const name = fieldsOf(socket)._host
  return typeof name === 'string' ? name : null
}

/** Bytes are waiting in the stream, or in libuv because the kernel takes no more. */
export function hasBlockedOutput(socket: Socket): boolean {
  return socket.writableLength > 0 || (handleOf(socket)?.writeQueueSize ?? 0) > 0
}

export function isTls(socket: Socket): boolean {
  return (socket as { encrypted?: boolean }).encrypted === true
}

/**
 * The liveness oracle: ENOTCONN exactly when the kernel has closed the connection. Nothing is consumed.
 * Does not go through `socket.remoteAddress`, which is cached and goes on "working" on a dead socket.
 *
 * @returns `null` when it can't be asked: still connecting, no handle, or not TCP
 */
export function isDisconnected(socket: Socket): boolean | null {
  const handle = handleOf(socket)
  if (handle === null || socket.connecting || typeof handle.getpeername !== 'function') return null
  return handle.getpeername({}) === -enotconn()
}

/** node:os is loaded at the first suspect, and not at start. */
function enotconn(): number {
  return process.getBuiltinModule('node:os').constants.errno.ENOTCONN
}

/** A client that met itself: local and remote address and port are equal (TCP simultaneous open, RFC 9293, 3.5). */
export function isSelfConnected(socket: Socket): boolean {
  const handle = handleOf(socket)
  if (typeof handle?.getpeername !== 'function' || typeof handle.getsockname !== 'function') return false
  const peer: PeerName = {}
  const local: PeerName = {}
  if (handle.getpeername(peer) !== 0 || handle.getsockname(local) !== 0) return false
  return peer.port !== undefined && peer.port === local.port && peer.address === local.address
}

/** Where lib/net.js keeps what the application last asked for, through whatever API. */
const KEEP_ALIVE = symbolOf(new Socket(), 'kSetKeepAlive')

function symbolOf(object: object, name: string): symbol | undefined {
  return Object.getOwnPropertySymbols(object).find(({ description }) => description === name)
}

function keptKeepAlive(socket: Socket): unknown {
  return KEEP_ALIVE === undefined ? undefined : (socket as unknown as Record<symbol, unknown>)[KEEP_ALIVE]
}

/** Has the application switched keep-alive on? A TLS server's option is kept on the raw socket under the TLSSocket. */
export function isKeepAliveOn(socket: Socket): boolean {
  const raw = rawSocketOf(socket)
  return keptKeepAlive(socket) === true || (raw !== null && keptKeepAlive(raw) === true)
}

/**
 * Switches keep-alive on (or off, with 0 seconds) behind Node's back: what Node keeps of it stays the application's word. Node
 * before 24.19 and 26.4 ignores interval and count.
 *
 * @returns whether the handle took it
 */
export function writeKeepAlive(
  socket: Socket,
  idleSeconds: number,
  intervalSeconds?: number,
  count?: number,
): boolean {
  const tcp = tcpHandleOf(socket)
  return tcp?.setKeepAlive?.(idleSeconds > 0, idleSeconds, intervalSeconds, count) === 0
}

/** The TCP handle itself: that of a TLSSocket lies under its TLSWrap. */
export function tcpHandleOf(socket: Socket): Handle | null | undefined {
  const handle = handleOf(socket)
  return isTls(socket) ? handle?._parent : handle
}

/**
 * An HTTP/2 session has the socket (lib/internal/http2/core.js `Http2Session`). It stands under a symbol, or under the name
 * "undefined", because on Node 20.20 to 26.10 that file imports a symbol that is not exported.
 */
export function isHttp2(socket: Socket): boolean {
  return (
    'undefined' in socket || (symbolOf(socket, 'kBoundSession') ?? symbolOf(socket, 'session')) !== undefined
  )
}

/** It is off, and not just unknown. */
export function isKeepAliveKnownOff(socket: Socket): boolean {
  return keptKeepAlive(socket) === false
}

/**
 * Both ends, asked of the handle: `socket.remoteAddress` would cache the answer on the socket, where the application
 * would then still find it after the close.
 */
export function readAddresses(socket: Socket): Addresses {
  const handle = handleOf(socket)
  return { local: readAddress(handle, 'getsockname'), remote: readAddress(handle, 'getpeername') }
}

/**
 * Both ends: as they were when something became odd, because a dead connection has none any more. One that is connecting has
 * only where it wants to go, and a pipe only the path of its listener.
 */
export function addressesOf({
  addresses,
  target,
  socket,
}: Pick<SocketRecord, 'addresses' | 'target' | 'socket'>): Addresses {
  const { local, remote } = addresses ?? readAddresses(socket)
  if (remote !== null) return { local, remote }
  return { local: local ?? pathOf(serverOf(socket)), remote: target }
}

function pathOf(server: Server | null): Endpoint | null {
  const address = server?.address() ?? null
  return typeof address === 'string' ? pipeAt(address) : null
}

function readAddress(handle: Handle | null, question: 'getsockname' | 'getpeername'): Endpoint | null {
  const name: PeerName = {}
  if (handle?.[question]?.(name) !== 0 || name.address === undefined) return null
  return { address: name.address, port: name.port ?? null }
}

/** Bytes in both directions, those that wait to be sent included. */
export function bytesMoved({ bytesRead, bytesWritten }: Socket): number {
  return bytesRead + (bytesWritten ?? 0)
}

/** The response that is being sent on an accepted socket, or whose turn it is. */
export function responseOn(socket: Socket): object | null {
  return fieldsOf(socket)._httpMessage ?? null
}

/**
 * The request that holds an accepted HTTP connection. Of pipelined ones the first in line keeps the others waiting; one whose
 * body has not come whole holds it by itself.
 */
export function requestOn(socket: Socket): object | null {
  const { parser, _httpMessage: response } = fieldsOf(socket)
  const incoming = parser?.incoming ?? null
  if (incoming !== null && readField(incoming, 'complete') === false) return incoming
  const request = response == null ? null : readField(response, 'req')
  return typeof request === 'object' && request !== null ? request : incoming
}

/** The HTTP server has it: it has a parser and no other use. */
export function isServedByHttp(socket: Socket): boolean {
  return fieldsOf(socket).parser != null && serverOf(socket) !== null
}

/** The message of HTTP of which a part is still to come. */
export function incomingOn(socket: Socket): object | null {
  const incoming = fieldsOf(socket).parser?.incoming ?? null
  return incoming !== null && readField(incoming, 'complete') === false ? incoming : null
}

/** Its reader has taken all that there was and waits for more (lib/internal/streams/readable.js `Readable.prototype.read`). */
export function isAskingForMore(stream: object): boolean {
  return readField(readField(stream, '_readableState') ?? {}, 'reading') === true
}

/**
 * Where the application reads what comes in: the socket itself, or the message of HTTP whose body is coming in on it, behind the
 * decoders of undici. `null`: no body is on its way, or it can't be told.
 */
function readerEndOf(socket: Socket): object | null {
  if (fieldsOf(socket).parser != null) return incomingOn(socket)
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

/**
 * Has anybody asked for what comes in? `readableFlowing` is `null` until there is a listener for `'data'` or `'readable'`, a pipe,
 * a reader, `resume()` or `pause()`, and again when a `'readable'` listener has gone (lib/internal/streams/readable.js). What can't
 * be told counts as asked for.
 */
function isAskedFor(socket: Socket): boolean {
  const end = readerEndOf(socket)
  return (
    end === null || readField(end, 'readableFlowing') !== null || readField(end, 'readableDidRead') === true
  )
}

/** Bytes that the kernel has accepted from us. */
export function bytesAccepted(socket: Socket): number {
  const handle = handleOf(socket)
  return Math.max(0, (handle?.bytesWritten ?? 0) - (handle?.writeQueueSize ?? 0))
}

/** Where the application has put something on the socket that throws, it looks healthy. */
export function readFacts(
  socket: Socket,
  selfConnected: boolean,
  disconnected: boolean | null,
  kernel: KernelFacts | null,
  abandoned: Facts['abandoned'] = null,
): Facts {
  try {
    return fieldFacts(socket, selfConnected, disconnected, kernel, abandoned)
  } catch {
    return { ...UNREADABLE, selfConnected, abandoned }
  }
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
  disconnected: null,
  kernel: null,
}

/** One literal: to spread two objects into a third takes longer than to read the fields. */
function fieldFacts(
  socket: Socket,
  selfConnected: boolean,
  disconnected: boolean | null,
  kernel: KernelFacts | null,
  abandoned: Facts['abandoned'],
): Facts {
  const fields = fieldsOf(socket)
  const handle = fields._handle ?? null
  const queued = handle?.writeQueueSize ?? 0
  const readable = fields._readableState?.readable !== false
  const writable = fields._writableState?.writable !== false
  const eofReceived = fields._readableState?.ended === true
  const reading = handle?.reading !== false
  return {
    connecting: socket.connecting,
    destroyed: socket.destroyed,
    readable: readable && (socket.readable || eofReceived),
    writable: writable && (socket.writable || socket.writableEnded),
    eofReceived: readable && eofReceived,
    eofConsumed: readable && socket.readableEnded,
    localEnded: writable && socket.writableEnded,
    localFinished: writable && socket.writableFinished,
    reading,
    asked: reading || isAskedFor(socket),
    unreadBytes: socket.readableLength,
    unsentBytes: unsentIn(socket, queued),
    bytesRead: handle?.bytesRead ?? 0,
    bytesAccepted: Math.max(0, (handle?.bytesWritten ?? 0) - queued),
    selfConnected,
    abandoned,
    disconnected,
    kernel,
  }
}

/**
 * Bytes that are still in this process. A stream counts a chunk as a whole until all of it is written, while the kernel
 * may have accepted most of it; TLS holds it in other sizes, so there the whole chunk has to do.
 */
function unsentIn(socket: Socket, queued: number): number {
  if (isTls(socket)) return Math.max(socket.writableLength, queued)
  const underWay = fieldsOf(socket)._writableState?.writelen ?? 0
  return socket.writableLength - underWay + queued
}
