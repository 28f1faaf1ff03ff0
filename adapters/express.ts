/**
 * Guards the server that runs an Express application (4 or 5).
 *
 * Nothing has to be mounted for the report to name the route: the guard reads it from the request when it makes a
 * report, so a request pays nothing for it. Routers mounted under a pattern are named by that pattern, not by the values
 * in the path: `GET /users/:id/photos/:n`.
 */
import type { RequestHandler } from 'express'
import { guardServer, reportHandler as createReportHandler, type MountedReportOptions } from './http.js'

export { guardServer }
export type {
  DrainOptions,
  DrainResult,
  GuardedHttpServer,
  MountedReportOptions,
  ServerOptions,
} from './http.js'

/**
 * The report as a handler to be mounted; see `socket-leak-guard/http`.
 *
 * @throws `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 * @example
 * app.use('/leaks', reportHandler({ token: process.env.LEAKS_TOKEN }))
 */
export function reportHandler(options: MountedReportOptions = {}): RequestHandler {
  return createReportHandler(options)
}
