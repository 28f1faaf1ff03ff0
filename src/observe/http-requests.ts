/**
 * Names the request that a server socket serves, without an adapter.
 *
 * - `http.server.request.start` / `http.server.response.finish` (lib/_http_server.js): plain requests
 * - `upgrade` and CONNECT are not published there: the parser hands the socket over by emitting an event on the
 *   server (lib/_http_server.js `onParserExecuteCommon`), so `http.Server.prototype.emit` gets a pass-through that
 *   looks at these two names only. Two string comparisons an event; a server emits about one event a request.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { EventEmitter } from 'node:events'
import { Server as HttpServer } from 'node:http'
import { Server as HttpsServer } from 'node:https'
import { Socket } from 'node:net'
import { Attribution, releaseRequest, type RequestLike } from './attribution.js'
import { recordOf, type TrackedSocket } from './tracked-socket.js'

interface RequestMessage {
  readonly request: RequestLike
  readonly socket: Socket
}

export interface HttpRequestHooks {
  /** Makes a record for a socket that was not seen before, or `null` where that can't be. */
  adopt(socket: Socket): TrackedSocket | null
  /** An observation threw: an application may publish and emit these by itself, with whatever it likes. */
  onFailure(error: unknown): void
}

export function observeHttpRequests({ adopt, onFailure }: HttpRequestHooks): () => void {
  // Everything below runs inside the host's own calls, so nothing may come out of it.
  function shielded<A extends unknown[]>(observe: (...args: A) => void): (...args: A) => void {
    return function observeShielded(...args) {
      try {
        observe(...args)
      } catch (error) {
        onFailure(error)
      }
    }
  }

  function onRequestStart(message: unknown): void {
    const { request, socket } = message as RequestMessage
    const record = recordOf(socket) ?? adopt(socket)
    if (record === null) return
    const attribution = (record.attribution ??= new Attribution())
    attribution.kind ??= 'http'
    attribution.request = request
  }

  function onResponseFinish(message: unknown): void {
    const attribution = recordOf((message as RequestMessage).socket)?.attribution
    if (attribution !== null && attribution !== undefined) releaseRequest(attribution)
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
    attribution.request = typeof request === 'object' ? request : null
    releaseRequest(attribution)
  }

  const handOver = shielded(onHandOver)
  const requestStart = shielded(onRequestStart)
  const responseFinish = shielded(onResponseFinish)
  const restore = [HttpServer, HttpsServer].map((server) => watchEmit(server.prototype, handOver))
  subscribe('http.server.request.start', requestStart)
  subscribe('http.server.response.finish', responseFinish)

  return function stopObservingHttp() {
    unsubscribe('http.server.request.start', requestStart)
    unsubscribe('http.server.response.finish', responseFinish)
    for (const undo of restore) undo()
  }
}

type HandOverListener = (kind: 'upgrade' | 'connect', request: unknown, socket: unknown) => void

function watchEmit(prototype: EventEmitter, onHandOver: HandOverListener): () => void {
  let active = true
  const before = Object.getOwnPropertyDescriptor(prototype, 'emit')
  const parent = Object.getPrototypeOf(prototype) as EventEmitter
  const own = before?.value as EventEmitter['emit'] | undefined

  function emit(this: EventEmitter, event: string | symbol, ...args: unknown[]): boolean {
    if (active && (event === 'upgrade' || event === 'connect')) onHandOver(event, args[0], args[1])
    return (own ?? parent.emit).call(this, event, ...args)
  }

  Object.defineProperty(prototype, 'emit', {
    value: emit,
    writable: true,
    configurable: true,
    enumerable: false,
  })
  return function restoreEmit() {
    active = false
    if (prototype.emit !== emit) return
    if (before === undefined) delete (prototype as { emit?: unknown }).emit
    else Object.defineProperty(prototype, 'emit', before)
  }
}
