// Fastify keeps the route on its own request, which Node's does not lead to, so an `onRequest` hook tells the guard.
// The types name none of Fastify's, so that any instance fits.
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import {
  checkServerOptions,
  drainHttpServer,
  install,
  installedGuard,
  reportHandler as createReportHandler,
  SocketLeakGuardError,
} from '../../src/adapter.js'
import type { DrainOptions, DrainResult, GuardedServer } from '../../src/adapter.js'
import type { MountedReportOptions, ServerOptions } from '../../src/adapter.js'
import { belowMount } from '../http-servers.js'
import { isFastify, isHttpServer, refuse, refuseServer } from '../server-kinds.js'
import { furtherServersOf } from './internals.js'

export type { DrainOptions, DrainResult, MountedReportOptions, ServerOptions }

export interface FastifyLike {
  readonly server: Server | HttpsServer
  readonly version?: string | undefined
  // A parameter of our type would not fit each instance.
  addHook(name: 'onRequest', hook: (request: any, reply: any, done: () => void) => void): unknown
}

export interface FastifyRequestLike {
  readonly raw: IncomingMessage
  readonly params: unknown
  readonly routeOptions: { readonly url?: string | undefined }
}

export interface FastifyReplyLike {
  readonly raw: ServerResponse
  hijack(): unknown
}

interface Hook {
  onRequest: ((raw: IncomingMessage, route: string) => void) | null
}

const HOOK = Symbol.for('socket-leak-guard/fastify-hook')

/**
 * Guards the sockets of this instance and names routes as Fastify writes them (`/users/:id`). Call it before plugins,
 * hooks and `listen()`: a request held up by an earlier hook is named by its path. Installs a guard with default
 * options if there is none. A second call replaces the first. Costs a hook and a WeakMap entry per request.
 *
 * `drain` stops the instance's servers; call `fastify.close()` for the rest. `release` leaves an idle hook.
 * @param fastify an instance over HTTP/1.1, with or without TLS
 * @throws `SLG_ERR_WRONG_SERVER` (also once started), `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 * @example
 *   const guarded = guardServer(fastify, { graceMs: 30_000, label: 'api' })
 *   process.once('SIGTERM', () => guarded.drain({ timeoutMs: 5_000 }).then(() => fastify.close()))
 */
export function guardServer(fastify: FastifyLike, options: ServerOptions = {}): GuardedServer {
  if (!isFastify(fastify)) throw refuseServer('a Fastify instance, 4.10 or later', fastify)
  checkVersion(fastify)
  const { server } = fastify
  if (!isHttpServer(server)) {
    throw refuse(
      'a Fastify instance over HTTP/1.1',
      'one with another server (http2)',
      'guard fastify.server with "socket-leak-guard/net", and stop it with fastify.close()',
    )
  }
  checkServerOptions(options)
  // Steps that can throw come first. A hook without a guard does nothing.
  const hook = hookInto(fastify)
  const guard = installedGuard() ?? install()
  const further = furtherServersOf(fastify)
  const undos: (() => void)[] = [guard.adapter.configureServer(server, options)]
  let seen = 0

  // They are made when the instance begins to listen, without an event.
  function guardFurtherServers(): void {
    for (; seen < further.length; seen++) {
      const each = further[seen]
      if (isHttpServer(each)) undos.push(guard.adapter.configureServer(each, options))
    }
  }

  function onRequest(raw: IncomingMessage, route: string): void {
    if (installedGuard() !== guard) return
    if (route !== '') guard.adapter.nameRoute(raw, route)
    guardFurtherServers()
  }

  guardFurtherServers()
  hook.onRequest = onRequest
  return {
    async drain(drainOptions) {
      const servers = [server, ...further.filter(isHttpServer)]
      return sumOf(await Promise.all(servers.map((each) => drainHttpServer(guard, each, drainOptions))))
    },
    release() {
      if (hook.onRequest === onRequest) hook.onRequest = null
      for (const undo of undos) undo()
    },
  }
}

// `request.routeOptions` came with 4.10. Throws `SLG_ERR_WRONG_SERVER`.
function checkVersion({ version }: FastifyLike): void {
  const [, major, minor] = /^(\d+)\.(\d+)\./.exec(version ?? '') ?? []
  if (major === undefined || Number(major) > 4 || (Number(major) === 4 && Number(minor) >= 10)) return
  throw refuse('a Fastify instance, 4.10 or later', `one of version ${version}`, 'update the package fastify')
}

function hookInto(fastify: FastifyLike): Hook {
  // A plugin's instance inherits from its parent and has its own hooks.
  const found = Object.getOwnPropertyDescriptor(fastify, HOOK)
  if (found !== undefined) return found.value as Hook
  const hook: Hook = { onRequest: null }
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
  Object.defineProperty(fastify, HOOK, { value: hook })
  return hook
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
 * The report as a handler; see `socket-leak-guard/http`. A route without a wildcard serves `/`, one with a wildcard
 * what that matches. Hooks run before it; those that wait for the response do not.
 * @throws `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 * @example
 *   const report = reportHandler({ token: process.env.LEAKS_TOKEN })
 *   fastify.get('/leaks', report)
 *   fastify.get('/leaks/*', report)
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
    report(isMounted ? belowMount(raw, rest) : raw, reply.raw)
  }
}
