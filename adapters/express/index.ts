// The report names routes without middleware: it reads them from the request when it is made.
import type { RequestHandler } from 'express'
import type { Server } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import { reportHandler as createReportHandler } from '../../src/adapter.js'
import type { GuardedServer, MountedReportOptions, ServerOptions } from '../../src/adapter.js'
import { guardHttpServer } from '../http-servers.js'
import { routeOf } from './internals.js'

export type { DrainOptions, DrainResult } from '../../src/adapter.js'
export type { GuardedServer, MountedReportOptions, ServerOptions }

/**
 * Guards the sockets of this server; see `socket-leak-guard/http`.
 * @param server what `app.listen()` returns, or an `http.Server` or `https.Server` that runs the application
 * @throws `SLG_ERR_WRONG_SERVER`, `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 * @example
 *   const guarded = guardServer(app.listen(3000), { graceMs: 30_000, label: 'api' })
 *   process.once('SIGTERM', () => guarded.drain({ timeoutMs: 5_000 }))
 */
export function guardServer(server: Server | HttpsServer, options: ServerOptions = {}): GuardedServer {
  return guardHttpServer(server, options, routeOf)
}

/**
 * The report as a handler to be mounted; see `socket-leak-guard/http`.
 * @throws `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 * @example
 *   app.use('/leaks', reportHandler({ token: process.env.LEAKS_TOKEN }))
 */
export function reportHandler(options: MountedReportOptions = {}): RequestHandler {
  return createReportHandler(options)
}
