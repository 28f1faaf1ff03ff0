// On `localhost` Fastify makes a server for each further address (lib/symbols.js `kServerBindings`, lib/server.js
// `multipleBindings`, fastify 4.10 to 5.12). The array is filled once the instance listens; a plugin inherits it.
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
