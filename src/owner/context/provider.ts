/**
 * What every source of context offers: whose work is running right now, in words that may stand in a report.
 * The guard asks when an outgoing socket is opened and when an outgoing HTTP request is made; the answer ends up in the report
 * as `owner.context`.
 */

/**
 * A source of context. Give one of your own as `install({ context: provider })` when the application already
 * keeps a request id or a tenant somewhere.
 *
 * @example
 * const store = new AsyncLocalStorage<{ requestId: string }>()
 * install({
 *   context: {
 *     name: 'my-app',
 *     current() {
 *       const found = store.getStore()
 *       return found === undefined ? null : { requestId: found.requestId }
 *     },
 *   },
 * })
 */
export interface ContextProvider {
  /** What the report and the warnings call this provider. */
  readonly name: string

  /**
   * The values that belong to the work running now, or `null` outside of any.
   *
   * Called inside the host's own callbacks, for each socket opened and each request made: it should take
   * microseconds, and must not open a socket. The object is kept, not copied, so it must not change later.
   * Its values are shown to whoever may read the report: ids and names, never secrets. What it throws is
   * warned about once, and taken as `null`.
   */
  current(): Readonly<Record<string, string>> | null

  /**
   * Runs `fn` so that `current()` answers `values` inside it and in everything it starts, and returns or throws what
   * `fn` does. The guard calls it with `{ request: 'GET /path' }` around the handlers of each request that a server
   * here gets. `fn` is called exactly once, synchronously. Without it the provider only reads a context that the
   * application itself keeps.
   */
  run?<T>(values: Readonly<Record<string, string>>, fn: () => T): T
}
