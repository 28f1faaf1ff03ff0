import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { CodeReport, Report, SnapshotQuery } from '../core/report.js'
import { SocketLeakGuardError } from '../base/errors.js'
import { messageOf } from '../base/warnings.js'
import { monotonicMs, setImmediate } from '../base/real-time.js'
import { HTML_CONTENT_TYPE, writeHtml } from '../report/html.js'
import { JSON_CONTENT_TYPE, writeJson } from '../report/json.js'
import { PAGE_SCRIPT } from '../report/page-script.js'
import { PAGE_STYLE } from '../report/page-style.js'
import {
  OPENMETRICS_CONTENT_TYPE,
  prefersOpenMetrics,
  PROMETHEUS_CONTENT_TYPE,
  renderOpenMetrics,
  renderPrometheus,
} from '../report/prometheus.js'
import { TEXT_CONTENT_TYPE, writeText } from '../report/text.js'
import { createAccessCheck } from './access.js'
import { createEventStream, EVENT_STREAM_HEADERS } from './event-stream.js'
import type { EventStreamOptions, Subscribe } from './event-stream.js'
import { describeBadParameter, isBadParameter, parseReportQuery } from './query.js'

export interface ReportSource {
  report(query: SnapshotQuery): Report
  snapshot(query: SnapshotQuery): Report
  locate(id: number): CodeReport
  readonly subscribe: Subscribe
}

export interface ReportHandlerOptions {
  readonly token?: string | null
  /** Replaces the rules of `access.ts`; the token is checked too. */
  readonly allow?: ((request: IncomingMessage) => boolean) | undefined
  /** A prefix to remove from `request.url`. @default '' */
  readonly basePath?: string
  readonly events?: EventStreamOptions
}

export interface ReportHandler {
  (request: IncomingMessage, response: ServerResponse): void
  close(): void
}

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

type Headers = Readonly<Record<string, string | number>>

const ONLY_READ = 'The report can only be read: use GET or HEAD.'

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

const CONTENT_TYPES = { json: JSON_CONTENT_TYPE, html: HTML_CONTENT_TYPE, text: TEXT_CONTENT_TYPE }
const WRITERS = { json: writeJson, html: writeHtml, text: writeText }

// `GET` and `HEAD` of `/` (by Accept or `?format=`), `/metrics` (Prometheus) and `/events` (server-sent events).
export function createReportHandler(source: ReportSource, options: ReportHandlerOptions = {}): ReportHandler {
  const checkAccess = createAccessCheck(options)
  const basePath = (options.basePath ?? '').replace(/\/+$/, '')
  const events = createEventStream((listener) => source.subscribe(listener), options.events)

  async function answer(exchange: Exchange): Promise<void> {
    const { request } = exchange
    const refusal = checkAccess(request)
    if (refusal !== null) {
      const challenge = refusal.status === 401 ? { 'www-authenticate': 'Bearer' } : {}
      return sendError(exchange, refusal.status, refusal.message, challenge)
    }
    if (request.method === 'POST') return sendLocated(exchange)
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return sendError(exchange, 405, ONLY_READ, { allow: 'GET, HEAD' })
    const { path, search } = splitTarget(request.url ?? '/', basePath)
    if (path === '/') return sendReport(exchange, search)
    if (path === '/metrics') return sendMetrics(exchange)
    if (path === '/events') return sendEvents(exchange)
    sendError(exchange, 404, 'There is no such page here: ask for /, /metrics or /events.')
  }

  async function sendReport(exchange: Exchange, search: string): Promise<void> {
    const query = parseReportQuery(search)
    if (isBadParameter(query)) return sendError(exchange, 400, describeBadParameter(query), {}, query)
    const format = query.format ?? (wantsPage(exchange) ? 'html' : 'json')
    if (format === 'prometheus') return sendMetrics(exchange)
    const report = await readInSlices(source, query.snapshot)
    const body = await writeInSlices(WRITERS[format](report, { query: query.snapshot }))
    const headers = { vary: 'accept', ...(format === 'html' && HTML_HEADERS) }
    send(exchange, 200, CONTENT_TYPES[format], body, headers)
  }

  /** Requires a token, because it blocks the event loop. */
  function sendLocated(exchange: Exchange): void {
    const { path, search } = splitTarget(exchange.request.url ?? '/', basePath)
    if (path !== '/locate') return sendError(exchange, 405, ONLY_READ, { allow: 'GET, HEAD' })
    if ((options.token ?? null) === null)
      return sendError(exchange, 403, 'To locate code, the report needs a token.')
    const id = Number(new URLSearchParams(search).get('id'))
    try {
      send(exchange, 200, JSON_CONTENT_TYPE, `${JSON.stringify(source.locate(id), null, 2)}\n`, {})
    } catch (error) {
      if (!(error instanceof SocketLeakGuardError)) throw error
      sendError(exchange, 404, `${messageOf(error)}: ask for /locate?id=<id of a socket>.`)
    }
  }

  function sendMetrics(exchange: Exchange): void {
    const isOpen = prefersOpenMetrics(exchange.request.headers.accept)
    const body = (isOpen ? renderOpenMetrics : renderPrometheus)(source.report({ limit: 0 }))
    send(exchange, 200, isOpen ? OPENMETRICS_CONTENT_TYPE : PROMETHEUS_CONTENT_TYPE, body, { vary: 'accept' })
  }

  function sendEvents(exchange: Exchange): void {
    if (events.isFull)
      return sendError(exchange, 503, 'Too many readers of events are connected.', { 'retry-after': 30 })
    const headers = { ...COMMON_HEADERS, ...EVENT_STREAM_HEADERS }
    const { request, response } = exchange
    if (request.method === 'HEAD') response.writeHead(200, headers).end()
    else events.add(response, headers)
  }

  function handleReportRequest(request: IncomingMessage, response: ServerResponse): void {
    // The application has answered.
    if (response.headersSent) return
    const exchange = { request, response }
    answer(exchange).catch(() => giveUp(exchange))
  }

  return Object.assign(handleReportRequest, { close: () => events.close() })
}

/** More than in the process itself, because it comes in slices. */
const DEFAULT_LIMIT = 1000
const SOCKETS_A_SLICE = 100
const SLICE_MS = 4
/** If the socket before the next page is gone, so many earlier ones are tried. */
const MOST_STEPS_BACK = 3

/** Lets the event loop turn after each hundred sockets of a long report. */
async function readInSlices(source: ReportSource, query: SnapshotQuery): Promise<Report> {
  const { limit = DEFAULT_LIMIT } = query
  const report = source.report({ ...query, limit: Math.min(limit, SOCKETS_A_SLICE) })
  const sockets = new Map(report.sockets.map((socket) => [socket.id, socket]))
  let { nextAfter } = report
  for (let stepsBack = 0; nextAfter !== null && sockets.size < limit && stepsBack <= MOST_STEPS_BACK;) {
    await turn()
    const known = sockets.size
    const after: number = [...sockets.keys()].at(-1 - stepsBack) ?? 0
    const page = source.snapshot({ ...query, limit: Math.min(limit - known, SOCKETS_A_SLICE), after })
    for (const socket of page.sockets) sockets.set(socket.id, socket)
    const isEmpty = page.sockets.length === 0
    stepsBack = isEmpty ? stepsBack + 1 : 0
    if (!isEmpty) ({ nextAfter } = page)
    if (!isEmpty && sockets.size === known) break
  }
  return { ...report, sockets: [...sockets.values()], nextAfter }
}

async function writeInSlices(pieces: Iterable<string>): Promise<string> {
  let body = ''
  let until = monotonicMs() + SLICE_MS
  for (const piece of pieces) {
    body += piece
    if (monotonicMs() < until) continue
    await turn()
    until = monotonicMs() + SLICE_MS
  }
  return body
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** A target may be a whole URL (RFC 9112, section 3.2.2). */
function splitTarget(target: string, basePath: string): { path: string; search: string } {
  const local = target.replace(/^https?:\/\/[^/?#]*/i, '')
  const [full = ''] = local.split(/[?#]/, 1)
  const search = local.slice(full.length + 1)
  if (basePath !== '' && full !== basePath && !full.startsWith(`${basePath}/`)) return { path: '', search }
  return { path: full.slice(basePath.length) || '/', search }
}

function wantsPage({ request }: Exchange): boolean {
  return request.headers.accept?.includes('text/html') === true
}

function sendError(to: Exchange, status: number, message: string, headers: Headers = {}, details = {}): void {
  if (wantsPage(to)) return send(to, status, TEXT_CONTENT_TYPE, `${message}\n`, headers)
  const body = `${JSON.stringify({ error: { status, message, ...details } }, null, 2)}\n`
  send(to, status, JSON_CONTENT_TYPE, body, headers)
}

function send(to: Exchange, status: number, contentType: string, body: string, headers: Headers): void {
  const { request, response } = to
  response.writeHead(status, {
    ...COMMON_HEADERS,
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
    ...headers,
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

/** The cause may hold secrets, so it is not sent. */
function giveUp(to: Exchange): void {
  try {
    if (to.response.headersSent) to.response.destroy()
    else sendError(to, 500, 'The report could not be made.')
  } catch {
    // Others have taken the response.
  }
}

function hashSource(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`
}
