/** Guards a WebSocketServer of the package ws: settings of its own, names in the report, bounds on silence, a graceful stop. */
import { checkServerOptions, drain, LONGEST_CLOSE_MS, planHttpDrain, within } from '../src/adapter-kit.js'
import type { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import type { WebSocket, WebSocketServer } from 'ws'
import {
  install,
  installedGuard,
  type DrainOptions,
  type DrainResult,
  type Guard,
  type ServerOptions,
} from '../src/index.js'
import { startChores } from './chores.js'
import { isWebSocketServer, refuseServer } from './server-kinds.js'
import { readCloseFrame } from './ws-close-frame.js'
import { createClosingWatch, readCloseTimeout } from './ws-closing.js'
import { createHeartbeat, readHeartbeat, type HeartbeatOptions } from './ws-heartbeat.js'
import { isDown, ownServerOf, socketUnder, webSocketOn } from './ws-internals.js'

export type { DrainOptions, DrainResult, HeartbeatOptions, ServerOptions }

export interface WebSocketServerOptions extends ServerOptions {
  /**
   * Pings every client and terminates those from which nothing comes back: a peer that vanished without a word is found
   * by nothing else while no data is sent. `true`: with the defaults. Changes what is sent, so it is off unless asked for.
   * @default false
   */
  heartbeat?: boolean | HeartbeatOptions | undefined
  /**
   * How long a closing handshake may take, in milliseconds, 1 to 2147483647, or off. ws has a limit of its own (its option
   * `closeTimeout`, 30 s), which does not hold where the peer ended first and can't take what is still to be sent: such
   * a WebSocket is closed here, by RST, once it has been closing for so long without a byte moving.
   * @default 30000
   */
  closeTimeoutMs?: number | 'off' | false | null | undefined
}

export interface WebSocketDrainOptions extends DrainOptions {
  /** The status code of the close frame. @default 1001 (going away; RFC 6455, section 7.4.1) */
  readonly code?: number | undefined
  /** The reason in the close frame, at most 123 bytes of UTF-8. @default '' */
  readonly reason?: string | undefined
}

export interface GuardedWebSocketServer {
  /**
   * Stops the WebSocketServer: takes no more connections, sends every client a close frame, and closes by force what has
   * not finished the closing handshake when the time is over. A server of the application's own that it is attached to
   * (`{ server }`, `noServer`) goes on: drain that one afterwards, with the adapter for http.
   *
   * @throws (rejects) `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
   */
  readonly drain: (options?: WebSocketDrainOptions) => Promise<DrainResult>
  /** Takes the settings, the listeners and the timer back; the WebSocketServer itself goes on. */
  readonly release: () => void
}

const guarded = new WeakMap<WebSocketServer, () => void>()

/**
 * Guards every WebSocket of this server: the report names its upgrade path, says whether it is paused, and these options
 * hold for its sockets, whatever holds for the HTTP server below. Installs a guard with default options when the
 * process has none yet. A second call for the same server replaces the first.
 *
 * Costs two listeners and one unref'd timer a server, and nothing per message.
 *
 * @param server a `WebSocketServer` in any of its modes (`port`, `server`, `noServer`)
 * @param options per-server options; what is left out is as given to `install()`
 * @throws `SLG_ERR_WRONG_SERVER`, `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 * @example
 * const chat = guardServer(new WebSocketServer({ port: 8080 }), { label: 'chat', heartbeat: true })
 * process.once('SIGTERM', () => chat.drain({ timeoutMs: 5_000, reason: 'restarting' }))
 */
export function guardServer(
  server: WebSocketServer,
  options: WebSocketServerOptions = {},
): GuardedWebSocketServer {
  if (!isWebSocketServer(server)) throw refuseServer('a WebSocketServer of the package ws', server)
  checkServerOptions(options, ['heartbeat', 'closeTimeoutMs'])
  const { heartbeat, closeTimeoutMs, ...settings } = options
  const heartbeatTimes = readHeartbeat(heartbeat)
  const closeLimitMs = readCloseTimeout(closeTimeoutMs)
  const guard = installedGuard() ?? install()
  const own = ownServerOf(server)
  // All that can throw comes before anything that would have to be undone.
  const releases = [guard.configureServer(server, settings)]
  if (own !== null) releases.push(guard.configureServer(own, settings))
  guarded.get(server)?.()
  let isClosed = false

  function isActive(): boolean {
    return installedGuard() === guard
  }

  /** The handshake is about to be answered: also in `noServer` mode, where `'connection'` is the application's to emit. */
  function onHeaders(_headers: string[], request: IncomingMessage): void {
    if (!isActive()) return
    claim(guard, server, request)
    process.nextTick(introduceUnknown, request.socket)
  }

  function introduceUnknown(socket: Socket): void {
    if (!isActive() || guard.useOf(socket)?.webSocket) return
    const webSocket = webSocketOn(socket)
    if (webSocket !== null) introduce(guard, server, webSocket)
  }

  function onConnection(webSocket: WebSocket, request?: IncomingMessage): void {
    if (isActive()) introduce(guard, server, webSocket, request)
  }

  /** The WebSockets of this server, with their sockets. */
  function* connections(): Generator<[WebSocket, Socket]> {
    for (const webSocket of server.clients ?? []) {
      const socket = socketUnder(webSocket)
      if (socket === null) continue
      // Opened before this call, or given to a handler of the application's own.
      if (isActive() && !guard.useOf(socket)?.webSocket) introduce(guard, server, webSocket)
      yield [webSocket, socket]
    }
    // Those that ws does not list (option `clientTracking`), or whose socket can't be had from it.
    for (const socket of guard.socketsOf(server)) {
      const webSocket = guard.useOf(socket)?.webSocket as WebSocket | null | undefined
      if (webSocket && !(server.clients?.has(webSocket) && socketUnder(webSocket) !== null)) {
        yield [webSocket, socket]
      }
    }
  }

  function onClose(): void {
    isClosed = true
  }

  server.on('headers', onHeaders)
  server.on('connection', onConnection)
  server.on('close', onClose)
  // Introduces those that are open already.
  Array.from(connections())
  const stopChores = startChores(
    [
      heartbeatTimes === null ? null : createHeartbeat(connections, heartbeatTimes),
      closeLimitMs === null ? null : createClosingWatch(guard, connections, closeLimitMs),
    ],
    isActive,
  )

  function release(): void {
    server.off('headers', onHeaders)
    server.off('connection', onConnection)
    server.off('close', onClose)
    stopChores()
    for (const undo of releases) undo()
    if (guarded.get(server) === release) guarded.delete(server)
  }

  guarded.set(server, release)
  return {
    async drain(drainOptions = {}) {
      const { code, reason } = readCloseFrame(drainOptions)
      const http = own === null ? null : planHttpDrain(guard, own)
      let gone: Promise<void> | null = null
      const result = await drain(
        {
          server: own,
          sockets() {
            const open = Array.from(connections(), ([, socket]) => socket)
            return [...new Set([...open, ...guard.socketsOf(server), ...(http?.sockets() ?? [])])]
          },
          stop(meet) {
            if (!isClosed && !isDown(server)) {
              gone = new Promise((done) => server.once('close', done))
              server.close()
            }
            http?.stop(meet)
          },
          finish(socket) {
            const webSocket = guard.useOf(socket)?.webSocket ?? webSocketOn(socket)
            if (webSocket) webSocket.close(code, reason)
            else http?.finish(socket)
          },
          closeRest: () => http?.closeRest?.(),
          cleanUp: () => http?.cleanUp?.(),
        },
        drainOptions,
        ['code', 'reason'],
      )
      // The sockets have closed; ws may still be handing out what it had received.
      if (gone !== null && result.remaining === 0) await within(LONGEST_CLOSE_MS, gone)
      return result
    },
    release,
  }
}

function claim(guard: Guard, server: WebSocketServer, request: IncomingMessage): void {
  const { socket } = request
  if (socket instanceof Socket) guard.attribute(socket, { kind: 'websocket', server, request })
}

function introduce(
  guard: Guard,
  server: WebSocketServer,
  webSocket: WebSocket,
  request?: IncomingMessage,
): void {
  const socket = request?.socket instanceof Socket ? request.socket : socketUnder(webSocket)
  if (socket !== null) guard.attribute(socket, { kind: 'websocket', server, webSocket })
}
