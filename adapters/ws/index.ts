import type { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import type { WebSocket, WebSocketServer } from 'ws'
import { checkServerOptions, describeValue, invalidOption } from '../../src/adapter.js'
import type { DrainOptions, DrainResult, GuardedServer, ServerOptions } from '../../src/adapter.js'
import { isWebSocketServer, refuseServer } from '../server-kinds.js'
import { GOING_AWAY, guardWebSockets, type ClosingOptions } from '../websockets.js'
import { readHeartbeat, startHeartbeat, type HeartbeatOptions } from './heartbeat.js'
import { checkVersion, isDown, ownServerOf, socketUnder } from './internals.js'

export type { DrainOptions, DrainResult, HeartbeatOptions, ServerOptions }

export interface WebSocketServerOptions extends ClosingOptions {
  /** Ping clients and terminate those that do not answer. `true` takes the defaults. @default false */
  heartbeat?: boolean | HeartbeatOptions | undefined
}

export interface WebSocketDrainOptions extends DrainOptions {
  /** Status of the close frame. @default 1001 (going away; RFC 6455, section 7.4.1) */
  readonly code?: number | undefined
  /** Reason in the close frame, at most 123 bytes of UTF-8. @default '' */
  readonly reason?: string | undefined
}

/**
 * `drain` sends each client a close frame and closes by force what has not finished in time. A server of the
 * application (`{ server }`, `noServer`) goes on; drain it afterwards.
 */
export type GuardedWebSocketServer = GuardedServer<WebSocketDrainOptions>

/**
 * Guards the WebSockets of this server. The report names their upgrade path and whether they are paused; these options
 * win over those of the HTTP server. Installs a guard with default options if there is none. A second call replaces the
 * first. Costs two listeners and up to two unref'd timers a server, and nothing per message.
 * @param server a `WebSocketServer` of ws 8 in any mode (`port`, `server`, `noServer`)
 * @throws `SLG_ERR_WRONG_SERVER`, `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 * @example
 *   const chat = guardServer(new WebSocketServer({ port: 8080 }), { label: 'chat', heartbeat: true })
 *   process.once('SIGTERM', () => chat.drain({ timeoutMs: 5_000, reason: 'restarting' }))
 */
export function guardServer(
  server: WebSocketServer,
  options: WebSocketServerOptions = {},
): GuardedWebSocketServer {
  if (!isWebSocketServer(server)) throw refuseServer('a WebSocketServer of the package ws', server)
  checkVersion(server)
  checkServerOptions(options, ['heartbeat', 'closeTimeoutMs'])
  const { heartbeat, ...settings } = options
  const heartbeatTimes = readHeartbeat(heartbeat)
  const own = ownServerOf(server)

  const { guard, undos, connections, introduce, drain, release } = guardWebSockets<WebSocket>(
    {
      server,
      engine: server,
      own,
      httpServer: () => own,
      *list() {
        for (const webSocket of server.clients ?? []) {
          const socket = socketUnder(webSocket)
          if (socket !== null) yield [webSocket, socket]
        }
      },
      close: () => (isDown(server) ? null : new Promise((done) => server.close(done))),
    },
    settings,
  )
  if (heartbeatTimes !== null) undos.push(startHeartbeat(guard, connections, heartbeatTimes))

  // An application may emit it for a WebSocket of another server.
  function onConnection(webSocket: WebSocket, request?: IncomingMessage): void {
    introduce(webSocket, request?.socket instanceof Socket ? request.socket : socketUnder(webSocket))
  }

  server.on('connection', onConnection)
  undos.push(() => server.off('connection', onConnection))
  return {
    async drain(drainOptions = {}) {
      const { code, reason } = readCloseFrame(drainOptions)
      return drain((webSocket) => webSocket.close(code, reason), drainOptions, ['code', 'reason'])
    },
    release,
  }
}

// Checked before anything stops, because ws would throw in the middle. RFC 6455, section 5.5, limits the reason.
function readCloseFrame({ code = GOING_AWAY, reason = '' }: WebSocketDrainOptions) {
  if (!isCloseCode(code)) {
    throw invalidOption('code', 'a WebSocket close code that may be sent, such as 1001', describeValue(code))
  }
  if (typeof reason !== 'string' || Buffer.byteLength(reason) > 123) {
    throw invalidOption('reason', 'a string of at most 123 bytes', describeValue(reason))
  }
  return { code, reason }
}

// RFC 6455, section 7.4, as ws checks it.
function isCloseCode(code: number): boolean {
  if (!Number.isInteger(code) || [1004, 1005, 1006].includes(code)) return false
  return (code >= 1000 && code <= 1014) || (code >= 3000 && code <= 4999)
}
