/**
 * The pattern of the route that serves a request (`/users/:id/photos/:n`), found when somebody asks and not before. The one
 * file that reads what Express keeps to itself.
 *
 * Express (4 and 5, and the `router` package) leaves the matched route on the request, but of the routers above it only
 * `baseUrl`, which holds the real values. What those routers were mounted under is found by walking down from
 * `req.app` and asking each mount, as the router itself did, whether it matches. That walk reads `stack`, `route`, `handle`
 * and calls `match(path)` of the layers (express 4: lib/router/layer.js; router 2.0 to 2.3: lib/layer.js), each behind a
 * check. Where anything is not as expected, no pattern is known, and the guard shows `baseUrl` as it is.
 */
import type { RoutedRequest } from '../../src/adapter.js'

interface Layer {
  readonly route?: unknown
  readonly handle?: unknown
  readonly name?: unknown
  match?(path: string): unknown
  // What match() leaves behind, except in router 2.3.
  params?: unknown
  path?: unknown
  keys?: unknown
}

interface Router {
  readonly stack: readonly Layer[]
}

interface App {
  readonly parent?: unknown
  readonly _router?: unknown
  readonly router?: unknown
}

/** A point on the way down: what was matched so far, and what is left of the path. */
interface Place {
  readonly pattern: string
  readonly rest: string
  /** Of the router that is mounted here; empty where something else is. */
  readonly stack: readonly Layer[]
}

/** Routers can be mounted inside themselves. */
const DEEPEST_MOUNT = 16

/** @returns the pattern, or an empty string where none is known. May throw: a match does for a path that can't be decoded */
export function routeOf({ route, baseUrl, path, app }: RoutedRequest): string {
  const apps = appsAbove(app)
  const root = routerOf(apps[0])
  if (root === null || (route === undefined && baseUrl === '')) return ''
  const places = [...walkDown(root, apps.slice(1), baseUrl)].filter(({ rest }) => rest === '')
  const mount = theOnly(places.map(({ pattern }) => pattern).filter((pattern) => pattern !== ''))
  if (route === null || route === undefined) {
    // Middleware has the request. Where that is mounted groups better than the real path.
    if (mount === null) return ''
    return path.length > baseUrl.length + 1 ? join(mount, '/*') : mount
  }
  const tail = path.startsWith(baseUrl) ? path.slice(baseUrl.length) : ''
  for (const { pattern, stack } of places) {
    const own = ownPattern(stack, route, tail, true)
    if (own !== null) return join(pattern, own)
  }
  // baseUrl is restored once the handler has called next(); the whole path then leads to the route as well.
  for (const { pattern, stack, rest } of walkDown(root, apps.slice(1), path)) {
    const own = ownPattern(stack, route, rest, false)
    if (own !== null) return join(pattern, own)
  }
  // The route is in a router that can't be seen from above, behind a function of the application's own.
  const own = pathOf(route)
  return own === null || mount === null ? '' : join(mount, own)
}

/** @param isHere nothing but this route can be meant, so that it need not match */
function ownPattern(stack: readonly Layer[], route: unknown, rest: string, isHere: boolean): string | null {
  const layer = stack.find((each) => each.route === route)
  if (layer === undefined) return null
  const own = pathOf(route)
  if (isHere && own !== null) return own
  const match = matchLayer(layer, rest || '/')
  return match === null ? null : (own ?? match.pattern)
}

/** Every mount on the way, whatever is mounted there; the router itself first. */
function* walkDown(
  router: Router,
  apps: readonly App[],
  rest: string,
  pattern = '',
  depth = 0,
): Generator<Place> {
  yield { pattern, rest, stack: router.stack }
  if (depth === DEEPEST_MOUNT) return
  for (const layer of router.stack) {
    const match = layer.route === undefined ? matchLayer(layer, rest || '/') : null
    if (match === null) continue
    // A mount takes whole segments off the front of the path.
    const taken = match.path.replace(/\/$/, '')
    const left = rest.slice(taken.length)
    if (!rest.startsWith(taken) || !/^(?:\/|$)/.test(left)) continue
    const below = match.pattern === '/' ? pattern : join(pattern, match.pattern)
    const inner = routerIn(layer, apps)
    if (inner === null) yield { pattern: below, rest: left, stack: [] }
    else yield* walkDown(inner.router, inner.apps, left, below, depth + 1)
  }
}

function theOnly(patterns: readonly string[]): string | null {
  const [first, ...others] = new Set(patterns)
  return others.length === 0 ? (first ?? null) : null
}

function matchLayer(layer: Layer, path: string): { readonly path: string; readonly pattern: string } | null {
  const match = askLayer(layer, path)
  if (match === null) return null
  const { pattern } = match
  return { path: match.path, pattern: typeof pattern === 'string' ? pattern : rebuildPattern(layer, match) }
}

interface Match {
  readonly path: string
  readonly params: Readonly<Record<string, unknown>>
  /** Since router 2.3. */
  readonly pattern?: unknown
}

/** Asks as the router does, and leaves the layer as it was: up to router 2.2 the answer is written onto it. */
function askLayer(layer: Layer, path: string): Match | null {
  if (typeof layer.match !== 'function') return null
  const { params, path: matched, keys } = layer
  try {
    const answer = layer.match(path)
    const match = typeof answer === 'object' ? answer : answer === true ? layer : null
    if (match === null || typeof (match as Layer).path !== 'string') return null
    const { path: taken, params: values, pattern } = match as Match
    return { path: taken, params: values ?? {}, pattern }
  } finally {
    if (layer.params !== params) layer.params = params
    if (layer.path !== matched) layer.path = matched
    if (layer.keys !== keys) layer.keys = keys
  }
}

/** Where the pattern itself is not kept: the path, with a name wherever another value would match as well. */
function rebuildPattern(layer: Layer, { path, params }: Match): string {
  const segments = path.split('/')
  return segments
    .map((segment, at) => {
      const others = [`${segment}0`, `0${segment}`]
      for (const other of segment === '' ? [] : others) {
        const match = askLayer(layer, segments.with(at, other).join('/'))
        const name = Object.keys(params).find(
          (key) => match && String(match.params[key]) !== String(params[key]),
        )
        if (name !== undefined) return nameIn(segment, name, params[name])
      }
      return segment
    })
    .filter((segment, at, all) => segment !== all[at - 1] || !segment.startsWith(':'))
    .join('/')
}

/** A value may be a part of its segment (`/user-:id`), or have come in several (`/*path`). */
function nameIn(segment: string, name: string, value: unknown): string {
  const text = decodeURIComponent(segment)
  return typeof value === 'string' && text.includes(value)
    ? text.replace(value, () => `:${name}`)
    : `:${name}`
}

/** The application that has the request and those it is mounted in, outermost first. */
function appsAbove(app: unknown): App[] {
  const apps: App[] = []
  for (let next = app; isApp(next) && apps.length < DEEPEST_MOUNT; next = next.parent) apps.unshift(next)
  return apps
}

function isApp(value: unknown): value is App {
  const { handle, set } = (value ?? {}) as { handle?: unknown; set?: unknown }
  return typeof value === 'function' && typeof handle === 'function' && typeof set === 'function'
}

/** Express 4 keeps it in `_router`, where `router` throws; Express 5 in `router`. */
function routerOf(app: App | undefined): Router | null {
  if (app === undefined) return null
  if (isRouter(app._router)) return app._router
  return isRouter(app.router) ? app.router : null
}

function isRouter(value: unknown): value is Router {
  return typeof value === 'function' && Array.isArray((value as Partial<Router>).stack)
}

function routerIn(
  { handle, name }: Layer,
  apps: readonly App[],
): { readonly router: Router; readonly apps: readonly App[] } | null {
  if (isRouter(handle)) return { router: handle, apps }
  // `app.use(path, otherApp)` mounts a function of this name (lib/application.js of express 4 and 5).
  const inner = isApp(handle) ? routerOf(handle) : name === 'mounted_app' ? routerOf(apps[0]) : null
  if (inner === null) return null
  return { router: inner, apps: isApp(handle) ? apps : apps.slice(1) }
}

function pathOf(route: unknown): string | null {
  const path = (route as { path?: unknown } | null | undefined)?.path
  return typeof path === 'string' ? path : null
}

function join(mount: string, below: string): string {
  const above = mount.replace(/\/$/, '')
  return below === '/' && above !== '' ? above : above + below
}
