/**
 * Runs the handlers of every HTTP server inside the context of the request that they serve.
 *
 * `http.server.request.start` is published, not run (lib/_http_server.js `parserOnIncoming`; `bindStore()` needs
 * `runStores()`), so a store entered there would stay entered for the rest of the parser's turn, and with pipelining for
 * the next request. So `emit` of the two server prototypes gets one more pass-through, which runs the few events that
 * hand a request to the application. Installed only where a source of context wants to be fed.
 */
import type { EventEmitter } from 'node:events'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Socket } from 'node:net'
import type { RequestLike } from '../requests/attribution.js'
import { patchServerEmit, type Emit } from '../emit-seam.js'
import { originOf } from '../origin.js'
import { recordOf } from '../tracked-socket.js'
import type { HandlerRun } from './handler-run.js'
import type { ServedRequest } from './served-request.js'
import type { Serve } from './source.js'

type ServableRequest = RequestLike & { readonly socket?: unknown }

/**
 * @param source runs handlers in its store, or is told which one runs
 * @param onFailure an observation threw: an application may emit these events by itself, with whatever it likes
 */
export function serveInContext(
  source: { readonly serve: Serve } | { readonly handlers: HandlerRun },
  onFailure: (error: unknown) => void,
): () => void {
  let active = true
  /** Only where stores are kept is it of any interest that a request is over. */
  let forgetAnswered: (() => void) | null = null

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

  /** Whose handler runs is written down; the first connection that is opened in it makes the store. */
  function noting(handlers: HandlerRun): (original: () => Emit) => Emit {
    handlers.onServed = (event, request, served) => {
      forgetAnswered ??= listenForAnswers()
      onServed(event, request, served)
    }
    return (original) =>
      function emit(this: EventEmitter, event: string | symbol): boolean {
        if (!active || !handsOverRequest(event)) return original().apply(this, arguments as never)
        const request: unknown = arguments[1]
        const { event: outerEvent, request: outerRequest, served: outerServed } = handlers
        handlers.event = event
        handlers.request = isServable(request) ? request : null
        handlers.served = null
        try {
          return original().apply(this, arguments as never)
        } finally {
          handlers.event = outerEvent
          handlers.request = outerRequest
          handlers.served = outerServed
        }
      }
  }

  function running(serve: Serve): (original: () => Emit) => Emit {
    forgetAnswered = listenForAnswers()
    return (original) =>
      function emit(this: EventEmitter, event: string | symbol): boolean {
        const request: unknown = arguments[1]
        if (!active || !handsOverRequest(event) || !isServable(request))
          return original().apply(this, arguments as never)
        return serve(
          request,
          () => original().apply(this, arguments as never),
          (served) => onServed(event, request, served),
        )
      }
  }

  function listenForAnswers(): () => void {
    subscribe('http.server.response.finish', onResponseFinish)
    return () => void unsubscribe('http.server.response.finish', onResponseFinish)
  }

  const unpatch = patchServerEmit('handlers' in source ? noting(source.handlers) : running(source.serve))
  return function stopServingInContext() {
    active = false
    forgetAnswered?.()
    unpatch()
  }
}

function isServable(request: unknown): request is ServableRequest {
  return typeof request === 'object' && request !== null
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
