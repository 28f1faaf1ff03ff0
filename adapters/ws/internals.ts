/** The one file that reads what ws keeps to itself, each behind a check: without it the guard knows less, and that is all. */
import { EventEmitter } from 'node:events'
import type { Server as HttpServer } from 'node:http'
import { Socket } from 'node:net'
import type { WebSocket, WebSocketServer } from 'ws'
import { isHttpServer, refuse } from '../server-kinds.js'

const CLOSED = 2

/**
 * Before ws 8, `close()` terminates every client, so that no drain could be graceful.
 * Rests on the constructor in lib/websocket-server.js (ws 8.0 to 8.23), which sets `_shouldEmitClose` beside `clients`.
 *
 * @throws `SLG_ERR_WRONG_SERVER`
 */
export function checkVersion(server: WebSocketServer): void {
  if (!('clients' in server) || '_shouldEmitClose' in server) return
  throw refuse('a WebSocketServer of ws 8', 'one of an older version', 'update the package ws')
}

/**
 * Only for a WebSocket that came without its request: ws tells its socket to nobody.
 * Rests on lib/websocket.js `setSocket` (ws 8.0 to 8.23).
 */
export function socketUnder(webSocket: WebSocket): Socket | null {
  const { _socket: socket } = webSocket as unknown as { _socket?: unknown }
  return socket instanceof Socket ? socket : null
}

/**
 * Where the application emits no `'connection'`: ws keeps the WebSocket of a socket under a symbol of its own.
 * Rests on lib/websocket.js `setSocket` and lib/constants.js `kWebSocket` (ws 8.0 to 8.23).
 */
export function webSocketOn(socket: Socket): WebSocket | null {
  const symbol = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'websocket')
  const found = symbol === undefined ? undefined : (socket as unknown as Record<symbol, unknown>)[symbol]
  return found instanceof EventEmitter ? (found as WebSocket) : null
}

/**
 * The HTTP server that ws made for itself (option `port`): nobody else can drain it.
 * Rests on the constructor in lib/websocket-server.js (ws 8.0 to 8.23).
 */
export function ownServerOf(server: WebSocketServer): HttpServer | null {
  const { _server: own } = server as unknown as { _server?: unknown }
  return typeof server.options.port === 'number' && isHttpServer(own) ? own : null
}

/**
 * Closed already: another `close()` would emit `'close'` once more.
 * Rests on `_state` (lib/websocket-server.js, ws 8.0 to 8.23).
 */
export function isDown(server: WebSocketServer): boolean {
  return (server as { _state?: unknown })._state === CLOSED
}
