/**
 * Names the request that a server socket serves, without an adapter.
 *
 * - `http.server.request.start` / `http.server.response.finish` (lib/_http_server.js): plain requests
 * - `upgrade` and CONNECT are not published there: the parser hands the socket over by emitting an event on the
 *   server (lib/_http_server.js `onParserExecuteCommon`), so `http.Server.prototype.emit` gets a pass-through that
 *   looks at a few names only. Four string comparisons an event; a server emits about one event a request.
 * - `connection` as well: `server.emit('connection', socket)` is how an application hands a socket in that it
 *   accepted elsewhere (documented with the event 'connection' of http.Server). And `secureConnection`, because a
 *   TLSSocket shows itself by nothing else until it has received something
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { EventEmitter } from 'node:events'
import { Socket } from 'node:net'
import { patchServerEmit } from '../emit-seam.js'
import { Attribution, releaseRequest, type RequestLike, type ResponseLike } from './attribution.js'
import { serverOf } from '../socket-fields.js'
import { recordOf, type TrackedSocket } from '../tracked-socket.js'

interface RequestMessage {
  readonly request: RequestLike
  readonly response: ResponseLike
  readonly socket: Socket
}

export interface HttpRequestHooks {
  /** Milliseconds since the guard started. */
  now(): number
  /** Makes a record for a socket that was not seen before, or `null` where that can't be. */
  adopt(socket: Socket): TrackedSocket | null
  /** The application gave this server a socket that another one accepted, or none. */
  onHandedIn(server: object, socket: Socket): void
  /** An observation threw: an application may publish and emit these by itself, with whatever it likes. */
  onFailure(error: unknown): void
}

export function observeHttpRequests({ now, adopt, onHandedIn, onFailure }: HttpRequestHooks): () => void {
  // Everything below runs inside the host's own calls, so nothing may come out of it.
  function shielded(observe: (message: unknown) => void): (message: unknown) => void {
    return function observeShielded(message) {
      try {
        observe(message)
      } catch (error) {
        onFailure(error)
      }
    }
  }

  function onRequestStart(message: unknown): void {
    const { request, response, socket } = message as RequestMessage
    const record = recordOf(socket) ?? adopt(socket)
    if (record === null) return
    const attribution = (record.attribution ??= new Attribution())
    attribution.kind ??= 'http'
    attribution.request = request
    attribution.response = response
  }

  function onResponseFinish(message: unknown): void {
    const { request, socket } = message as RequestMessage
    const attribution = recordOf(socket)?.attribution
    // With pipelining the next request may have come already; the name is its own from then on.
    if (attribution?.request === request) releaseRequest(attribution)
  }

  /** The HTTP server lets go of the socket here, and nobody but the handler owns it from now on. */
  function onHandOver(kind: 'upgrade' | 'connect', request: unknown, socket: unknown): void {
    // Node 26 hands an upgrade with an unfinished body to a Duplex of its own; the connection is the request's.
    const carrier = socket instanceof Socket ? socket : (request as { socket?: unknown } | null)?.socket
    if (!(carrier instanceof Socket)) return
    const record = recordOf(carrier) ?? adopt(carrier)
    if (record === null) return
    const attribution = (record.attribution ??= new Attribution())
    attribution.kind = kind
    attribution.handedOverMs = now()
    attribution.request = typeof request === 'object' ? request : null
    releaseRequest(attribution)
  }

  /** Before the server's own listener, which makes itself the socket's `server` (lib/_http_server.js). */
  function onConnection(server: object, socket: unknown): void {
    if (socket instanceof Socket && serverOf(socket) !== server) onHandedIn(server, socket)
  }

  /** Only now does the TLSSocket take the place of the raw one: before its first byte, nothing else tells. */
  function onSecureConnection(socket: unknown): void {
    if (socket instanceof Socket && recordOf(socket) === undefined) adopt(socket)
  }

  function emitted(server: object, event: WatchedEvent, first: unknown, second: unknown): void {
    try {
      if (event === 'connection') onConnection(server, first)
      else if (event === 'secureConnection') onSecureConnection(first)
      else onHandOver(event, first, second)
    } catch (error) {
      onFailure(error)
    }
  }

  const requestStart = shielded(onRequestStart)
  const responseFinish = shielded(onResponseFinish)
  let active = true
  const unpatch = patchServerEmit(
    (original) =>
      function emit(this: EventEmitter, event: string | symbol): boolean {
        if (active && isWatched(event)) emitted(this, event, arguments[1], arguments[2])
        return original().apply(this, arguments as never)
      },
  )
  subscribe('http.server.request.start', requestStart)
  subscribe('http.server.response.finish', responseFinish)

  return function stopObservingHttp() {
    unsubscribe('http.server.request.start', requestStart)
    unsubscribe('http.server.response.finish', responseFinish)
    active = false
    unpatch()
  }
}

type WatchedEvent = 'upgrade' | 'connect' | 'connection' | 'secureConnection'

function isWatched(event: string | symbol): event is WatchedEvent {
  return event === 'upgrade' || event === 'connect' || event === 'connection' || event === 'secureConnection'
}
