import { EventEmitter } from 'node:events'
import { Socket } from 'node:net'
import type { Server as HttpServer } from 'node:http'
import type { WebSocketLike } from '../../src/adapter.js'
import { hasMethods, isHttpServer } from '../server-kinds.js'

/** `sockets` and `eio` (lib/index.js of socket.io 2 and 3); `disconnectSockets` came with 4. */
export function isOlderSocketIo(value: unknown): boolean {
  return (
    typeof value === 'object' &&
    hasMethods(value, ['attach', 'of']) &&
    !hasMethods(value, ['disconnectSockets'])
  )
}

/** Engine.IO, once attached to an HTTP server: `engine` (socket.io 4.1 to 4.8, documented). */
export function engineOf(io: object): EventEmitter | null {
  const { engine } = io as { engine?: unknown }
  return engine instanceof EventEmitter ? engine : null
}

/** `httpServer` (socket.io 4.1 to 4.8). */
export function httpServerOf(io: object): HttpServer | null {
  const { httpServer } = io as { httpServer?: unknown }
  return isHttpServer(httpServer) ? httpServer : null
}

// Clients connected by WebSocket: lib/server.js `clients`, lib/socket.js `transport`, lib/transports/websocket.js
// `socket` (engine.io 5.1 to 6.6), lib/websocket.js `setSocket` of ws (7.4 to 8.23).
export function* webSocketsOf(engine: EventEmitter): Generator<[WebSocketLike, Socket]> {
  const { clients } = engine as { clients?: unknown }
  if (typeof clients !== 'object' || clients === null) return
  for (const client of Object.values(clients)) {
    const { transport } = client as { transport?: { name?: unknown; socket?: unknown } }
    if (transport?.name !== 'websocket' || !isWebSocket(transport.socket)) continue
    const { _socket: socket } = transport.socket as { _socket?: unknown }
    if (socket instanceof Socket) yield [transport.socket, socket]
  }
}

function isWebSocket(value: unknown): value is WebSocketLike {
  return value instanceof EventEmitter && typeof (value as Partial<WebSocketLike>).close === 'function'
}
