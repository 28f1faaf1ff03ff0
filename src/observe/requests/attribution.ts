/**
 * Who uses a socket. Filled by whoever knows (an adapter, the HTTP sensor, the application's `label()`), read only
 * when a report is made: on the way in nothing is formatted, copied or concatenated.
 */
import { readField, readText } from '../../core/foreign.js'
import type { RequestInfo } from '../../core/report.js'
import type { Kind } from '../../core/vocabulary.js'
import { routeFinderFor, toldRouteOf, type RoutedRequest, type RouteOf } from './told-routes.js'

/** The part of an IncomingMessage, as Node, Express and others leave it, that names a request. */
export interface RequestLike {
  readonly method?: string | undefined
  readonly url?: string | undefined
  /** All of it has come, its body too. */
  readonly complete?: boolean | undefined
  /** Express and Connect keep the whole path here while they strip `url`. */
  readonly originalUrl?: unknown
  readonly baseUrl?: unknown
  /** Express: the matched route. */
  readonly route?: unknown
  /** Express: the application that has the request. */
  readonly app?: unknown
}

/** The part of a ServerResponse that a drain needs: it tells the client that the connection ends here. */
export interface ResponseLike {
  readonly headersSent: boolean
  setHeader(name: string, value: string): unknown
}

/** The part of a WebSocket (package ws) that the report and a drain need. */
export interface WebSocketLike {
  readonly isPaused: boolean
  /** 0 connecting, 1 open, 2 closing, 3 closed (WHATWG WebSockets, section 3.1). */
  readonly readyState: number
  close(code?: number, reason?: string): void
}

export class Attribution {
  kind: Kind | null = null
  /** When the HTTP server let go of it, for an upgrade or a tunnel; 0 while it has not. */
  handedOverMs = 0
  label: string | null = null
  /** The request now being served; released when its response is done, so that it can be collected. */
  request: RequestLike | null = null
  response: ResponseLike | null = null
  /** What remains of the last request once it is released. */
  method = ''
  path = ''
  baseUrl = ''
  route: unknown = null
  app: unknown = null
  /** The pattern that an adapter told; an empty string where none did. */
  toldRoute = ''
  routeFinder: RouteOf | null = null
  /** The server by whose settings it lives, where that is not the one that accepted it: a WebSocketServer. */
  server: object | null = null
  webSocket: WebSocketLike | null = null
}

/** Lets go of the request, keeping its name: references to what lives as long as the application, nothing formatted. */
export function releaseRequest(attribution: Attribution): void {
  const request = attribution.request
  if (request === null) return
  // First, so that a request whose properties can't be read is let go as well.
  attribution.request = null
  attribution.response = null
  attribution.method = readText(request, 'method') ?? ''
  attribution.path = pathOf(request)
  attribution.toldRoute = toldRouteOf(request)
  attribution.routeFinder = routeFinderFor(request)
  attribution.baseUrl = baseUrlOf(request)
  attribution.route = readField(request, 'route')
  attribution.app = readField(request, 'app')
}

export function requestInfoOf(attribution: Attribution): RequestInfo | null {
  const { request } = attribution
  const method = request === null ? attribution.method : (readText(request, 'method') ?? '')
  if (method === '') return null
  return { method, path: withoutQuery(request === null ? attribution.path : pathOf(request)) }
}

/** The route pattern (`/users/:id`), or an empty string where no framework told one. */
export function routePatternOf(attribution: Attribution): string {
  const { request } = attribution
  const told = request === null ? attribution.toldRoute : toldRouteOf(request)
  if (told !== '') return told
  const from = request ?? attribution
  const route = readField(from, 'route')
  const app = readField(from, 'app')
  const baseUrl = request === null ? attribution.baseUrl : baseUrlOf(request)
  if (baseUrl === '' && (route === undefined || route === null)) return ''
  const path = withoutQuery(request === null ? attribution.path : pathOf(request))
  const finder = request === null ? attribution.routeFinder : routeFinderFor(request)
  return routeFrom({ route, app, baseUrl, path }, finder)
}

/** Without an adapter: what Express and its kin leave on the request, with the values of the path above the route. */
function routeFrom(request: RoutedRequest, finder: RouteOf | null): string {
  try {
    const found = finder?.(request) ?? ''
    if (found !== '') return found
  } catch {
    // The adapter is somebody else's.
  }
  const { path } = (request.route ?? {}) as { path?: unknown }
  if (typeof path !== 'string') return ''
  const above = request.baseUrl.replace(/\/$/, '')
  return path === '/' && above !== '' ? above : above + path
}

function pathOf(request: RequestLike): string {
  return readText(request, 'originalUrl') ?? readText(request, 'url') ?? ''
}

function baseUrlOf(request: RequestLike): string {
  return readText(request, 'baseUrl') ?? ''
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
