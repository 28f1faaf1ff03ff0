/** The report inside the application's own server. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { forgetEndlessStreams, rememberEndlessStreams } from '../endless-streams.js'
import { describeValue, SocketLeakGuardError } from '../errors.js'
import type { Guard } from '../guard.js'
import { invalidOption } from '../options/rules.js'
import { installedGuard } from '../registry.js'
import { checkNames } from '../options/check.js'
import { createReportHandler, type ReportHandler, type ReportSource } from './report-handler.js'

export interface MountedReportOptions {
  /**
   * Required from every request as `authorization: Bearer <token>`. Without one, requests are answered that come from
   * this machine and through no proxy.
   * @default the option `reportToken` of `install()`
   */
  readonly token?: string | null | undefined
  /**
   * The path that the report is mounted at, such as `/leaks`, where nothing takes it off `request.url` (a plain
   * `http.createServer`). Express does.
   * @default ''
   */
  readonly basePath?: string | undefined
}

const OPTION_NAMES = ['token', 'basePath'] as const

const NOT_INSTALLED = 'socket-leak-guard is not installed in this process: call install() first.\n'

/**
 * A request listener that answers with the report of the installed guard, whichever that is when the request comes: HTML
 * for a browser, JSON otherwise, `/metrics` for Prometheus, `/events` as server-sent events. While no guard is installed
 * it answers 503.
 *
 * @throws `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 * @example
 * const report = reportHandler({ basePath: '/leaks' })
 * http.createServer((req, res) => (req.url.startsWith('/leaks') ? report(req, res) : app(req, res)))
 */
export function reportHandler(
  options: MountedReportOptions = {},
): (request: IncomingMessage, response: ServerResponse) => void {
  checkNames(options, OPTION_NAMES)
  const { token, basePath = '' } = options
  if (typeof basePath !== 'string' || !/^(?:\/|$)/.test(basePath)) {
    throw invalidOption('basePath', 'a path that begins with a slash, or empty', describeValue(basePath))
  }
  // At once, so that a bad token is an error of this call.
  let handler = token === undefined ? null : makeHandler(token, basePath)
  let madeFor = token

  return function handleReport(request, response) {
    const guard = installedGuard()
    if (guard === null) {
      sendNotInstalled(response)
      return
    }
    const wanted = token === undefined ? guard.options.reportToken : token
    if (handler === null || madeFor !== wanted) {
      if (handler !== null) forgetEndlessStreams(handler)
      handler = makeHandler(wanted, basePath)
      madeFor = wanted
    }
    handler(request, response)
  }
}

function makeHandler(token: string | null, basePath: string): ReportHandler {
  const handler = createReportHandler(INSTALLED, { token, basePath })
  rememberEndlessStreams(handler)
  return handler
}

const INSTALLED: ReportSource = {
  read: (query) => present().report(query),
  subscribe: (listener) => present().subscribe(listener),
}

function present(): Guard {
  const guard = installedGuard()
  if (guard === null) throw new SocketLeakGuardError('SLG_ERR_UNINSTALLED', 'the guard was uninstalled')
  return guard
}

function sendNotInstalled(response: ServerResponse): void {
  if (response.headersSent) return
  response.writeHead(503, {
    'content-type': 'text/plain; charset=utf-8',
    'cache-control': 'no-store',
    'content-length': NOT_INSTALLED.length,
  })
  response.end(NOT_INSTALLED)
}
