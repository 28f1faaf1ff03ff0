import type { IncomingMessage, ServerResponse } from 'node:http'
import { JSON_CONTENT_TYPE } from '../report/json.js'
import { withoutQueries } from '../report/printable.js'
import {
  OPENMETRICS_CONTENT_TYPE,
  prefersOpenMetrics,
  PROMETHEUS_CONTENT_TYPE,
  renderMetrics,
} from '../report/prometheus.js'
import { TEXT_CONTENT_TYPE } from '../report/text.js'
import type { AccessCheck } from '../server/access.js'
import { fleetMetrics } from './metrics.js'
import { rollUp, type Member } from './roll-up.js'
import { renderFleetText } from './text.js'

const LISTED_SOCKETS = 200

export function createFleetHandler(checkAccess: AccessCheck, read: () => Promise<readonly Member[]>) {
  let reading: Promise<readonly Member[]> | null = null

  /** However many ask meanwhile, each process is asked once. */
  function readOnce(): Promise<readonly Member[]> {
    reading ??= read().finally(() => (reading = null))
    return reading
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const refusal = checkAccess(request)
    if (refusal !== null) return send(response, refusal.status, TEXT_CONTENT_TYPE, `${refusal.message}\n`)
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return send(response, 405, TEXT_CONTENT_TYPE, 'The report can only be read: use GET or HEAD.\n')
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
    const format = pathname === '/metrics' ? 'prometheus' : (searchParams.get('format') ?? 'json')
    if (pathname !== '/' && pathname !== '/metrics')
      return send(response, 404, TEXT_CONTENT_TYPE, 'There is no such page here: ask for / or /metrics.\n')
    const members = await readOnce()
    if (format === 'prometheus') {
      const isOpen = prefersOpenMetrics(request.headers.accept)
      const type = isOpen ? OPENMETRICS_CONTENT_TYPE : PROMETHEUS_CONTENT_TYPE
      return send(response, 200, type, renderMetrics(fleetMetrics(members), isOpen))
    }
    const fleet = withoutQueries(rollUp(members, new Date().toISOString(), LISTED_SOCKETS))
    const isText = format === 'text' || request.headers.accept?.includes('text/html') === true
    if (isText) send(response, 200, TEXT_CONTENT_TYPE, renderFleetText(fleet))
    else send(response, 200, JSON_CONTENT_TYPE, `${JSON.stringify(fleet, null, 2)}\n`)
  }

  return function handleFleetRequest(request: IncomingMessage, response: ServerResponse): void {
    answer(request, response).catch(() => {
      if (response.headersSent) response.destroy()
      else send(response, 500, TEXT_CONTENT_TYPE, 'The folder of the fleet could not be read.\n')
    })
  }
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'cross-origin-resource-policy': 'same-origin',
    vary: 'accept',
    ...(status === 401 && { 'www-authenticate': 'Bearer' }),
  })
  response.end(response.req.method === 'HEAD' ? undefined : body)
}
