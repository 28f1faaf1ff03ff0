import type { IncomingMessage, ServerResponse } from 'node:http'
import { describeValue, SocketLeakGuardError } from '../base/errors.js'
import type { Guard } from '../guard/guard.js'
import { checkNames } from '../options/check.js'
import { invalidOption } from '../options/rules.js'
import { installedGuard } from '../guard/registry.js'
import { createAccessCheck } from './access.js'
import type { ReportHandler, ReportSource } from './handler.js'

export interface MountedReportOptions {
  /** Required of each request as `authorization: Bearer <token>`. @default the option `reportToken` */
  readonly token?: string | null | undefined
  /** Decides who may read the report, in addition to the token. */
  readonly allow?: ((request: IncomingMessage) => boolean) | undefined
  /** The path of the report, such as `/leaks`, unless the router removes it, as Express does. @default '' */
  readonly basePath?: string | undefined
}

const UNPROTECTED =
  'a report in your own server needs a token (here, or the option reportToken of install()) or a function allow: ' +
  'behind a proxy on this machine, a request from anywhere looks like a local one'

/**
 * A request listener for the report: HTML for a browser, else JSON; `/metrics` for Prometheus; `/events` for
 * server-sent events; 503 without an installed guard.
 * @throws `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`, `SLG_ERR_REPORT_NEEDS_TOKEN`
 * @example
 *   const report = reportHandler({ basePath: '/leaks', token: process.env.LEAKS_TOKEN })
 *   http.createServer((req, res) => (req.url.startsWith('/leaks') ? report(req, res) : app(req, res)))
 */
export function reportHandler(
  options: MountedReportOptions = {},
): (request: IncomingMessage, response: ServerResponse) => void {
  checkNames(options, ['token', 'allow', 'basePath'])
  const { token, allow, basePath = '' } = options
  if (typeof basePath !== 'string' || !/^(?:\/|$)/.test(basePath))
    throw invalidOption('basePath', 'a path that begins with a slash, or empty', describeValue(basePath))
  if (allow !== undefined && typeof allow !== 'function')
    throw invalidOption('allow', 'a function that takes a request', describeValue(allow))
  const present = installedGuard()
  // History begins now, not when the page is first looked at.
  present?.snapshot({ limit: 0, history: true })
  const mayFollow = token === undefined && present === null
  if (!mayFollow && !isProtected(tokenFor(present)))
    throw new SocketLeakGuardError('SLG_ERR_REPORT_NEEDS_TOKEN', UNPROTECTED)
  createAccessCheck({ token })
  const loaded = import('./handler.js')
  loaded.catch(ignoreFailure)
  let handler: ReportHandler | null = null
  let madeFor: string | null = null

  function tokenFor(guard: Guard | null): string | null {
    return token === undefined ? (guard?.options.reportToken ?? null) : token
  }

  function isProtected(wanted: string | null): boolean {
    return wanted !== null || allow !== undefined
  }

  async function answer(guard: Guard, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const wanted = tokenFor(guard)
    if (!isProtected(wanted)) return refuse(response, 403, UNPROTECTED)
    const { createReportHandler } = await loaded
    if (handler === null || madeFor !== wanted) {
      handler = createReportHandler(INSTALLED, { token: wanted, allow, basePath })
      madeFor = wanted
    }
    handler(request, response)
  }

  return function handleReport(request, response) {
    const guard = installedGuard()
    if (guard === null) refuse(response, 503, NOT_INSTALLED)
    else answer(guard, request, response).catch(() => refuse(response, 500, 'The report could not be made.'))
  }
}

const NOT_INSTALLED = 'socket-leak-guard is not installed in this process: call install() first.'

const INSTALLED: ReportSource = {
  reportInSteps: (query) => present().adapter.reportInSteps(query),
  snapshot: (query) => present().snapshot(query),
  locate: (id) => present().locate(id),
  reclaim: (id, action) => present().reclaim(id, action),
  exempt: (id, isExempt) => present().exempt(id, isExempt),
  subscribe: (listener) => present().subscribe(listener),
}

function present(): Guard {
  const guard = installedGuard()
  if (guard === null) throw new SocketLeakGuardError('SLG_ERR_UNINSTALLED', 'the guard was uninstalled')
  return guard
}

function refuse(response: ServerResponse, status: number, message: string): void {
  if (response.headersSent) return
  try {
    response.writeHead(status, {
      'content-type': 'text/plain; charset=utf-8',
      'cache-control': 'no-store',
      'content-length': message.length + 1,
    })
    response.end(`${message}\n`)
  } catch {
    // Other middleware has taken the response.
  }
}

function ignoreFailure(): void {}
