/**
 * Runs the handlers of every HTTP server inside the context of the request that they serve.
 *
 * `http.server.request.start` is published, not run (lib/_http_server.js `parserOnIncoming`; `bindStore()` needs
 * `runStores()`), so a store entered there would stay entered for the rest of the parser's turn, and with pipelining for
 * the next request. So `emit` of the two server prototypes gets one more pass-through, which runs the few events that
 * hand a request to the application. Installed only where a source of context wants to be fed.
 */
import type { EventEmitter } from 'node:events'
import { Server as HttpServer } from 'node:http'
import { Server as HttpsServer } from 'node:https'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Socket } from 'node:net'
import type { RequestLike } from '../requests/attribution.js'
import { originOf } from '../origin.js'
import { recordOf } from '../tracked-socket.js'
import type { ServedRequest } from './served-request.js'
import type { Serve } from './source.js'

type ServableRequest = RequestLike & { readonly socket?: unknown }

/** @param onFailure an observation threw: an application may emit these events by itself, with whatever it likes */
export function serveInContext(serve: Serve, onFailure: (error: unknown) => void): () => void {
  let active = true

  function keep(request: ServableRequest, served: ServedRequest): void {
    const { socket } = request
    const record = socket instanceof Socket ? recordOf(socket) : undefined
    if (record === undefined) return
    const origin = originOf(record)
    // Pipelined, or aborted: nobody has told the end of the request before.
    origin.serving?.onAnswered()
    origin.serving = served
    served.connection = record
  }

  /** Runs before the handler, inside the host's own `emit()`: nothing here may throw. */
  function onServed(event: string | symbol, request: ServableRequest, served: ServedRequest): void {
    try {
      // Such a socket may outlive its request by hours, and no router will name a route.
      if (event === 'upgrade' || event === 'connect') served.release()
      else keep(request, served)
    } catch (error) {
      onFailure(error)
    }
  }

  function onResponseFinish(message: unknown): void {
    const { request, socket } = message as { request?: unknown; socket?: unknown }
    const origin = socket instanceof Socket ? recordOf(socket)?.origin : null
    if (origin?.serving?.serves(request) !== true) return
    origin.serving.onAnswered()
    origin.serving = null
  }

  function wrapEmit(prototype: EventEmitter): () => void {
    const before = Object.getOwnPropertyDescriptor(prototype, 'emit')
    const parent = Object.getPrototypeOf(prototype) as EventEmitter
    const own = before?.value as EventEmitter['emit'] | undefined

    function emit(this: EventEmitter, event: string | symbol, ...args: unknown[]): boolean {
      const next = own ?? parent.emit
      if (!active || !handsOverRequest(event) || typeof args[0] !== 'object' || args[0] === null)
        return next.call(this, event, ...args)
      const request: ServableRequest = args[0]
      return serve(
        request,
        () => next.call(this, event, ...args),
        (served) => onServed(event, request, served),
      )
    }

    Object.defineProperty(prototype, 'emit', {
      value: emit,
      writable: true,
      configurable: true,
      enumerable: false,
    })
    return function restoreEmit() {
      if (prototype.emit !== emit) return
      if (before === undefined) delete (prototype as { emit?: unknown }).emit
      else Object.defineProperty(prototype, 'emit', before)
    }
  }

  const restore = [HttpServer, HttpsServer].map((server) => wrapEmit(server.prototype))
  subscribe('http.server.response.finish', onResponseFinish)
  return function stopServingInContext() {
    active = false
    unsubscribe('http.server.response.finish', onResponseFinish)
    for (const undo of restore) undo()
  }
}

/** The events of http.Server by which the application gets a request. */
function handsOverRequest(event: string | symbol): boolean {
  return (
    event === 'request' ||
    event === 'upgrade' ||
    event === 'connect' ||
    event === 'checkContinue' ||
    event === 'checkExpectation'
  )
}
