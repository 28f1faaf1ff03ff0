/**
 * Who uses a socket. Filled by whoever knows (an adapter, the HTTP sensor, the application's `label()`), read only
 * when a report is made: on the way in nothing is formatted, copied or concatenated.
 */
import type { RequestInfo } from '../core/report.js'
import type { Kind } from '../core/vocabulary.js'

/** The part of an IncomingMessage, as Node, Express and others leave it, that names a request. */
export interface RequestLike {
  readonly method?: string | undefined
  readonly url?: string | undefined
  /** Express and Connect keep the whole path here while they strip `url`. */
  readonly originalUrl?: unknown
  readonly baseUrl?: unknown
  /** Express: the matched route. */
  readonly route?: { readonly path?: unknown } | undefined
}

export class Attribution {
  kind: Kind | null = null
  label: string | null = null
  /** The request now being served; released when its response is done, so that it can be collected. */
  request: RequestLike | null = null
  /** What remains of the last request once it is released. */
  method = ''
  path = ''
  route = ''
}

/** Lets go of the request, keeping its name. */
export function releaseRequest(attribution: Attribution): void {
  const request = attribution.request
  if (request === null) return
  // First, so that a request whose properties can't be read is let go as well.
  attribution.request = null
  attribution.method = request.method ?? ''
  attribution.path = pathOf(request)
  attribution.route = routeOf(request)
}

export function requestInfoOf(attribution: Attribution): RequestInfo | null {
  const { request } = attribution
  const method = request === null ? attribution.method : (request.method ?? '')
  if (method === '') return null
  return { method, path: withoutQuery(request === null ? attribution.path : pathOf(request)) }
}

/** The route pattern (`/users/:id`), or an empty string where no framework told one. */
export function routePatternOf(attribution: Attribution): string {
  return attribution.request === null ? attribution.route : routeOf(attribution.request)
}

function pathOf(request: RequestLike): string {
  return typeof request.originalUrl === 'string' ? request.originalUrl : (request.url ?? '')
}

function routeOf(request: RequestLike): string {
  const pattern = request.route?.path
  if (typeof pattern !== 'string') return ''
  const mounted = typeof request.baseUrl === 'string' ? request.baseUrl : ''
  return pattern === '/' && mounted !== '' ? mounted : mounted + pattern
}

/**
 * Query strings carry secrets: they never leave this function. An absolute-form target (RFC 9112, section 3.2.2) loses
 * its query as well, and the user and password before its host.
 */
export function withoutQuery(target: string): string {
  const end = target.search(/[?#]/)
  const path = end === -1 ? target : target.slice(0, end)
  return path.replace(/^([a-z][a-z\d+.-]*:\/\/)[^/]*@/i, '$1')
}
