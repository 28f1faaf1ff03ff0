/** Tells the kinds of server apart by what they can do, so that no framework is loaded, nor `http` and `https`. */
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

/** Servers of http2 have some of these methods, but serve many requests on each connection. */
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

/** @returns the error for a server that this adapter does not guard, with the adapter that does */
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
