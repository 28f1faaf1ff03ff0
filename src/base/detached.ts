// Runs timers and calls into the application outside the caller's async context, so that it is neither used nor kept.
// An AsyncResource runs its work in the context kept under its symbols: one for each AsyncLocalStorage
// (lib/internal/async_local_storage/async_hooks.js, Node 20 and 22; 24 with `--no-async-context-frame`), or one for all
// (lib/async_hooks.js `AsyncResource`, `context_frame`, Node 24 and 26). Emptied, it has no context.
import { AsyncResource } from 'node:async_hooks'

export type RunDetached = <A extends unknown[], T>(work: (...args: A) => T, ...args: A) => T

/** Tools that list what keeps a process running ask `hasRef()` (why-is-node-running 3.2.3, index.js). */
class Idle extends AsyncResource {
  hasRef(): boolean {
    return false
  }
}

export function createDetached(): RunDetached {
  const resource = new Idle('SocketLeakGuard')
  empty(resource)
  return function runDetached(work, ...args) {
    try {
      return resource.runInAsyncScope(work, undefined, ...args)
    } finally {
      // `enterWith()` writes to the current resource.
      empty(resource)
    }
  }
}

const IDS: ReadonlySet<string | undefined> = new Set(['async_id_symbol', 'trigger_async_id_symbol'])

function empty(resource: AsyncResource): void {
  const stores = resource as unknown as Record<symbol, unknown>
  for (const symbol of Object.getOwnPropertySymbols(resource)) {
    if (!IDS.has(symbol.description)) stores[symbol] = undefined
  }
}
