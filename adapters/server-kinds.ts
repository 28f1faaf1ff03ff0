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

/** An Express application (or one of its kin): a function that handles requests, and no server. */
function isApplication(value: unknown): boolean {
  if (typeof value !== 'function') return false
  const { handle, listen } = value as { handle?: unknown; listen?: unknown }
  return typeof handle === 'function' && typeof listen === 'function'
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
  if (isHttpServer(got)) {
    return refuse(expected, 'an HTTP server', 'import { guardServer } from "socket-leak-guard/http"')
  }
  if (got instanceof NetServer) {
    return refuse(expected, 'a net.Server', 'import { guardServer } from "socket-leak-guard/net"')
  }
  return wrongServer(expected, got)
}

function refuse(expected: string, got: string, advice: string): SocketLeakGuardError {
  return new SocketLeakGuardError('SLG_ERR_WRONG_SERVER', `server must be ${expected}, got ${got}; ${advice}`)
}
