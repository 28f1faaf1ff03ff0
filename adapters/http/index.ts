import type { Server } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import type { GuardedServer, ServerOptions } from '../../src/adapter.js'
import { guardHttpServer } from '../http-servers.js'

export { reportHandler } from '../../src/adapter.js'
export type { DrainOptions, DrainResult, MountedReportOptions } from '../../src/adapter.js'
export type { GuardedServer, ServerOptions }

/**
 * Guards every socket of this server, upgraded and CONNECT sockets included, for which the report names the request;
 * those already open as well, if a guard was installed before they were accepted. Installs a guard with default
 * options when the process has none yet. Costs nothing per request beyond what the guard itself costs.
 *
 * `drain` lets requests in flight finish, with `connection: close` in their responses; closes idle connections; and ends
 * upgraded and CONNECT sockets, which `server.close()` waits for without end. WebSockets get a close frame if the
 * adapter for ws knows them.
 *
 * @param server an `http.Server` or `https.Server`
 * @throws `SLG_ERR_WRONG_SERVER`, `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 * @example
 * const guarded = guardServer(http.createServer(onRequest), { graceMs: 30_000, label: 'public API' })
 * process.once('SIGTERM', () => guarded.drain({ timeoutMs: 5_000 }))
 */
export function guardServer(server: Server | HttpsServer, options: ServerOptions = {}): GuardedServer {
  return guardHttpServer(server, options)
}
