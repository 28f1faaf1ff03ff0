// Accepted half-open connections without a listener for `'end'`, which will stay in CLOSE_WAIT when the peer ends.
// `pipe`, `pipeline`, `for await`, `finished`, web streams and `once` add a listener
// (lib/internal/streams/end-of-stream.js and readable.js; Node 20.20, 22.23, 24.21, 26.10).
import { Server as HttpServer } from 'node:http'
import { Server as HttpsServer } from 'node:https'
import { Socket, type Server } from 'node:net'
import { Server as TlsServer } from 'node:tls'
import type { SocketReport } from '../core/report.js'
import type { AdapterGuard } from '../guard/guard.js'
import { isServedByHttp, isTls, serverOf } from '../socket/fields.js'

/** A handler may add its listeners a little later. */
const SETTLED_MS = 1000
/** Before it reads, a handler may ask a database who the client is. */
const UNTOUCHED_MS = 5000

/** Node's own listeners for `'end'` (lib/net.js `onReadableStreamEnd`). */
const ownEndListeners = new Socket().listenerCount('end')

export function isHttpServer(server: Server): server is HttpServer {
  return server instanceof HttpServer || server instanceof HttpsServer
}

export function isUpgraded({ kind }: Pick<SocketReport, 'kind'>): boolean {
  return kind === 'upgrade' || kind === 'connect' || kind === 'websocket'
}

export function unheardOn(server: Server, adapter: AdapterGuard): SocketReport[] {
  return adapter.socketsOf(server).flatMap((socket) => {
    if (!isOpenToUs(socket) || serverOf(socket) !== server) return []
    const report = adapter.describe(socket)
    return report !== null && isUnheard(socket, server, report) ? [report] : []
  })
}

function isOpenToUs(socket: Socket): boolean {
  const isHalfOpen = socket.allowHalfOpen && !socket.writableEnded && !socket.destroyed
  if (!isHalfOpen || isServedByHttp(socket) || socket.listenerCount('end') > ownEndListeners) return false
  return !((socket.timeout ?? 0) > 0 && socket.listenerCount('timeout') > 0)
}

function isUnheard(socket: Socket, server: Server, report: SocketReport): boolean {
  if (report.verdict === 'exempt' || (!isUpgraded(report) && isServedByNode(server, socket))) return false
  // `read()` returns null at the end, so its caller may have noticed.
  if (socket.listenerCount('readable') > 0) return report.condition === 'eof-ignored'
  if (socket.readableFlowing === true || socket.listenerCount('data') > 0) return report.idleMs >= SETTLED_MS
  // Paused before anybody reads: it waits its turn.
  return report.idleMs >= UNTOUCHED_MS && !socket.isPaused()
}

function isServedByNode(server: Server, socket: Socket): boolean {
  const isHttp2 = typeof (server as { updateSettings?: unknown }).updateSettings === 'function'
  return isHttpServer(server) || isHttp2 || (server instanceof TlsServer && !isTls(socket))
}
