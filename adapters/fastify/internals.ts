/**
 * The one file that reads what Fastify keeps to itself, behind a check.
 *
 * Listening on `localhost`, Fastify makes one more server for each further address of that name, and tells nobody.
 * Rests on lib/symbols.js `kServerBindings` and lib/server.js `multipleBindings` (fastify 4.10 to 5.12).
 *
 * @returns the array itself, which is filled once the instance listens; a plugin inherits it from its parent
 */
export function furtherServersOf(fastify: object): readonly unknown[] {
  for (let owner: object | null = fastify; owner; owner = Object.getPrototypeOf(owner) as object | null) {
    const symbol = Object.getOwnPropertySymbols(owner).find(
      ({ description }) => description === 'fastify.serverBindings',
    )
    const servers = symbol === undefined ? null : (owner as Record<symbol, unknown>)[symbol]
    if (Array.isArray(servers)) return servers as unknown[]
  }
  return []
}
