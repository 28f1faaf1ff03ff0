/**
 * Tells the kinds of server apart by what they can do, so that a mix-up gets an answer that helps. No framework is loaded for
 * it, and neither are `http` and `https`: whoever mistakes a server for another need not have it.
 */
import { EventEmitter } from 'node:events'
import { Server as NetServer } from 'node:net'
import { SocketLeakGuardError, wrongServer } from '../src/adapter.js'

export function isWebSocketServer(value: unknown): boolean {
  if (!(value instanceof EventEmitter) || !hasMethods(value, ['handleUpgrade', 'shouldHandle'])) return false
  return typeof (value as { options?: unknown }).options === 'object'
}

/** Servers of http2 have some of these methods, but serve many requests on each connection. */
export function isHttpServer(value: unknown): boolean {
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

/** An application of Express (or one of its kin) or Koa: it handles requests, and is no server. */
function isApplication(value: unknown): boolean {
  return isKoa(value) || (typeof value === 'function' && hasMethods(value, ['handle', 'listen']))
}

function hasMethods(value: unknown, names: readonly string[]): boolean {
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
  if (isApplication(got)) {
    return refuse(
      expected,
      'an application, which has no sockets',
      'pass the server that app.listen() returns',
    )
  }
  const other = got === undefined ? undefined : OTHERS.find(([is]) => is(got))
  if (other === undefined) return wrongServer(expected, got)
  return refuse(expected, other[1], `import { guardServer } from "socket-leak-guard/${other[2]}"`)
}

export function refuse(expected: string, got: string, advice: string): SocketLeakGuardError {
  return new SocketLeakGuardError('SLG_ERR_WRONG_SERVER', `server must be ${expected}, got ${got}; ${advice}`)
}
