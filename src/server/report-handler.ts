/**
 * Answers requests for the report: in a server of its own (`endpoint.ts`) or mounted in the application's, where it is a
 * guest. It reads nothing but the request's head, never throws, and sets no header for other origins.
 */
import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Report, SnapshotQuery } from '../core/report.js'
import { HTML_CONTENT_TYPE, renderHtml } from '../report/html.js'
import { JSON_CONTENT_TYPE, renderJson } from '../report/json.js'
import { PAGE_SCRIPT } from '../report/page-script.js'
import { PAGE_STYLE } from '../report/page-style.js'
import { PROMETHEUS_CONTENT_TYPE, renderPrometheus } from '../report/prometheus.js'
import { TEXT_CONTENT_TYPE, renderText } from '../report/text.js'
import { createAccessCheck } from './access.js'
import {
  EVENT_STREAM_HEADERS,
  type EventStreamOptions,
  type Subscribe,
  createEventStream,
} from './event-stream.js'
import { describeBadParameter, type Format, isBadParameter, parseReportQuery } from './report-query.js'

export interface ReportSource {
  read(query: SnapshotQuery): Report
  readonly subscribe: Subscribe
}

export interface ReportHandlerOptions {
  /**
   * Required from every request as `authorization: Bearer <token>`. Without a token, only requests from this machine
   * are answered.
   * @default null
   */
  readonly token?: string | null
  /**
   * What to take off `request.url` first, for a plain `node:http` server that does no routing: `/leaks`.
   * Express takes its mount path off by itself.
   * @default ''
   */
  readonly basePath?: string
  readonly events?: EventStreamOptions
}

export interface ReportHandler {
  (request: IncomingMessage, response: ServerResponse): void
  readonly hasToken: boolean
  /** Ends the streams of events that are open. */
  close(): void
}

type Headers = Readonly<Record<string, string | number>>

const COMMON_HEADERS: Headers = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
}

const HTML_HEADERS: Headers = {
  'content-security-policy': [
    "default-src 'none'",
    `style-src '${hashSource(PAGE_STYLE)}'`,
    `script-src '${hashSource(PAGE_SCRIPT)}'`,
    'img-src data:',
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
}

const CONTENT_TYPES: Readonly<Record<Format, string>> = {
  json: JSON_CONTENT_TYPE,
  html: HTML_CONTENT_TYPE,
  text: TEXT_CONTENT_TYPE,
  prometheus: PROMETHEUS_CONTENT_TYPE,
}

/**
 * `GET` and `HEAD` of `/` (the report, its form by Accept or `?format=`), `/metrics` (Prometheus) and `/events`
 * (server-sent events), below wherever it is mounted.
 *
 * @throws SocketLeakGuardError `SLG_ERR_INVALID_OPTION` for a token that no header could carry.
 */
export function createReportHandler(source: ReportSource, options: ReportHandlerOptions = {}): ReportHandler {
  const checkAccess = createAccessCheck(options.token)
  const basePath = (options.basePath ?? '').replace(/\/+$/, '')
  const events = createEventStream((listener) => source.subscribe(listener), options.events)

  function answer(request: IncomingMessage, response: ServerResponse): void {
    const refusal = checkAccess(request)
    if (refusal !== null) {
      const challenge = refusal.status === 401 ? { 'www-authenticate': 'Bearer' } : {}
      return sendError(request, response, refusal.status, refusal.message, challenge)
    }
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return sendError(request, response, 405, 'The report can only be read: use GET or HEAD.', {
        allow: 'GET, HEAD',
      })
    const { path, search } = splitTarget(request.url ?? '/', basePath)
    if (path === '/') return sendReport(request, response, search)
    if (path === '/metrics') return sendMetrics(request, response)
    if (path === '/events') return sendEvents(request, response)
    sendError(request, response, 404, 'There is no such page here: ask for /, /metrics or /events.')
  }

  function sendReport(request: IncomingMessage, response: ServerResponse, search: string): void {
    const query = parseReportQuery(search)
    if (isBadParameter(query))
      return sendError(request, response, 400, describeBadParameter(query), {}, query)
    const format = query.format ?? (wantsPage(request) ? 'html' : 'json')
    if (format === 'prometheus') return sendMetrics(request, response)
    const report = source.read(query.snapshot)
    const headers = { vary: 'accept', ...(format === 'html' && HTML_HEADERS) }
    send(request, response, 200, CONTENT_TYPES[format], render(report, format, query.snapshot), headers)
  }

  function sendMetrics(request: IncomingMessage, response: ServerResponse): void {
    send(request, response, 200, PROMETHEUS_CONTENT_TYPE, renderPrometheus(source.read({ limit: 0 })), {
      vary: 'accept',
    })
  }

  function sendEvents(request: IncomingMessage, response: ServerResponse): void {
    if (events.isFull)
      return sendError(request, response, 503, 'Too many readers of events are connected.', {
        'retry-after': 30,
      })
    const headers = { ...COMMON_HEADERS, ...EVENT_STREAM_HEADERS }
    if (request.method === 'HEAD') response.writeHead(200, headers).end()
    else events.add(response, headers)
  }

  function handleReportRequest(request: IncomingMessage, response: ServerResponse): void {
    // Somebody before us in the application has answered already.
    if (response.headersSent) return
    try {
      answer(request, response)
    } catch {
      giveUp(request, response)
    }
  }

  return Object.assign(handleReportRequest, {
    hasToken: typeof options.token === 'string',
    close: () => events.close(),
  })
}

function render(report: Report, format: Exclude<Format, 'prometheus'>, query: SnapshotQuery): string {
  if (format === 'html') return renderHtml(report, { query })
  return format === 'text' ? renderText(report) : renderJson(report)
}

/** The path below the mount, and the query. A target may be a whole URL (RFC 9112, section 3.2.2). */
function splitTarget(target: string, basePath: string): { path: string; search: string } {
  const local = target.replace(/^https?:\/\/[^/?#]*/i, '')
  const end = local.search(/[?#]/)
  const full = end === -1 ? local : local.slice(0, end)
  const search = end === -1 ? '' : local.slice(end + 1)
  if (basePath !== '' && full !== basePath && !full.startsWith(`${basePath}/`)) return { path: '', search }
  return { path: full.slice(basePath.length) || '/', search }
}

/** A browser does. */
function wantsPage({ headers }: IncomingMessage): boolean {
  return headers.accept?.includes('text/html') === true
}

function sendError(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  message: string,
  headers: Headers = {},
  details: object = {},
): void {
  const isJson = !wantsPage(request)
  const body = isJson
    ? `${JSON.stringify({ error: { status, message, ...details } }, null, 2)}\n`
    : `${message}\n`
  send(request, response, status, isJson ? JSON_CONTENT_TYPE : TEXT_CONTENT_TYPE, body, headers)
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  contentType: string,
  body: string,
  headers: Headers,
): void {
  response.writeHead(status, {
    ...COMMON_HEADERS,
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
    ...headers,
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

/** The cause may hold anything, so it is not told to whoever asked. */
function giveUp(request: IncomingMessage, response: ServerResponse): void {
  try {
    if (response.headersSent) response.destroy()
    else sendError(request, response, 500, 'The report could not be made.')
  } catch {
    // The response belongs to somebody else by now.
  }
}

function hashSource(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`
}
