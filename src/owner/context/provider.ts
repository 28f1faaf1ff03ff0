/**
 * A source of context: which request is being handled now. The report shows it as `owner.context`.
 *
 * @example
 *   const store = new AsyncLocalStorage<{ requestId: string }>()
 *   install({
 *     context: {
 *       name: 'my-app',
 *       current: () => store.getStore() ?? null,
 *     },
 *   })
 */
export interface ContextProvider {
  /** Shown in the report and in warnings. */
  readonly name: string

  /**
   * Returns values for the current request, or `null` outside of any.
   *
   * Called inside the host's callbacks for each opened socket and each request made, so it should take microseconds and
   * must not open a socket. The object is kept and must not change later. Its values appear in the report: ids and
   * names, never secrets. An exception causes one warning and counts as `null`.
   */
  current(): Readonly<Record<string, string>> | null

  /**
   * Runs `fn` so that `current()` answers `values` in it and in everything it starts; returns or throws what `fn` does.
   * The guard wraps the handlers of each incoming request in it, with `{ request: 'GET /path' }`. It must call `fn`
   * exactly once, synchronously. Optional: without it the application's own context is read.
   */
  run?<T>(values: Readonly<Record<string, string>>, fn: () => T): T
}
