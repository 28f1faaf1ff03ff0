/**
 * A source of context: which request is being handled now. The report shows it as `owner.context`.
 * @example
 *   const store = new AsyncLocalStorage<{ requestId: string }>()
 *   install({ context: { name: 'my-app', current: () => store.getStore() ?? null } })
 */
export interface ContextProvider {
  readonly name: string

  // Values for the current request, or `null`. Called for each opened socket and request made: it should take
  // microseconds and must not open a socket. The object is kept and shown in the report: ids and names, never secrets.
  current(): Readonly<Record<string, string>> | null

  // Runs `fn` exactly once, synchronously, with `current()` answering `values` in it and in all that it starts. The
  // guard wraps the handlers of each incoming request in it. Optional: without it the provider only reads.
  run?<T>(values: Readonly<Record<string, string>>, fn: () => T): T
}
