import { AsyncLocalStorage } from 'node:async_hooks'

/**
 * Is AsyncLocalStorage nearly free here? Where it rests on AsyncContextFrame, V8 itself carries the store from promise to
 * promise; where it rests on async_hooks, switching it on makes every promise of the process dearer.
 *
 * Told by its make, not by the version of Node: flags turn it on in 22 and off in 24. The one on async_hooks keeps its
 * store under a property of its own (lib/async_hooks.js in 20.20, lib/internal/async_local_storage/async_hooks.js in
 * 22.23 and 24.21, constructor); the other has none (lib/internal/async_local_storage/async_context_frame.js in 22.23,
 * 24.21 and 26.10). Nothing is switched on by asking.
 */
export function usesAsyncContextFrame(): boolean {
  const storage = new AsyncLocalStorage()
  return !('kResourceStore' in storage) && !('_propagate' in storage)
}
