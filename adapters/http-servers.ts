/** What the adapters for http and its frameworks share. */
import type { IncomingMessage, Server } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import { drainHttpServer, install, installedGuard } from '../src/adapter.js'
import type { GuardedServer, RouteOf, ServerOptions } from '../src/adapter.js'
import { isHttpServer, refuseServer } from './server-kinds.js'

/** @throws `SLG_ERR_WRONG_SERVER`, `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION` */
export function guardHttpServer(
  server: Server | HttpsServer,
  options: ServerOptions,
  routeOf?: RouteOf,
): GuardedServer {
  if (!isHttpServer(server)) throw refuseServer('an http.Server or https.Server', server)
  const guard = installedGuard() ?? install()
  const release = guard.adapter.configureServer(server, options, routeOf)
  return { drain: (drainOptions) => drainHttpServer(guard, server, drainOptions), release }
}

/**
 * The request as the report below a wildcard route shall see it. Node's own is left as it is, for whoever logs it afterwards.
 *
 * @param rest what the wildcard has matched, if there is one
 */
export function belowMount(request: IncomingMessage, rest: unknown): IncomingMessage {
  const path = typeof rest === 'string' ? `/${rest.replace(/^\/+/, '')}` : '/'
  const url = path + (/\?.*$/s.exec(request.url ?? '')?.[0] ?? '')
  return Object.create(request, { url: { value: url } }) as IncomingMessage
}
