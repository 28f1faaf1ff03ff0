/**
 * Guards a Fastify instance (4.10 or later, or 5).
 *
 * Fastify keeps the route on a request of its own, which can't be reached from Node's; so one `onRequest` hook of the root
 * tells the guard. Its types name no type of Fastify's, so that instances with any server, logger or type provider fit.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import { checkServerOptions } from '../src/adapter-kit.js'
import {
  drainHttpServer,
  install,
  installedGuard,
  reportHandler as createReportHandler,
  SocketLeakGuardError,
  type DrainOptions,
  type DrainResult,
  type MountedReportOptions,
  type ServerOptions,
} from '../src/index.js'
import { furtherServersOf } from './fastify-internals.js'
import { withTarget, wildcardTarget } from './mounted-target.js'
import { isFastify, isHttpServer, refuse, refuseServer } from './server-kinds.js'

export type { DrainOptions, DrainResult, MountedReportOptions, ServerOptions }

/** The part of a Fastify instance that is used. */
export interface FastifyLike {
  readonly server: Server | HttpsServer
  // Of any instance, whatever its types are: a parameter of a type of ours would not fit all of them.
  addHook(name: 'onRequest', hook: (request: any, reply: any, done: () => void) => void): unknown
}

/** The part of a Fastify request that is used. */
export interface FastifyRequestLike {
  readonly raw: IncomingMessage
  readonly params: unknown
  readonly routeOptions: { readonly url?: string | undefined }
}

/** The part of a Fastify reply that is used. */
export interface FastifyReplyLike {
  readonly raw: ServerResponse
  hijack(): unknown
}

export interface GuardedFastify {
  /**
   * Stops the servers of the instance gracefully, as `drain` of `socket-leak-guard/http` does, then what `fastify.close()`
   * does is left to it: `onClose` hooks are not run here, and closing afterwards finds no connection to wait for.
   *
   * @throws (rejects) `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
   */
  readonly drain: (options?: DrainOptions) => Promise<DrainResult>
  /** Takes the settings back; the hook stays (Fastify can't remove one) and does nothing. */
  readonly release: () => void
}

/** What the hook of an instance serves; there is one hook, however often the instance is guarded. */
interface Hooked {
  onRequest: ((raw: IncomingMessage, route: string) => void) | null
}

const hooked = new WeakMap<object, Hooked>()

/**
 * Guards every socket of this instance, and names the route of each request as Fastify writes it (`/users/:id`), prefixes
 * of plugins included. Call it first, before plugins and hooks are registered and before `listen()` or `ready()`: a request
 * that an earlier hook holds up is named by its path. Installs a guard with default options when the process has none yet.
 * A second call for the same instance replaces the first.
 *
 * Costs one hook and one entry of a WeakMap per request.
 *
 * @param fastify an instance over HTTP/1.1, with or without TLS
 * @param options per-server options; what is left out is as given to `install()`
 * @throws `SLG_ERR_WRONG_SERVER`, also where the instance has started; `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 * @example
 * const fastify = Fastify()
 * const guarded = guardServer(fastify, { graceMs: 30_000, label: 'api' })
 * process.once('SIGTERM', () => guarded.drain({ timeoutMs: 5_000 }).then(() => fastify.close()))
 */
export function guardServer(fastify: FastifyLike, options: ServerOptions = {}): GuardedFastify {
  if (!isFastify(fastify)) throw refuseServer('a Fastify instance', fastify)
  const { server } = fastify
  if (!isHttpServer(server)) {
    throw refuse(
      'a Fastify instance over HTTP/1.1',
      'one with another server (http2)',
      'guard fastify.server with "socket-leak-guard/net", and stop it with fastify.close()',
    )
  }
  checkServerOptions(options)
  // All that can throw comes before anything that would have to be undone. A hook without a guard does nothing.
  const hook = hookInto(fastify)
  const guard = installedGuard() ?? install()
  const releases = new Map<Server | HttpsServer, () => void>([
    [server, guard.configureServer(server, options)],
  ])

  const further = furtherServersOf(fastify)
  let seen = 0

  function guardFurtherServers(): void {
    seen = further.length
    for (const each of further) {
      if (isServer(each) && !releases.has(each)) releases.set(each, guard.configureServer(each, options))
    }
  }

  function onRequest(raw: IncomingMessage, route: string): void {
    if (installedGuard() !== guard) return
    if (route !== '') guard.nameRoute(raw, route)
    // They are made while the instance begins to listen, and announced by nothing.
    if (further.length !== seen) guardFurtherServers()
  }

  guardFurtherServers()
  hook.onRequest = onRequest
  return {
    async drain(drainOptions) {
      const servers = [server, ...further.filter(isServer)]
      return sumOf(await Promise.all(servers.map((each) => drainHttpServer(guard, each, drainOptions))))
    },
    release() {
      if (hook.onRequest === onRequest) hook.onRequest = null
      for (const undo of releases.values()) undo()
    },
  }
}

/** @throws `SLG_ERR_WRONG_SERVER` */
function hookInto(fastify: FastifyLike): Hooked {
  const found = hooked.get(fastify)
  if (found !== undefined) return found
  const hook: Hooked = { onRequest: null }
  try {
    fastify.addHook('onRequest', function nameRoute(request: FastifyRequestLike, _reply, done) {
      hook.onRequest?.(request.raw, request.routeOptions.url ?? '')
      done()
    })
  } catch (cause) {
    throw new SocketLeakGuardError(
      'SLG_ERR_WRONG_SERVER',
      'server must be a Fastify instance that has not started; call guardServer() before listen() or ready(), or guard ' +
        'fastify.server with "socket-leak-guard/http", which names paths instead of routes',
      { cause },
    )
  }
  hooked.set(fastify, hook)
  return hook
}

function isServer(value: unknown): value is Server | HttpsServer {
  return isHttpServer(value)
}

function sumOf(results: readonly DrainResult[]): DrainResult {
  const sum = (field: keyof DrainResult): number => results.reduce((total, each) => total + each[field], 0)
  return {
    ended: sum('ended'),
    destroyed: sum('destroyed'),
    remaining: sum('remaining'),
    elapsedMs: Math.max(...results.map(({ elapsedMs }) => elapsedMs)),
  }
}

/**
 * The report as a handler; see `socket-leak-guard/http`. It answers below its route: `/` for a route without wildcard, what the
 * wildcard matches otherwise. Fastify's hooks run before it, those that wait for the response to be sent do not.
 *
 * @throws `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 * @example
 * const report = reportHandler({ token: process.env.LEAKS_TOKEN })
 * fastify.get('/leaks', report)
 * fastify.get('/leaks/*', report)
 */
export function reportHandler(
  options: MountedReportOptions = {},
): (request: FastifyRequestLike, reply: FastifyReplyLike) => void {
  const report = createReportHandler(options)
  const isMounted = options.basePath === undefined

  return function serveReport(request, reply) {
    reply.hijack()
    const { raw, params } = request
    const rest = (params as { '*'?: unknown } | null | undefined)?.['*']
    report(isMounted ? withTarget(raw, wildcardTarget(rest)) : raw, reply.raw)
  }
}
