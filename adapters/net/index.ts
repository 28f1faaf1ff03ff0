import { Server } from 'node:net'
import { drainServer, install, installedGuard } from '../../src/adapter.js'
import type { GuardedServer, ServerOptions } from '../../src/adapter.js'
import { isHttpServer, refuseServer } from '../server-kinds.js'

export type { DrainOptions, DrainResult } from '../../src/adapter.js'
export type { GuardedServer, ServerOptions }

/**
 * Guards the sockets of this server, also open ones if a guard was installed before. Installs a guard with default
 * options if there is none. `drain` calls `socket.end()` on each socket.
 * @throws `SLG_ERR_WRONG_SERVER`, `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 * @example
 *   const guarded = guardServer(net.createServer(onConnection), { graceMs: 30_000, label: 'ingest' })
 *   process.once('SIGTERM', () => guarded.drain({ timeoutMs: 5_000 }))
 */
export function guardServer(server: Server, options: ServerOptions = {}): GuardedServer {
  // Ending the sockets of an HTTP server would cut its responses.
  if (!(server instanceof Server) || isHttpServer(server)) {
    throw refuseServer('a net.Server or tls.Server', server)
  }
  const guard = installedGuard() ?? install()
  const release = guard.adapter.configureServer(server, options)
  return { drain: (drainOptions) => drainServer(guard, server, drainOptions), release }
}
