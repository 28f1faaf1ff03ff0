/**
 * Routes that adapters have told, for frameworks that don't leave them on Node's own request. Kept beside the request, which
 * is not written to, and for no longer than it lives.
 */

/** The pattern, or what finds it when a report asks: some routers choose only after the adapter was called. */
export type ToldRoute = string | (() => string | null | undefined)

const routes = new WeakMap<object, ToldRoute>()
/** Until somebody tells a route, a request pays one comparison. */
let isAnyTold = false

export function tellRoute(request: object, route: ToldRoute): void {
  isAnyTold = true
  routes.set(request, route)
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
