/**
 * Work of the guard's own belongs to nobody's request: it must not run in the async context of whoever happened to call, nor keep
 * that alive. Every timer is armed and every function of the application's is called through this.
 *
 * An AsyncResource runs what it is given in the context that it was made in, which it keeps under symbols: one for each
 * AsyncLocalStorage (lib/internal/async_local_storage/async_hooks.js, Node 20 and 22; on 24 with `--no-async-context-frame`), or one
 * for all (lib/async_hooks.js `AsyncResource`, `context_frame`, Node 24 and 26). Emptied, it stands for no context.
 */
import { AsyncResource } from 'node:async_hooks'

export type RunDetached = <A extends unknown[], T>(work: (...args: A) => T, ...args: A) => T

export function createDetached(): RunDetached {
  const resource = new AsyncResource('SocketLeakGuard')
  empty(resource)
  return function runDetached(work, ...args) {
    try {
      return resource.runInAsyncScope(work, undefined, ...args)
    } finally {
      // `enterWith()` writes to the resource that runs.
      empty(resource)
    }
  }
}

/** What Node itself needs of a resource. */
const IDS: ReadonlySet<string | undefined> = new Set(['async_id_symbol', 'trigger_async_id_symbol'])

function empty(resource: AsyncResource): void {
  const stores = resource as unknown as Record<symbol, unknown>
  for (const symbol of Object.getOwnPropertySymbols(resource)) {
    if (!IDS.has(symbol.description)) stores[symbol] = undefined
  }
}
