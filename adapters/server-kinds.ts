/** Recognises servers by their methods, so that no framework, `http` or `https` is loaded. */
import { EventEmitter } from 'node:events'
import type { Server as HttpServer } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import { Server as NetServer } from 'node:net'
import { SocketLeakGuardError, wrongServer } from '../src/adapter.js'

export function isWebSocketServer(value: unknown): boolean {
  return (
    value instanceof EventEmitter &&
    hasMethods(value, ['handleUpgrade', 'shouldHandle']) &&
    typeof (value as { options?: unknown }).options === 'object'
  )
}

/** Excludes http2 servers, which serve many requests on a connection. */
export function isHttpServer(value: unknown): value is HttpServer | HttpsServer {
  return (
    value instanceof NetServer &&
    hasMethods(value, ['closeAllConnections', 'closeIdleConnections']) &&
    !hasMethods(value, ['updateSettings'])
  )
}

export function isFastify(value: unknown): boolean {
  return typeof value === 'object' && hasMethods(value, ['addHook', 'register', 'inject', 'listen'])
}

export function isSocketIoServer(value: unknown): boolean {
  return value instanceof EventEmitter && hasMethods(value, ['of', 'attach', 'bind', 'disconnectSockets'])
}

export function isKoa(value: unknown): boolean {
  return value instanceof EventEmitter && hasMethods(value, ['use', 'callback', 'createContext', 'listen'])
}

export function hasMethods(value: unknown, names: readonly string[]): boolean {
  return (
    value !== null && names.every((name) => typeof (value as Record<string, unknown>)[name] === 'function')
  )
}

const OTHERS: readonly (readonly [is: (value: unknown) => boolean, what: string, adapter: string])[] = [
  [isWebSocketServer, 'a WebSocketServer', 'ws'],
  [isFastify, 'a Fastify instance', 'fastify'],
  [isSocketIoServer, 'a Socket.IO server', 'socket.io'],
  [isHttpServer, 'an HTTP server', 'http'],
  [(value) => value instanceof NetServer, 'a net.Server', 'net'],
]

export function refuseServer(expected: string, got: unknown): SocketLeakGuardError {
  if (isKoa(got) || (typeof got === 'function' && hasMethods(got, ['handle', 'listen']))) {
    const what = 'an application, which has no sockets'
    return refuse(expected, what, 'pass the server that app.listen() returns')
  }
  const other = got === undefined ? undefined : OTHERS.find(([is]) => is(got))
  if (other === undefined) return wrongServer(expected, got)
  return refuse(expected, other[1], `import { guardServer } from "socket-leak-guard/${other[2]}"`)
}

export function refuse(expected: string, got: string, advice: string): SocketLeakGuardError {
  return new SocketLeakGuardError('SLG_ERR_WRONG_SERVER', `server must be ${expected}, got ${got}; ${advice}`)
}
