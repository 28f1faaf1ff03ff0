import { EventEmitter } from 'node:events'
import type { Server as HttpServer } from 'node:http'
import { Socket } from 'node:net'
import type { WebSocket, WebSocketServer } from 'ws'
import { isHttpServer, refuse } from '../server-kinds.js'

const CLOSED = 2

// Before ws 8, `close()` terminates all clients. The constructor of 8.0 to 8.23 (lib/websocket-server.js) sets
// `_shouldEmitClose` beside `clients`. Throws `SLG_ERR_WRONG_SERVER`.
export function checkVersion(server: WebSocketServer): void {
  if (!('clients' in server) || '_shouldEmitClose' in server) return
  throw refuse('a WebSocketServer of ws 8', 'one of an older version', 'update the package ws')
}

/** For a WebSocket without its request (lib/websocket.js `setSocket`, ws 8.0 to 8.23). */
export function socketUnder(webSocket: WebSocket): Socket | null {
  const { _socket: socket } = webSocket as unknown as { _socket?: unknown }
  return socket instanceof Socket ? socket : null
}

// For applications that emit no `'connection'` (lib/websocket.js `setSocket`, lib/constants.js, ws 8.0 to 8.23).
export function webSocketOn(socket: Socket): WebSocket | null {
  const symbol = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'websocket')
  const found = symbol === undefined ? undefined : (socket as unknown as Record<symbol, unknown>)[symbol]
  return found instanceof EventEmitter ? (found as WebSocket) : null
}

/** The HTTP server of option `port` (constructor in lib/websocket-server.js, ws 8.0 to 8.23). */
export function ownServerOf(server: WebSocketServer): HttpServer | null {
  const { _server: own } = server as unknown as { _server?: unknown }
  return typeof server.options.port === 'number' && isHttpServer(own) ? own : null
}

/** Another `close()` would emit `'close'` again (`_state` in lib/websocket-server.js, ws 8.0 to 8.23). */
export function isDown(server: WebSocketServer): boolean {
  return (server as { _state?: unknown })._state === CLOSED
}
