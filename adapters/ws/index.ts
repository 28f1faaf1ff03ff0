/** Guards a WebSocketServer of the package ws: settings of its own, names in the report, bounds on silence, a graceful stop. */
import type { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import type { WebSocket, WebSocketServer } from 'ws'
import {
  checkServerOptions,
  describeValue,
  install,
  installedGuard,
  invalidOption,
  type DrainOptions,
  type DrainResult,
  type GuardedServer,
  type ServerOptions,
} from '../../src/adapter.js'
import { isWebSocketServer, refuseServer } from '../server-kinds.js'
import { forgetRelease, replaceEarlier } from '../taken-over.js'
import { boundClosing, drainWebSockets, GOING_AWAY, readCloseTimeout } from '../websockets.js'
import { readHeartbeat, startHeartbeat, type HeartbeatOptions } from './heartbeat.js'
import { checkVersion, isDown, ownServerOf, socketUnder, webSocketOn } from './internals.js'

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

/**
 * `drain` takes no more connections, sends every client a close frame, and closes by force what has not finished the closing
 * handshake when the time is over. A server of the application's own that the WebSocketServer is attached to (`{ server }`,
 * `noServer`) goes on: drain that one afterwards, with the adapter for http.
 */
export type GuardedWebSocketServer = GuardedServer<WebSocketDrainOptions>

/**
 * Guards every WebSocket of this server: the report names its upgrade path, says whether it is paused, and these options
 * hold for its sockets, whatever holds for the HTTP server below. Installs a guard with default options when the
 * process has none yet. A second call for the same server replaces the first.
 *
 * Costs three listeners and up to two unref'd timers a server, and nothing per message.
 *
 * @param server a `WebSocketServer` of ws 8 in any of its modes (`port`, `server`, `noServer`)
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
  checkVersion(server)
  checkServerOptions(options, ['heartbeat', 'closeTimeoutMs'])
  const { heartbeat, closeTimeoutMs, ...settings } = options
  const heartbeatTimes = readHeartbeat(heartbeat)
  const closeLimitMs = readCloseTimeout(closeTimeoutMs)
  const guard = installedGuard() ?? install()
  const own = ownServerOf(server)
  // All that can throw comes before anything that would have to be undone.
  const undos = [guard.adapter.configureServer(server, settings)]
  if (own !== null) undos.push(guard.adapter.configureServer(own, settings))
  replaceEarlier(server, release)
  let isClosed = false

  function isActive(): boolean {
    return installedGuard() === guard
  }

  /** The handshake is about to be answered: also in `noServer` mode, where `'connection'` is the application's to emit. */
  function onHeaders(_headers: string[], request: IncomingMessage): void {
    const { socket } = request
    if (!isActive() || !(socket instanceof Socket)) return
    guard.adapter.attribute(socket, { kind: 'websocket', server, request })
    process.nextTick(introduceUnknown, socket)
  }

  function introduceUnknown(socket: Socket): void {
    if (!isActive() || guard.adapter.useOf(socket)?.webSocket) return
    const webSocket = webSocketOn(socket)
    if (webSocket !== null) introduce(webSocket, socket)
  }

  function onConnection(webSocket: WebSocket, request?: IncomingMessage): void {
    const socket = request?.socket instanceof Socket ? request.socket : socketUnder(webSocket)
    if (isActive() && socket !== null) introduce(webSocket, socket)
  }

  function introduce(webSocket: WebSocket, socket: Socket): void {
    guard.adapter.attribute(socket, { kind: 'websocket', server, webSocket })
  }

  function connections(): Map<WebSocket, Socket> {
    const found = new Map<WebSocket, Socket>()
    for (const webSocket of server.clients ?? []) {
      const socket = socketUnder(webSocket)
      if (socket === null) continue
      // Opened before this call, or given to a handler of the application's own.
      if (isActive() && !guard.adapter.useOf(socket)?.webSocket) introduce(webSocket, socket)
      found.set(webSocket, socket)
    }
    // Those that ws does not list (option `clientTracking`), or whose socket can't be had from it.
    for (const socket of guard.adapter.socketsOf(server)) {
      const webSocket = guard.adapter.useOf(socket)?.webSocket as WebSocket | null | undefined
      if (webSocket && !found.has(webSocket)) found.set(webSocket, socket)
    }
    return found
  }

  function onClose(): void {
    isClosed = true
  }

  server.on('headers', onHeaders)
  server.on('connection', onConnection)
  server.on('close', onClose)
  // Introduces those that are open already.
  connections()
  undos.push(
    startHeartbeat(guard, connections, heartbeatTimes),
    boundClosing(guard, connections, closeLimitMs),
  )

  function release(): void {
    server.off('headers', onHeaders)
    server.off('connection', onConnection)
    server.off('close', onClose)
    for (const undo of undos) undo()
    forgetRelease(server, release)
  }

  return {
    async drain(drainOptions = {}) {
      const { code, reason } = readCloseFrame(drainOptions)
      return drainWebSockets(
        {
          guard,
          server,
          httpServer: own,
          connections,
          close() {
            if (isClosed || isDown(server)) return null
            return new Promise((done) => {
              server.once('close', done)
              server.close()
            })
          },
          closeWebSocket: (webSocket) => webSocket.close(code, reason),
        },
        drainOptions,
        ['code', 'reason'],
      )
    },
    release,
  }
}

/** What fits into a control frame beside the code (RFC 6455, section 5.5). */
const LONGEST_REASON = 123

/** Checked before anything is stopped: ws would throw in the middle. @throws `SLG_ERR_INVALID_OPTION` */
function readCloseFrame({ code = GOING_AWAY, reason = '' }: WebSocketDrainOptions) {
  if (!isCloseCode(code)) {
    throw invalidOption('code', 'a WebSocket close code that may be sent, such as 1001', describeValue(code))
  }
  if (typeof reason !== 'string' || Buffer.byteLength(reason) > LONGEST_REASON) {
    throw invalidOption('reason', `a string of at most ${LONGEST_REASON} bytes`, describeValue(reason))
  }
  return { code, reason }
}

/** RFC 6455, section 7.4; as ws checks it. */
function isCloseCode(code: number): boolean {
  if (!Number.isInteger(code) || [1004, 1005, 1006].includes(code)) return false
  return (code >= 1000 && code <= 1014) || (code >= 3000 && code <= 4999)
}
