import { AsyncLocalStorage } from 'node:async_hooks'

// Is AsyncLocalStorage nearly free here? On AsyncContextFrame V8 carries the store; on async_hooks each promise gets
// slower. The version of Node does not tell, because flags switch it on in 22 and off in 24. The one on async_hooks has
// a property `kResourceStore` (lib/async_hooks.js in 20.20, lib/internal/async_local_storage/async_hooks.js in 22.23
// and 24.21), the other none (lib/internal/async_local_storage/async_context_frame.js in 22.23, 24.21 and 26.10).
export function usesAsyncContextFrame(): boolean {
  const storage = new AsyncLocalStorage()
  return !('kResourceStore' in storage) && !('_propagate' in storage)
}
