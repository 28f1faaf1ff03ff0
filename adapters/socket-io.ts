/**
 * Guards a Socket.IO server (4.1 or later): settings of its own, names in the report, a bound on closing, a graceful stop.
 *
 * Its types name no type of Socket.IO's, so that servers with any events fit.
 */
import {
  checkServerOptions,
  drain,
  LONGEST_CLOSE_MS,
  messageOf,
  planHttpDrain,
  warnOnce,
  within,
} from '../src/adapter-kit.js'
import type { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import {
  install,
  installedGuard,
  type DrainOptions,
  type DrainResult,
  type Guard,
  type ServerOptions,
} from '../src/index.js'
import { startChores } from './chores.js'
import { isSocketIoServer, refuse, refuseServer } from './server-kinds.js'
import {
  engineOf,
  httpServerOf,
  webSocketFor,
  webSocketsOf,
  type WebSocketLike,
} from './socket-io-internals.js'
import { createClosingWatch, readCloseTimeout } from './ws-closing.js'

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

export interface GuardedSocketIo {
  /**
   * Stops the Socket.IO server and, as `io.close()` does, the HTTP server below it: takes no more connections, tells every
   * client by `io.close()`, whereupon clients try to connect anew, to another process that is; lets HTTP requests in flight
   * finish; and closes by force what is still open when the time is over.
   *
   * @throws (rejects) `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
   */
  readonly drain: (options?: DrainOptions) => Promise<DrainResult>
  /** Takes the settings, the listener and the timer back; the server itself goes on. */
  readonly release: () => void
}

const GOING_AWAY = 1001

const guarded = new WeakMap<object, () => void>()

/**
 * Guards every WebSocket of this server: the report names it as a WebSocket of its path, and these options hold for it.
 * Long polling is plain HTTP, whose connections also serve other requests: those belong to the HTTP server, which the
 * adapters for http, express and others guard. Installs a guard with default options when the process has none yet. A
 * second call for the same server replaces the first.
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
export function guardServer(io: SocketIoLike, options: SocketIoOptions = {}): GuardedSocketIo {
  if (!isSocketIoServer(io)) throw refuseServer('a Socket.IO server', io)
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
  const undo = guard.configureServer(server, settings)
  guarded.get(server)?.()
  let closing: Promise<void> | null = null

  function isActive(): boolean {
    return installedGuard() === guard
  }

  /** Engine.IO emits this for polling requests as well. */
  function onHeaders(_headers: unknown, request: IncomingMessage): void {
    if (request.headers.upgrade === undefined || !isActive()) return
    const { socket } = request
    if (!(socket instanceof Socket)) return
    guard.attribute(socket, { kind: 'websocket', server, request })
    process.nextTick(introduceUpgraded, request, socket)
  }

  function introduceUpgraded(request: IncomingMessage, socket: Socket): void {
    const webSocket = webSocketFor(request)
    if (webSocket !== null && isActive()) introduce(guard, server, webSocket, socket)
  }

  function* connections(): Generator<[WebSocketLike, Socket]> {
    for (const socket of guard.socketsOf(server)) {
      const webSocket = guard.useOf(socket)?.webSocket
      if (webSocket) yield [webSocket, socket]
    }
  }

  engine.on('headers', onHeaders)
  for (const [webSocket, socket] of webSocketsOf(engine)) introduce(guard, server, webSocket, socket)
  const stopChores = startChores(
    [closeLimitMs === null ? null : createClosingWatch(guard, connections, closeLimitMs)],
    isActive,
  )

  function release(): void {
    engine?.off('headers', onHeaders)
    stopChores()
    undo()
    if (guarded.get(server) === release) guarded.delete(server)
  }

  guarded.set(server, release)
  return {
    async drain(drainOptions) {
      const httpServer = httpServerOf(io)
      const http = httpServer === null ? null : planHttpDrain(guard, httpServer)
      const result = await drain(
        {
          server: httpServer,
          sockets() {
            const open = Array.from(webSocketsOf(engine), ([, socket]) => socket)
            return [...new Set([...open, ...guard.socketsOf(server), ...(http?.sockets() ?? [])])]
          },
          stop(meet) {
            closing ??= close(io)
            http?.stop(meet)
          },
          finish(socket) {
            const webSocket = guard.useOf(socket)?.webSocket
            if (webSocket) webSocket.close(GOING_AWAY)
            else http?.finish(socket)
          },
          closeRest: () => http?.closeRest?.(),
          cleanUp: () => http?.cleanUp?.(),
        },
        drainOptions,
      )
      if (closing !== null && result.remaining === 0) await within(LONGEST_CLOSE_MS, closing)
      return result
    },
    release,
  }
}

function introduce(guard: Guard, server: object, webSocket: WebSocketLike, socket: Socket): void {
  guard.attribute(socket, { kind: 'websocket', server, webSocket })
}

/** Not `disconnectSockets(true)`, after which clients do not come back. Never rejects: an adapter may fail to say goodbye. */
async function close(io: SocketIoLike): Promise<void> {
  try {
    await io.close()
  } catch (error) {
    warnOnce('SLG_WARN_INTERNAL', `closing a Socket.IO server failed: ${messageOf(error)}`)
  }
}
