// Drains an HTTP server: requests in progress finish, with `connection: close` if headers can still be sent. Upgraded
// and CONNECT sockets, for which `server.close()` waits forever, get `socket.end()` or a WebSocket's close frame.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http'
import type { Server, Socket } from 'node:net'
import { isEndless } from '../core/endless.js'
import type { Guard } from '../guard/guard.js'
import { hasBlockedOutput } from '../socket/fields.js'
import { clearInterval, monotonicMs, setImmediate, setInterval } from '../base/real-time.js'
import { endSocket } from './closing.js'
import { drain, type DrainOptions, type DrainPlan, type DrainResult } from './drain.js'

interface ExchangeMessage {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly socket: Socket
  readonly server: Server
}

// RFC 6455, section 7.4.1: going away.
const GOING_AWAY = 1001
// A new connection most likely brings a request soon.
const FIRST_REQUEST_MS = 1000
const IDLE_LOOK_MS = 200

/** Drains an `http.Server` or `https.Server`. Rejects with `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`. */
export function drainHttpServer(
  guard: Guard,
  server: HttpServer,
  options?: DrainOptions,
): Promise<DrainResult> {
  return drain(planHttpDrain(guard, server), options)
}

export function planHttpDrain({ adapter: guard }: Guard, server: HttpServer): DrainPlan {
  const silentSinceMs = new WeakMap<Socket, number>()
  const farewelled = new WeakSet<Socket>()
  let looks: NodeJS.Timeout | undefined
  let meet: (socket: Socket) => void = () => {}

  function closeIdle(): void {
    const sockets = guard.socketsOf(server)
    sparingBusy(sockets, () => {
      if (server.listening) server.close()
      else server.closeIdleConnections()
    })
    const nowMs = monotonicMs()
    for (const socket of sockets.filter(isHttp)) {
      // The client of an event stream reconnects, to another process.
      const response = responseOn(socket)
      if (response !== null && isEndless(response)) response.end()
      if (socket.bytesRead > 0) continue
      const sinceMs = silentSinceMs.get(socket) ?? nowMs
      silentSinceMs.set(socket, sinceMs)
      if (nowMs - sinceMs >= FIRST_REQUEST_MS) socket.destroy()
    }
  }

  function lookAgain(): void {
    closeIdle()
    for (const socket of guard.socketsOf(server)) if (!isHttp(socket)) finish(socket)
  }

  function responseOn(socket: Socket): ServerResponse | null {
    return (guard.useOf(socket)?.response ?? null) as ServerResponse | null
  }

  function isHttp(socket: Socket): boolean {
    return (guard.useOf(socket)?.kind ?? 'http') === 'http'
  }

  function finish(socket: Socket): void {
    if (isHttp(socket)) {
      announceEnd(responseOn(socket))
    } else if (!farewelled.has(socket)) {
      farewelled.add(socket)
      const webSocket = guard.useOf(socket)?.webSocket
      if (webSocket) webSocket.close(GOING_AWAY)
      else endSocket(socket)
    }
  }

  function onRequestStart(message: unknown): void {
    const { response, socket, server: its } = message as ExchangeMessage
    if (its !== server) return
    announceEnd(response)
    meet(socket)
  }

  function onResponseFinish(message: unknown): void {
    const { request, socket, server: its } = message as ExchangeMessage
    if (its !== server) return
    // Node first finishes the response, and may have another one to send.
    if (request.complete) setImmediate(closeUnlessServing, socket)
    // Closing with incoming input is a reset, which may overtake the response.
    else request.once('close', () => setImmediate(closeUnlessServing, socket))
  }

  function closeUnlessServing(socket: Socket): void {
    if (!guard.useOf(socket)?.request && !socket.destroyed) socket.destroySoon()
  }

  return {
    server,
    sockets: () => guard.socketsOf(server),
    stop(meetLate) {
      meet = meetLate
      subscribe('http.server.request.start', onRequestStart)
      subscribe('http.server.response.finish', onResponseFinish)
      closeIdle()
      looks = setInterval(lookAgain, IDLE_LOOK_MS)
    },
    finish,
    closeRest: () => server.closeAllConnections(),
    cleanUp() {
      unsubscribe('http.server.request.start', onRequestStart)
      unsubscribe('http.server.response.finish', onResponseFinish)
      clearInterval(looks)
    },
  }
}

function announceEnd(response: ServerResponse | null): void {
  if (response === null || response.headersSent || response.writableEnded) return
  try {
    response.setHeader('connection', 'close')
  } catch {
    // The application has replaced the method; the connection is closed anyway.
  }
}

// `server.close()` and `closeIdleConnections()` (lib/_http_server.js) destroy a connection as idle once
// `response.end()` was called, even if megabytes of the response are still to be sent (seen on Node 20.20, 22.23, 24.21
// and 26.10). Node 26 also destroys new connections before their first request. This keeps both open.
function sparingBusy(sockets: readonly Socket[], run: () => void): void {
  const undos = sockets
    .filter((socket) => hasBlockedOutput(socket) || socket.bytesRead === 0)
    .map((socket) => {
      const own = Object.getOwnPropertyDescriptor(socket, 'destroy')
      Object.defineProperty(socket, 'destroy', { value: () => socket, configurable: true })
      return function undo() {
        if (own === undefined) delete (socket as { destroy?: unknown }).destroy
        else Object.defineProperty(socket, 'destroy', own)
      }
    })
  try {
    run()
  } finally {
    for (const undo of undos) undo()
  }
}
