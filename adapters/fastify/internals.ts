/** The one file that reads what Fastify keeps to itself, behind a check: without it the guard knows less, and that is all. */
/**
 * Listening on `localhost`, Fastify makes one more server for each further address of that name, and tells nobody.
 * A plugin inherits the array from its parent.
 *
 * @returns the array itself, which is filled once the instance listens
 *
 * Rests on lib/symbols.js `kServerBindings` and lib/server.js `multipleBindings` (fastify 4.10 to 5.12).
 */
export function furtherServersOf(fastify: object): readonly unknown[] {
  for (let owner: unknown = fastify; isObject(owner); owner = Object.getPrototypeOf(owner)) {
    const symbol = Object.getOwnPropertySymbols(owner).find(
      ({ description }) => description === 'fastify.serverBindings',
    )
    if (symbol === undefined) continue
    const servers = (owner as Record<symbol, unknown>)[symbol]
    return Array.isArray(servers) ? (servers as unknown[]) : []
  }
  return []
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
