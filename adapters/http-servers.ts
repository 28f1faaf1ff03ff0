import type { IncomingMessage, Server } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import { drainHttpServer, install, installedGuard } from '../src/adapter.js'
import type { GuardedServer, RouteOf, ServerOptions } from '../src/adapter.js'
import { isHttpServer, refuseServer } from './server-kinds.js'

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

/** The request as seen below a wildcard route, which matched `rest`. Node's own stays as it is for logs. */
export function belowMount(request: IncomingMessage, rest: unknown): IncomingMessage {
  const path = typeof rest === 'string' ? `/${rest.replace(/^\/+/, '')}` : '/'
  const url = path + (/\?.*$/s.exec(request.url ?? '')?.[0] ?? '')
  return Object.create(request, { url: { value: url } }) as IncomingMessage
}
