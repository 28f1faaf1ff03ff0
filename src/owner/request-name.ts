/**
 * What a request is called. A request is the application's object: any of its properties may throw, and then that one field is
 * `unreadable`. Nothing of this runs before somebody looks.
 */
import { readField, readText } from '../core/foreign.js'
import type { RequestName } from '../socket/record.js'
import { foldPath } from './site.js'

/** The part of an IncomingMessage, as Node, Express and others leave it, that names a request. */
export interface RequestLike {
  readonly method?: string | undefined
  readonly url?: string | undefined
  /** Express and Connect keep the whole path here while they strip `url`. */
  readonly originalUrl?: unknown
  readonly baseUrl?: unknown
  /** Express: the matched route. */
  readonly route?: unknown
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

/** The pattern of a route, or what finds it when a report asks: some routers choose only after the adapter was called. */
export type ToldRoute = string | (() => string | null | undefined)

/** What a framework left of a request's route. */
export interface RoutedRequest {
  /** The matched route, an object of the framework's. */
  readonly route: unknown
  /** The application that has the request. */
  readonly app: unknown
  /** The real path that the routers above the route took away. */
  readonly baseUrl: string
  /** The whole path, without its query. */
  readonly path: string
}

/** @returns the pattern, or an empty string where it is not known. What it throws counts as not known. */
export type RouteOf = (request: RoutedRequest) => string

/** Routes that adapters have told, kept beside the request, which is not written to, and for no longer than it lives. */
export class ToldRoutes {
  readonly #routes = new WeakMap<object, ToldRoute>()
  readonly #finders = new WeakMap<object, RouteOf>()

  tell(request: object, route: ToldRoute): void {
    this.#routes.set(request, route)
  }

  /** Finds the routes of this server's requests. @param routeOf `null`: nobody does any more */
  tellFinder(server: object, routeOf: RouteOf | null): void {
    if (routeOf === null) this.#finders.delete(server)
    else this.#finders.set(server, routeOf)
  }

  /** @returns an empty string where nobody finds one; never throws */
  find(request: object, routed: RoutedRequest): string {
    try {
      const socket = readField(request, 'socket')
      const server = typeof socket === 'object' && socket !== null ? readField(socket, 'server') : null
      return typeof server === 'object' && server !== null ? (this.#finders.get(server)?.(routed) ?? '') : ''
    } catch {
      // The adapter is somebody else's.
      return ''
    }
  }

  /** @returns an empty string where nobody told a route; never throws */
  of(request: object): string {
    try {
      const told = this.#routes.get(request)
      const route: unknown = typeof told === 'function' ? told() : told
      return typeof route === 'string' ? route : ''
    } catch {
      // The adapter is somebody else's.
      return ''
    }
  }
}

/** @returns `null` for what has no method: no request of HTTP */
export function nameRequest(request: object, routes: ToldRoutes): RequestName | null {
  const method = readText(request, 'method')
  if (method === null || method === '') return null
  return { method, path: pathOf(request), route: routes.of(request) || routeLeftBy(request, routes) }
}

/** `GET /users/:id`, or as it came where no route is known: `GET /users/7` */
export function textOfRequest({ method, path, route }: RequestName): string {
  return `${method} ${route === '' ? path : route}`
}

/** The same for all that differ only in an id: `GET /users/:id` */
export function siteOfRequest({ method, path, route }: RequestName): string {
  // The target of a CONNECT is a host and a port.
  return `${method} ${route !== '' ? route : method === 'CONNECT' ? path : foldPath(path)}`
}

function pathOf(request: object): string {
  return withoutQuery(readText(request, 'originalUrl') ?? readText(request, 'url') ?? '')
}

/** What Express and its kin leave on the request; without an adapter, what lies above the route is read from its real path. */
function routeLeftBy(request: object, routes: ToldRoutes): string {
  const route = readField(request, 'route')
  const baseUrl = readText(request, 'baseUrl') ?? ''
  if (baseUrl === '' && (route === undefined || route === null)) return ''
  const routed = { route, app: readField(request, 'app'), baseUrl, path: pathOf(request) }
  const found = routes.find(request, routed)
  if (found !== '') return found
  const pattern = typeof route === 'object' && route !== null ? readText(route, 'path') : null
  if (pattern === null) return ''
  const above = nameParams(baseUrl.replace(/\/$/, ''), readField(request, 'params'), pattern)
  return pattern === '/' && above !== '' ? above : above + pattern
}

/** `/buckets/b1` as `/buckets/:bucket`, where the routers pass their values on (`mergeParams`). */
function nameParams(path: string, params: unknown, below: string): string {
  if (path === '' || typeof params !== 'object' || params === null) return path
  const names = new Map<unknown, string>()
  for (const name of Object.keys(params))
    if (!below.includes(`:${name}`)) names.set(readField(params, name), name)
  return path.replace(/[^/]+/g, (segment) => {
    const name = names.get(segment) ?? names.get(decoded(segment))
    return name === undefined ? segment : `:${name}`
  })
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

/**
 * Query strings carry secrets: they never leave this function. An absolute-form target (RFC 9112, section 3.2.2) loses
 * its query as well, and the user and password before its host.
 */
export function withoutQuery(target: string): string {
  const end = target.search(/[?#]/)
  return withoutUser(end === -1 ? target : target.slice(0, end))
}

/** `http://user:secret@host/`, as a proxy may be asked: who asks is nobody's business. */
export function withoutUser(target: string): string {
  return target.replace(/^([a-z][a-z\d+.-]*:\/\/)[^/]*@/i, '$1')
}
