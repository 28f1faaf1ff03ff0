import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Report, SnapshotQuery } from '../core/report.js'
import { monotonicMs } from '../base/real-time.js'
import { HTML_CONTENT_TYPE, renderSignIn, writeHtml } from '../report/html.js'
import { JSON_CONTENT_TYPE, writeJson } from '../report/json.js'
import { PAGE_SCRIPT, PAGE_STYLE } from '../report/page-code.js'
import {
  OPENMETRICS_CONTENT_TYPE,
  prefersOpenMetrics,
  PROMETHEUS_CONTENT_TYPE,
  renderOpenMetrics,
  renderPrometheus,
} from '../report/prometheus.js'
import { TEXT_CONTENT_TYPE, writeText } from '../report/text.js'
import { createAccessCheck } from './access.js'
import { doDeed, isDeed, isFromElsewhere, type DeedSource } from './deeds.js'
import { createEventStream, EVENT_STREAM_HEADERS } from './event-stream.js'
import type { EventStreamOptions, Subscribe } from './event-stream.js'
import { describeBadParameter, isBadParameter, parseReportQuery } from './query.js'
import { createWorkShare } from './work-share.js'

export interface ReportSource extends DeedSource {
  reportInSteps(query: SnapshotQuery): Iterator<void, Report>
  readonly subscribe: Subscribe
}

export interface ReportHandlerOptions {
  readonly token?: string | null
  /** Replaces the rules of `access.ts`; the token is checked too. */
  readonly allow?: ((request: IncomingMessage) => boolean) | undefined
  /** A prefix to remove from `request.url`. @default '' */
  readonly basePath?: string
  readonly events?: EventStreamOptions
  /** How much readers may leave unread before others are refused. @default 67108864 */
  readonly maxUnreadBytes?: number
}

export interface ReportHandler {
  (request: IncomingMessage, response: ServerResponse): void
  close(): void
}

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

type Pause = () => Promise<void>

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
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join('; '),
}

const SIGN_IN = renderSignIn()

const CONTENT_TYPES = { json: JSON_CONTENT_TYPE, html: HTML_CONTENT_TYPE, text: TEXT_CONTENT_TYPE }
const WRITERS = { json: writeJson, html: writeHtml, text: writeText }

// `GET` and `HEAD` of `/` (by Accept or `?format=`), `/metrics` (Prometheus) and `/events` (server-sent events).
export function createReportHandler(source: ReportSource, options: ReportHandlerOptions = {}): ReportHandler {
  const checkAccess = createAccessCheck(options)
  const hasToken = (options.token ?? null) !== null
  const basePath = (options.basePath ?? '').replace(/\/+$/, '')
  const events = createEventStream((listener) => source.subscribe(listener), options.events)

  const share = createWorkShare(options.maxUnreadBytes)

  async function answer(exchange: Exchange): Promise<void> {
    const { request } = exchange
    const refusal = checkAccess(request)
    if (refusal !== null) {
      const challenge = refusal.status === 401 ? { 'www-authenticate': 'Bearer' } : {}
      if (refusal.status === 401 && request.method === 'GET' && wantsPage(exchange))
        return send(exchange, 401, HTML_CONTENT_TYPE, SIGN_IN, { ...challenge, ...HTML_HEADERS })
      return sendError(exchange, refusal.status, refusal.message, challenge)
    }
    const { path, search } = splitTarget(request.url ?? '/', basePath)
    if (request.method === 'POST' && isDeed(path)) return sendDeed(exchange, path, search)
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return sendError(exchange, 405, ONLY_READ, { allow: 'GET, HEAD' })
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
    const isPage = format === 'html'
    const snapshot = isPage
      ? { limit: PAGE_LIMIT, ...query.snapshot, history: true }
      : { limit: DEFAULT_LIMIT, ...query.snapshot }
    const made = await share.run(async (pause) => {
      const report = await readInSlices(source.reportInSteps(snapshot), pause)
      const write = { query: query.snapshot, live: { canAct: hasToken } }
      return writeInSlices(WRITERS[format](report, write), pause)
    }, exchange.response)
    const headers = { vary: 'accept', ...(isPage && HTML_HEADERS) }
    sendMade(exchange, CONTENT_TYPES[format], made, headers)
  }

  async function sendMetrics(exchange: Exchange): Promise<void> {
    const isOpen = prefersOpenMetrics(exchange.request.headers.accept)
    const render = isOpen ? renderOpenMetrics : renderPrometheus
    const made = await share.run(
      async (pause) => render(await readInSlices(source.reportInSteps({ limit: 0 }), pause)),
      exchange.response,
      true,
    )
    sendMade(exchange, isOpen ? OPENMETRICS_CONTENT_TYPE : PROMETHEUS_CONTENT_TYPE, made, { vary: 'accept' })
  }

  /** The browser never adds a token by itself, so another site can't make it act; `sec-fetch-site` is a second lock. */
  async function sendDeed(exchange: Exchange, path: string, search: string): Promise<void> {
    if (!hasToken) return sendError(exchange, 403, 'To act or to locate code, the report needs a token.')
    if (isFromElsewhere(exchange.request)) return sendError(exchange, 403, 'Another site asked for this.')
    const outcome = await share.run(() => doDeed(source, path, search), exchange.response)
    if (outcome !== null && 'status' in outcome) return sendError(exchange, outcome.status, outcome.message)
    const made = outcome && `${JSON.stringify(outcome.done, null, 2)}\n`
    sendMade(exchange, JSON_CONTENT_TYPE, made, {})
  }

  function sendMade(exchange: Exchange, type: string, body: string | null, headers: Headers): void {
    if (body === null)
      return sendError(exchange, 503, 'Too many readers wait for a report.', { 'retry-after': 5 })
    share.watch(exchange.response)
    send(exchange, 200, type, body, headers)
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

const DEFAULT_LIMIT = 1000
const PAGE_LIMIT = 100
const SLICE_MS = 4

async function readInSlices<T>(steps: Iterator<void, T>, pause: Pause): Promise<T> {
  for (let until = monotonicMs() + SLICE_MS; ;) {
    const { done, value } = steps.next()
    if (done === true) return value
    if (monotonicMs() < until) continue
    await pause()
    until = monotonicMs() + SLICE_MS
  }
}

async function writeInSlices(pieces: Iterable<string>, pause: Pause): Promise<string> {
  let body = ''
  let until = monotonicMs() + SLICE_MS
  for (const piece of pieces) {
    body += piece
    if (monotonicMs() < until) continue
    await pause()
    until = monotonicMs() + SLICE_MS
  }
  return body
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
