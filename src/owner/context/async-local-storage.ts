import type { AsyncLocalStorage } from 'node:async_hooks'
import { boundedValues } from './bounded-values.js'
import type { ContextProvider } from './provider.js'

/**
 * Reads an AsyncLocalStorage of the application. Costs one `getStore()` and a small copy for each outgoing connection
 * and request.
 * @param storage the application's own
 * @param pick the values to show: ids and names, never secrets. Strings, numbers and booleans are copied, 16 of at most
 * 200 characters each. A value named `request` names the site.
 * @example
 *   install({ context: fromAsyncLocalStorage(storage, ({ requestId }) => ({ requestId })) })
 */
export function fromAsyncLocalStorage<T>(
  storage: Pick<AsyncLocalStorage<T>, 'getStore'>,
  pick: (store: T) => Readonly<Record<string, unknown>> | null | undefined,
): ContextProvider {
  return {
    name: 'async-local-storage',
    current() {
      const store = storage.getStore()
      return store === undefined ? null : boundedValues(pick(store))
    },
  }
}
