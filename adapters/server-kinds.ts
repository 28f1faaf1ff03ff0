/** Tells the kinds of server apart, so that a mix-up gets an answer that helps. */
import { EventEmitter } from 'node:events'
import { Server as HttpServer } from 'node:http'
import { Server as HttpsServer } from 'node:https'
import { Server as NetServer } from 'node:net'
import { SocketLeakGuardError, wrongServer } from '../src/index.js'

/** Without the package ws: whoever mistakes a server for another need not have it. */
export function isWebSocketServer(value: unknown): boolean {
  if (!(value instanceof EventEmitter)) return false
  const { handleUpgrade, shouldHandle, options } = value as {
    handleUpgrade?: unknown
    shouldHandle?: unknown
    options?: unknown
  }
  return (
    typeof handleUpgrade === 'function' && typeof shouldHandle === 'function' && typeof options === 'object'
  )
}

export function isHttpServer(value: unknown): boolean {
  return value instanceof HttpServer || value instanceof HttpsServer
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

function hasMethods(value: object | null, names: readonly string[]): boolean {
  return (
    value !== null && names.every((name) => typeof (value as Record<string, unknown>)[name] === 'function')
  )
}

/** @returns the error for a server that this adapter does not guard, with the adapter that does */
export function refuseServer(expected: string, got: unknown): SocketLeakGuardError {
  if (isApplication(got)) {
    return refuse(
      expected,
      'an application, which has no sockets',
      'pass the server that app.listen() returns',
    )
  }
  if (isWebSocketServer(got)) {
    return refuse(expected, 'a WebSocketServer', 'import { guardServer } from "socket-leak-guard/ws"')
  }
  if (isFastify(got)) {
    return refuse(expected, 'a Fastify instance', 'import { guardServer } from "socket-leak-guard/fastify"')
  }
  if (isSocketIoServer(got)) {
    return refuse(expected, 'a Socket.IO server', 'import { guardServer } from "socket-leak-guard/socket.io"')
  }
  if (isHttpServer(got)) {
    return refuse(expected, 'an HTTP server', 'import { guardServer } from "socket-leak-guard/http"')
  }
  if (got instanceof NetServer) {
    return refuse(expected, 'a net.Server', 'import { guardServer } from "socket-leak-guard/net"')
  }
  return wrongServer(expected, got)
}

export function refuse(expected: string, got: string, advice: string): SocketLeakGuardError {
  return new SocketLeakGuardError('SLG_ERR_WRONG_SERVER', `server must be ${expected}, got ${got}; ${advice}`)
}
