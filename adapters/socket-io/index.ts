/**
 * Guards a Socket.IO server (4.1 or later): settings of its own, names in the report, a bound on closing, a graceful stop.
 *
 * Its types name no type of Socket.IO's, so that servers with any events fit.
 */
import type { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import {
  checkServerOptions,
  install,
  installedGuard,
  messageOf,
  warnOnce,
  type DrainOptions,
  type DrainResult,
  type GuardedServer,
  type ServerOptions,
  type WebSocketLike,
} from '../../src/adapter.js'
import { isSocketIoServer, refuse, refuseServer } from '../server-kinds.js'
import { forgetRelease, replaceEarlier } from '../taken-over.js'
import { boundClosing, drainWebSockets, GOING_AWAY, readCloseTimeout } from '../websockets.js'
import { engineOf, httpServerOf, isOlderSocketIo, webSocketFor, webSocketsOf } from './internals.js'

export type { DrainOptions, DrainResult, ServerOptions }

/** The part of a Socket.IO server that is used. */
export interface SocketIoLike {
  close(done?: (error?: Error) => void): unknown
  // Any namespace, whatever its events are.
  of(name: string): unknown
}

export interface SocketIoOptions extends ServerOptions {
  /**
   * How long the closing handshake of a WebSocket may take without a byte moving, in milliseconds, 1 to 2147483647, or off;
   * as in `socket-leak-guard/ws`. Silent clients are found by Socket.IO itself (`pingInterval`, `pingTimeout`), which then
   * closes the WebSocket; where the peer ended first and takes nothing more, only this ends the closing.
   * @default 30000
   */
  closeTimeoutMs?: number | 'off' | false | null | undefined
}

/**
 * Guards every WebSocket of this server: the report names it as a WebSocket of its path, and these options hold for it.
 * Long polling is plain HTTP, whose connections also serve other requests: those belong to the HTTP server, which the
 * adapters for http, express and others guard. Installs a guard with default options when the process has none yet. A
 * second call for the same server replaces the first.
 *
 * `drain` stops the Socket.IO server and, as `io.close()` does, the HTTP server below it: it tells every client by
 * `io.close()`, whereupon clients try to connect anew, to another process that is, and lets HTTP requests in flight finish.
 *
 * Costs one listener and one unref'd timer a server, and nothing per message.
 *
 * @param io a Socket.IO `Server` that is attached to an `http.Server` or `https.Server`
 * @param options per-server options; what is left out is as given to `install()`
 * @throws `SLG_ERR_WRONG_SERVER`, `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 * @example
 * const chat = guardServer(new Server(httpServer), { label: 'chat' })
 * process.once('SIGTERM', () => chat.drain({ timeoutMs: 5_000 }))
 */
export function guardServer(io: SocketIoLike, options: SocketIoOptions = {}): GuardedServer {
  if (isOlderSocketIo(io)) {
    throw refuse(
      'a Socket.IO server, 4.1 or later',
      'one of an older version',
      'update the package socket.io',
    )
  }
  if (!isSocketIoServer(io)) throw refuseServer('a Socket.IO server, 4.1 or later', io)
  const engine = engineOf(io)
  if (engine === null) {
    throw refuse(
      'a Socket.IO server with an HTTP server',
      'one that is not attached',
      'call io.attach() or io.listen() first',
    )
  }
  checkServerOptions(options, ['closeTimeoutMs'])
  const { closeTimeoutMs, ...settings } = options
  const closeLimitMs = readCloseTimeout(closeTimeoutMs)
  const guard = installedGuard() ?? install()
  const server = io as SocketIoLike & EventEmitter
  // All that can throw comes before anything that would have to be undone.
  const undo = guard.adapter.configureServer(server, settings)
  replaceEarlier(server, release)
  let closing: Promise<void> | null = null

  /** Engine.IO emits this for polling requests as well. */
  function onHeaders(_headers: unknown, request: IncomingMessage): void {
    const { socket } = request
    if (request.headers.upgrade === undefined || installedGuard() !== guard) return
    if (!(socket instanceof Socket)) return
    guard.adapter.attribute(socket, { kind: 'websocket', server, request })
    process.nextTick(introduceUpgraded, request, socket)
  }

  function introduceUpgraded(request: IncomingMessage, socket: Socket): void {
    const webSocket = webSocketFor(request)
    if (webSocket !== null && installedGuard() === guard) introduce(webSocket, socket)
  }

  function introduce(webSocket: WebSocketLike, socket: Socket): void {
    guard.adapter.attribute(socket, { kind: 'websocket', server, webSocket })
  }

  function connections(): Map<WebSocketLike, Socket> {
    const found = new Map(webSocketsOf(engine!))
    // A WebSocket that is closing has left the list of Engine.IO.
    for (const socket of guard.adapter.socketsOf(server)) {
      const webSocket = guard.adapter.useOf(socket)?.webSocket
      if (webSocket) found.set(webSocket, socket)
    }
    return found
  }

  engine.on('headers', onHeaders)
  for (const [webSocket, socket] of webSocketsOf(engine)) introduce(webSocket, socket)
  const stopBound = boundClosing(guard, connections, closeLimitMs)

  function release(): void {
    engine?.off('headers', onHeaders)
    stopBound()
    undo()
    forgetRelease(server, release)
  }

  return {
    drain: (drainOptions) =>
      drainWebSockets(
        {
          guard,
          server,
          httpServer: httpServerOf(io),
          connections,
          close: () => (closing ??= close(io)),
          closeWebSocket: (webSocket) => webSocket.close(GOING_AWAY),
        },
        drainOptions,
        [],
      ),
    release,
  }
}

/** Not `disconnectSockets(true)`, after which clients do not come back. Never rejects: an adapter may fail to say goodbye. */
async function close(io: SocketIoLike): Promise<void> {
  try {
    await io.close()
  } catch (error) {
    warnOnce('SLG_WARN_INTERNAL', `closing a Socket.IO server failed: ${messageOf(error)}`)
  }
}
