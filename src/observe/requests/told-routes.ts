/**
 * Routes that adapters have told, for frameworks that don't leave them on Node's own request. Kept beside the request, which
 * is not written to, and for no longer than it lives.
 */

/** The pattern, or what finds it when a report asks: some routers choose only after the adapter was called. */
export type ToldRoute = string | (() => string | null | undefined)

/** What a framework left of a request's route; it may be asked for after the request itself is gone. */
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

const routes = new WeakMap<object, ToldRoute>()
const finders = new WeakMap<object, RouteOf>()
/** Until somebody tells a route, a request pays one comparison. */
let isAnyTold = false

export function tellRoute(request: object, route: ToldRoute): void {
  isAnyTold = true
  routes.set(request, route)
}

/** Finds the routes of this server's requests. @param routeOf `null`: nobody does any more */
export function tellRouteOf(server: object, routeOf: RouteOf | null): void {
  if (routeOf === null) finders.delete(server)
  else finders.set(server, routeOf)
}

/** @returns who finds the routes of the server that has this request; never throws */
export function routeFinderFor(request: object): RouteOf | null {
  try {
    const { server } = (request as { socket?: { server?: object | null } | null }).socket ?? {}
    return (server && finders.get(server)) ?? null
  } catch {
    return null
  }
}

/** @returns an empty string where nobody told a route; never throws */
export function toldRouteOf(request: object): string {
  if (!isAnyTold) return ''
  try {
    const told = routes.get(request)
    const route: unknown = typeof told === 'function' ? told() : told
    return typeof route === 'string' ? route : ''
  } catch {
    // The adapter is somebody else's.
    return ''
  }
}
