/**
 * Accepted connections that will stay in CLOSE_WAIT when the peer ends: half-open, and nobody listens for `'end'`.
 *
 * Whoever reads to the end some other way (`pipe`, `pipeline`, `for await`, `finished`, a web stream, `once`) attaches an
 * `'end'` listener for it (lib/internal/streams/end-of-stream.js and readable.js; Node 20.20, 22.23, 24.21, 26.10).
 */
import { Server as HttpServer } from 'node:http'
import { Server as HttpsServer } from 'node:https'
import { Socket, type Server } from 'node:net'
import { Server as TlsServer } from 'node:tls'
import { isServedByHttp, isTls, serverOf } from '../socket/fields.js'
import type { SocketRecord } from '../socket/record.js'

/** A handler may well attach its listeners a little later; after this long it won't. */
const SETTLED_MS = 1000
/** One that has not even begun to read may still be asking a database whom it has before it. */
const UNTOUCHED_MS = 5000

/** Node's own listener for `'end'` (lib/net.js `onReadableStreamEnd`). */
const ownEndListeners = new Socket().listenerCount('end')

export function isHttpServer(server: Server): server is HttpServer {
  return server instanceof HttpServer || server instanceof HttpsServer
}

/** The HTTP server has let go of it. */
export function isUpgraded({ hint }: SocketRecord): boolean {
  return hint !== null && hint.handedOverMs !== 0
}

/** The server whose connection it is, if nobody listens for its end; `null` too where that can't be told, or not yet. */
export function serverOfUnheard(record: SocketRecord, nowMs: number): Server | null {
  // Of tens of thousands nearly all are done with here: first what the record itself tells.
  const { direction, hint, socket } = record
  if (direction !== 'inbound' || record.isExempt) return null
  if (isServedByHttp(socket)) return null
  if (!socket.allowHalfOpen || socket.writableEnded || socket.destroyed) return null
  const server = serverOf(socket)
  if (server === null || isServedByNode(server, record) || !isUnheard(socket)) return null
  const handedOverMs = hint?.handedOverMs ?? 0
  const quietMs = nowMs - Math.max(record.firstSeenMs, handedOverMs, record.peerEndedMs)
  if (isRead(socket)) {
    // `read()` returns null at the end, so who uses it may have heard it all the same.
    if (record.peerEndedMs === 0 && socket.listenerCount('readable') > 0) return null
    return quietMs >= SETTLED_MS ? server : null
  }
  // Paused before anybody reads: it waits for its turn.
  return quietMs >= UNTOUCHED_MS && !socket.isPaused() ? server : null
}

/** One that the guard had to close, because nobody else did. */
export function wasUnheard({ socket, peerEndedMs, case: kase }: SocketRecord): boolean {
  return (
    kase !== null && kase.acted !== 'no' && peerEndedMs !== 0 && socket.allowHalfOpen && isUnheard(socket)
  )
}

/** Node itself sees to the end, or the application has the TLSSocket above and not this one. */
function isServedByNode(server: Server, record: SocketRecord): boolean {
  if (isUpgraded(record)) return false
  if (isHttpServer(server)) return true
  const isHttp2 = typeof (server as { updateSettings?: unknown }).updateSettings === 'function'
  return isHttp2 || (server instanceof TlsServer && !isTls(record.socket))
}

function isUnheard(socket: Socket): boolean {
  return socket.listenerCount('end') <= ownEndListeners && !isTimed(socket)
}

/** A socket timeout may well close it. */
function isTimed(socket: Socket): boolean {
  return (socket.timeout ?? 0) > 0 && socket.listenerCount('timeout') > 0
}

function isRead(socket: Socket): boolean {
  return (
    socket.readableFlowing === true ||
    socket.listenerCount('data') > 0 ||
    socket.listenerCount('readable') > 0
  )
}
