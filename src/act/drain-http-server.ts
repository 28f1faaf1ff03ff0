/**
 * The graceful stop of an HTTP server:
 *
 * - requests in flight may finish; where their headers are not sent yet, the response gets `connection: close`
 * - idle keep-alive connections are closed at once, new ones that have not asked for anything a moment later
 * - upgraded and CONNECT sockets, which `server.close()` waits for without end, get `socket.end()`, WebSockets that
 *   the ws adapter knows a close frame
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http'
import type { Server, Socket } from 'node:net'

import type { Guard } from '../guard.js'
import { clearInterval, setImmediate, setInterval } from '../real-time.js'
import { closeEndlessStreams } from '../endless-streams.js'
import { endSocket } from './closing.js'
import { drain, type DrainOptions, type DrainPlan, type DrainResult } from './drain.js'
import { sparingBusy } from './spare-busy.js'

interface ExchangeMessage {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly socket: Socket
  readonly server: Server
}

/** RFC 6455, section 7.4.1: going away. */
const GOING_AWAY = 1001

/** A connection that was just opened is about to carry a request, most likely. */
const FIRST_REQUEST_MS = 1000

/** How often to look for connections that have become idle without our being told: a request that was still coming in. */
const IDLE_LOOK_MS = 200

/**
 * @param server an `http.Server` or `https.Server`
 * @throws `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 */
export function drainHttpServer(
  guard: Guard,
  server: HttpServer,
  options?: DrainOptions,
): Promise<DrainResult> {
  return drain(planHttpDrain(guard, server), options)
}

export function planHttpDrain(guard: Guard, server: HttpServer): DrainPlan {
  const seenSilent = new WeakSet<Socket>()
  const farewelled = new WeakSet<Socket>()
  let looks: NodeJS.Timeout | null = null
  let silent: NodeJS.Timeout | null = null
  let meet: (socket: Socket) => void = () => {}

  function sockets(): Socket[] {
    return guard.socketsOf(server)
  }

  function stop(meetLate: typeof meet): void {
    meet = meetLate
    subscribe('http.server.request.start', onRequestStart)
    subscribe('http.server.response.finish', onResponseFinish)
    closeEndlessStreams()
    closeIdle()
    looks = setInterval(lookAgain, IDLE_LOOK_MS)
    closeSilent()
    silent = setInterval(closeSilent, FIRST_REQUEST_MS)
  }

  /** What became idle since, and what was upgraded only now. */
  function lookAgain(): void {
    closeIdle()
    for (const socket of sockets()) if (!isHttp(socket)) finish(socket)
  }

  function closeIdle(): void {
    sparingBusy(sockets(), () => {
      if (server.listening) server.close()
      else server.closeIdleConnections()
    })
  }

  /** Connections without any request, at the second look: one that is on its way is still answered. */
  function closeSilent(): void {
    for (const socket of sockets()) {
      if (!isHttp(socket) || socket.bytesRead > 0) continue
      if (seenSilent.has(socket)) socket.destroy()
      seenSilent.add(socket)
    }
  }

  function isHttp(socket: Socket): boolean {
    const kind = guard.useOf(socket)?.kind ?? null
    return kind === null || kind === 'http'
  }

  function finish(socket: Socket): void {
    const use = guard.useOf(socket)
    if (isHttp(socket)) {
      if (use?.response) announceEnd(use.response as ServerResponse)
    } else if (!farewelled.has(socket)) {
      farewelled.add(socket)
      if (use?.webSocket) use.webSocket.close(GOING_AWAY)
      else endSocket(socket)
    }
  }

  function onRequestStart(message: unknown): void {
    const { response, socket, server: theirs } = message as ExchangeMessage
    if (theirs !== server) return
    announceEnd(response)
    meet(socket)
  }

  function onResponseFinish(message: unknown): void {
    const { request, socket, server: theirs } = message as ExchangeMessage
    if (theirs !== server) return
    // Node first does what it does at the end of a response, and may have the next one to send.
    if (request.complete) setImmediate(closeUnlessServing, socket)
    // A close with input still coming in is a reset, which may overtake the response.
    else request.once('close', () => setImmediate(closeUnlessServing, socket))
  }

  function closeUnlessServing(socket: Socket): void {
    const isServing = (guard.useOf(socket)?.request ?? null) !== null
    if (!isServing && !socket.destroyed) socket.destroySoon()
  }

  return {
    server,
    sockets,
    stop,
    finish,
    closeRest: () => server.closeAllConnections(),
    cleanUp() {
      unsubscribe('http.server.request.start', onRequestStart)
      unsubscribe('http.server.response.finish', onResponseFinish)
      if (looks !== null) clearInterval(looks)
      if (silent !== null) clearInterval(silent)
    },
  }
}

/** Tells the client, where that is still possible, that this connection takes no further request. */
function announceEnd(response: ServerResponse): void {
  if (response.headersSent || response.writableEnded) return
  try {
    response.setHeader('connection', 'close')
  } catch {
    // Somebody has put a method of his own there; the connection is closed after the response all the same.
  }
}
