import type { Server } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import type { GuardedServer, ServerOptions } from '../../src/adapter.js'
import { guardHttpServer } from '../http-servers.js'

export { reportHandler } from '../../src/adapter.js'
export type { DrainOptions, DrainResult, MountedReportOptions } from '../../src/adapter.js'
export type { GuardedServer, ServerOptions }

/**
 * Guards the sockets of this server, upgraded and CONNECT sockets included, also open ones if a guard was installed
 * before. Installs a guard with default options if there is none. Adds no cost per request.
 *
 * `drain` lets requests in progress finish with `connection: close`, closes idle connections, and ends upgraded and
 * CONNECT sockets, for which `server.close()` waits forever. WebSockets known to the ws adapter get a close frame.
 * @throws `SLG_ERR_WRONG_SERVER`, `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 * @example
 *   const guarded = guardServer(http.createServer(onRequest), { graceMs: 30_000, label: 'public API' })
 *   process.once('SIGTERM', () => guarded.drain({ timeoutMs: 5_000 }))
 */
export function guardServer(server: Server | HttpsServer, options: ServerOptions = {}): GuardedServer {
  return guardHttpServer(server, options)
}
