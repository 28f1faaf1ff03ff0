import { readAny, readField, readText } from '../core/foreign.js'
import { headersOf } from '../socket/http2.js'
import type { RequestName } from '../socket/record.js'
import { foldPath } from './site.js'

export interface RequestLike {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly originalUrl?: unknown
  readonly baseUrl?: unknown
  readonly route?: unknown
}

export interface ResponseLike {
  readonly headersSent: boolean
  setHeader(name: string, value: string): unknown
}

export interface WebSocketLike {
  readonly isPaused: boolean
  /** 0 connecting, 1 open, 2 closing, 3 closed (WHATWG WebSockets, section 3.1). */
  readonly readyState: number
  close(code?: number, reason?: string): void
}

export type ToldRoute = string | (() => string | null | undefined)

export interface RoutedRequest {
  readonly route: unknown
  readonly app: unknown
  readonly baseUrl: string
  readonly path: string
}

/** @returns the pattern, or an empty string if unknown; an exception counts as unknown */
export type RouteOf = (request: RoutedRequest) => string

// Routes told by adapters, held weakly by request.
export class ToldRoutes {
  readonly #routes = new WeakMap<object, ToldRoute>()
  readonly #finders = new WeakMap<object, RouteOf>()

  tell(request: object, route: ToldRoute): void {
    this.#routes.set(request, route)
  }

  tellFinder(server: object, routeOf: RouteOf | null): void {
    if (routeOf === null) this.#finders.delete(server)
    else this.#finders.set(server, routeOf)
  }

  find(request: object, routed: RoutedRequest): string {
    try {
      const socket = readField(request, 'socket')
      const server = typeof socket === 'object' && socket !== null ? readField(socket, 'server') : null
      return typeof server === 'object' && server !== null ? (this.#finders.get(server)?.(routed) ?? '') : ''
    } catch {
      // The adapter's code failed.
      return ''
    }
  }

  of(request: object): string {
    try {
      const told = this.#routes.get(request)
      const route: unknown = typeof told === 'function' ? told() : told
      return typeof route === 'string' ? route : ''
    } catch {
      // The adapter's code failed.
      return ''
    }
  }
}

export function nameRequest(request: object, routes: ToldRoutes): RequestName | null {
  const method = readText(request, 'method') ?? readText(headersOf(request) ?? {}, ':method')
  if (method === null || method === '') return null
  return { method, path: pathOf(request), route: routes.of(request) || routeLeftBy(request, routes) }
}

export function textOfRequest({ method, path, route }: RequestName): string {
  return `${method} ${route === '' ? path : route}`
}

export function siteOfRequest({ method, path, route }: RequestName): string {
  // The target of a CONNECT is a host and a port.
  return `${method} ${route !== '' ? route : method === 'CONNECT' ? path : foldPath(path)}`
}

export function siteOfUpgrade({ path }: RequestName): string {
  return `upgrade ${foldPath(path)}`
}

function pathOf(request: object): string {
  const path = readText(request, 'originalUrl') ?? readText(request, 'url')
  return withoutQuery(path ?? readText(headersOf(request) ?? {}, ':path') ?? '')
}

// The route that Express and the like leave on the request. What lies above it comes from the real path.
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

function nameParams(path: string, params: unknown, below: string): string {
  if (path === '' || typeof params !== 'object' || params === null) return path
  const names = new Map<unknown, string>()
  for (const name of Object.keys(params))
    if (!below.includes(`:${name}`)) names.set(readAny(params, name), name)
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

// Removes the query, which may carry secrets, and the user of an absolute target (RFC 9112, section 3.2.2).
export function withoutQuery(target: string): string {
  const end = target.search(/[?#]/)
  return withoutUser(end === -1 ? target : target.slice(0, end))
}

export function withoutUser(target: string): string {
  return target.replace(/^([a-z][a-z\d+.-]*:\/\/)[^/]*@/i, '$1')
}
