/**
 * The request whose handler runs at this moment, known for as long as it runs without a break: what it opens before its first
 * `await` or callback is opened in its work, and what comes later is nobody's. Rests on no async hook, so a request that opens
 * nothing pays for two assignments.
 */
import type { RequestLike } from '../requests/attribution.js'
import { ServedRequest } from './served-request.js'
import type { ContextSource } from './source.js'

export function whileHandlerRuns(): ContextSource {
  let running: Run | null = null

  return {
    name: 'handler',
    current() {
      if (running === null) return null
      if (running.served === null) {
        running.served = new ServedRequest(running.request)
        running.onServed(running.served)
      }
      return running.served
    },
    serve(request, fn, onServed) {
      const outer = running
      running = { request, onServed, served: null }
      try {
        return fn()
      } finally {
        running = outer
      }
    },
    stop() {
      running = null
    },
  }
}

interface Run {
  readonly request: RequestLike
  readonly onServed: (served: ServedRequest) => void
  /** Made when the first connection is opened. */
  served: ServedRequest | null
}
