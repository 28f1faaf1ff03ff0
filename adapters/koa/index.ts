// The types name none of Koa's, so that each application's state and context fit.
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import {
  checkServerOptions,
  describeValue,
  installedGuard,
  invalidOption,
  reportHandler as createReportHandler,
} from '../../src/adapter.js'
import type { GuardedServer, MountedReportOptions, ServerOptions } from '../../src/adapter.js'
import { belowMount, guardHttpServer } from '../http-servers.js'
import { isKoa } from '../server-kinds.js'
import { routeOf, watchContexts } from './internals.js'

export type { DrainOptions, DrainResult } from '../../src/adapter.js'
export type { GuardedServer, MountedReportOptions, ServerOptions }

export interface KoaServerOptions extends ServerOptions {
  /**
   * The Koa application the server runs, so that the report names routes (`GET /users/:id`) of `@koa/router` and
   * `koa-router`. Costs a closure and a WeakMap entry per request. @default none
   */
  app?: object | undefined
}

export interface KoaContextLike {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  respond?: boolean | undefined
  readonly params?: unknown
  readonly captures?: unknown
}

/**
 * Guards the sockets of this server; see `socket-leak-guard/http`. The application is an option, because the server
 * does not lead to it. `release()` restores it too.
 * @param server what `app.listen()` returns, or an `http.Server` or `https.Server` with `app.callback()`
 * @throws `SLG_ERR_WRONG_SERVER`, `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 * @example
 *   const guarded = guardServer(app.listen(3000), { app, graceMs: 30_000, label: 'api' })
 *   process.once('SIGTERM', () => guarded.drain({ timeoutMs: 5_000 }))
 */
export function guardServer(server: Server | HttpsServer, options: KoaServerOptions = {}): GuardedServer {
  checkServerOptions(options, ['app'])
  const { app, ...settings } = options
  if (app !== undefined && !isKoa(app)) throw invalidOption('app', 'a Koa application', describeValue(app))
  const { drain, release } = guardHttpServer(server, settings)
  const guard = installedGuard()
  if (app === undefined || guard === null) return { drain, release }
  const stopWatching = watchContexts(app, function onContext(request, route) {
    if (installedGuard() === guard) guard.adapter.nameRoute(request, route)
  })
  return {
    drain,
    release() {
      stopWatching()
      release()
    },
  }
}

/**
 * The report as middleware; see `socket-leak-guard/http`. Alone it needs `basePath`. Below a router it uses the
 * wildcard at the end of its route; koa-mount removes the path itself.
 * @throws `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 * @example
 *   app.use(reportHandler({ basePath: '/leaks', token: process.env.LEAKS_TOKEN }))
 */
export function reportHandler(
  options: MountedReportOptions = {},
): (context: KoaContextLike, next: () => Promise<unknown>) => Promise<void> {
  const report = createReportHandler(options)
  const base = options.basePath?.replace(/\/+$/, '') ?? ''

  return async function serveReport(context, next) {
    const { req, res } = context
    if (base !== '' && !isBelow(base, req.url ?? '')) return void (await next())
    // Koa leaves the response alone (lib/application.js `respond`).
    context.respond = false
    report(base === '' ? targetOf(context, routeOf(context)) : req, res)
  }
}

function isBelow(base: string, target: string): boolean {
  return target.startsWith(base) && /^(?:[/?#]|$)/.test(target.slice(base.length))
}

/** The end of a route: `/*rest`, `{/*rest}`, `/:rest*`, `/(.*)`. */
const WILDCARD = /\*(?<named>\w+)\}?$|:(?<repeated>\w+)\*$|\(\.\*\)$/

function targetOf({ req, params, captures }: KoaContextLike, route: string): IncomingMessage {
  if (route === '') return req
  const { groups } = WILDCARD.exec(route) ?? {}
  if (groups === undefined) return belowMount(req, null)
  const name = groups['named'] ?? groups['repeated']
  if (name !== undefined) return belowMount(req, (params as Record<string, unknown> | undefined)?.[name])
  return belowMount(req, Array.isArray(captures) ? captures.at(-1) : null)
}
