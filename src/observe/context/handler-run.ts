/**
 * The request whose handler runs at this moment, known for as long as it runs without a break: what it opens before its first
 * `await` or callback is opened in its work, and what comes later is nobody's. Rests on no async hook and allocates nothing
 * for a request that opens nothing.
 */
import type { RequestLike } from '../requests/attribution.js'
import { ServedRequest } from './served-request.js'
import type { ContextSource } from './source.js'

export type OnServed = (event: string | symbol, request: RequestLike, served: ServedRequest) => void

/** What runs now. Whoever enters a handler puts the fields back afterwards: handlers may run within one another. */
export class HandlerRun {
  event: string | symbol = ''
  request: RequestLike | null = null
  /** Made when the first connection is opened. */
  served: ServedRequest | null = null
  /** Told of a store when it is made. */
  onServed: OnServed = () => {}

  current(): ServedRequest | null {
    const { event, request } = this
    if (request === null || this.served !== null) return this.served
    this.served = new ServedRequest(request)
    this.onServed(event, request, this.served)
    return this.served
  }
}

export function whileHandlerRuns(): ContextSource {
  const handlers = new HandlerRun()
  return {
    name: 'handler',
    current: () => handlers.current(),
    serve: null,
    handlers,
    stop() {
      handlers.request = null
      handlers.served = null
    },
  }
}
