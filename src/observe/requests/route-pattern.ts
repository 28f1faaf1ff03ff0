/**
 * The pattern of the route that serves a request (`/users/:id/photos/:n`), found when somebody asks and not before.
 *
 * Express (4 and 5, and the `router` package) leaves the matched route on the request, but of the routers above it only
 * `baseUrl`, which holds the real values. What those routers were mounted under is found by walking down from
 * `req.app` and asking each mount, as the router itself did, whether it matches. That walk reads `stack`, `route`, `handle`
 * and calls `match(path)` of the layers (express 4: lib/router/layer.js; router 2.0 to 2.3: lib/layer.js), each behind a
 * check: where anything is not as expected, the real path stands in for the part that could not be named.
 */

/** What a request tells about its route; everything may be missing. */
export interface RouteTrace {
  /** The matched route, an object of the framework's. */
  readonly route: unknown
  /** The real path that the routers above the route took away. */
  readonly baseUrl: string
  readonly app: unknown
  /** The whole path, without its query. */
  readonly path: string
}

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

interface Match {
  readonly path: string
  readonly pattern: string
}

/** Routers can be mounted inside themselves. */
const DEEPEST_MOUNT = 16

/** @returns the pattern, or an empty string where no framework chose a route */
export function findRoutePattern(trace: RouteTrace): string {
  try {
    return trace.route === null || trace.route === undefined ? nameMount(trace) : nameRoute(trace)
  } catch {
    // A match may throw for a path that can't be decoded, and the framework may be a stranger that looks alike.
    return fallBack(trace)
  }
}

function fallBack({ route, baseUrl }: RouteTrace): string {
  const own = pathOf(route)
  return own === null ? '' : join(baseUrl, own)
}

function nameRoute(trace: RouteTrace): string {
  const { route, baseUrl, path } = trace
  const apps = appsAbove(trace.app)
  const root = routerOf(apps[0])
  if (root === null) return fallBack(trace)
  const tail = path.startsWith(baseUrl) ? path.slice(baseUrl.length) : ''
  // baseUrl is restored once the handler has called next(); the whole path then leads to the route as well.
  return (
    walkTo(route, root, apps.slice(1), baseUrl, tail, 0) ??
    walkTo(route, root, apps.slice(1), path, null, 0) ??
    nameBehindMount(trace, root, apps)
  )
}

/** The route is in a router that can't be seen from above, behind a function of the application's own. */
function nameBehindMount(trace: RouteTrace, root: Router, apps: readonly App[]): string {
  const own = pathOf(trace.route)
  if (own === null) return ''
  return join(theOnly(mountsAt(root, apps.slice(1), trace.baseUrl, 0)) ?? trace.baseUrl, own)
}

/** No route was chosen yet: middleware has the request. Where that is mounted groups better than the real path. */
function nameMount({ baseUrl, path, app }: RouteTrace): string {
  if (baseUrl === '') return ''
  const apps = appsAbove(app)
  const root = routerOf(apps[0])
  const mount = root === null ? null : theOnly(mountsAt(root, apps.slice(1), baseUrl, 0))
  if (mount === null) return ''
  return path.length > baseUrl.length + 1 ? join(mount, '/*') : mount
}

/**
 * @param rest the path that is still to be matched
 * @param tail the path that is left for the route when `rest` holds what is above it; `null` when `rest` holds both
 */
function walkTo(
  route: unknown,
  router: Router,
  apps: readonly App[],
  rest: string,
  tail: string | null,
  depth: number,
): string | null {
  if (depth > DEEPEST_MOUNT) return null
  for (const layer of router.stack) {
    if (layer.route === route) {
      const found = nameHere(layer, rest, tail)
      if (found !== null) return found
    }
    const inner = layer.route === undefined ? routerIn(layer, apps) : null
    const mount = inner === null ? null : matchMount(layer, rest)
    if (inner === null || mount === null) continue
    const below = walkTo(route, inner.router, inner.apps, rest.slice(mount.path.length), tail, depth + 1)
    if (below !== null) return join(mount.pattern, below)
  }
  return null
}

function nameHere(layer: Layer, rest: string, tail: string | null): string | null {
  if (tail !== null && rest !== '') return null
  const own = pathOf(layer.route)
  if (own !== null && tail !== null) return own
  const match = matchLayer(layer, (tail ?? rest) || '/')
  return match === null ? null : (own ?? match.pattern)
}

/** The patterns under which exactly this path is mounted, whatever is mounted there. */
function mountsAt(router: Router, apps: readonly App[], rest: string, depth: number): Set<string> {
  const found = new Set<string>()
  if (depth > DEEPEST_MOUNT) return found
  for (const layer of router.stack) {
    const mount = layer.route === undefined ? matchMount(layer, rest) : null
    if (mount === null) continue
    if (mount.path !== '' && mount.path.length === rest.length) found.add(mount.pattern)
    const inner = routerIn(layer, apps)
    if (inner === null) continue
    for (const below of mountsAt(inner.router, inner.apps, rest.slice(mount.path.length), depth + 1)) {
      found.add(join(mount.pattern, below))
    }
  }
  return found
}

function theOnly(patterns: ReadonlySet<string>): string | null {
  const [first] = patterns
  return patterns.size === 1 && first !== undefined ? first : null
}

/** A mount takes whole segments off the front of the path. */
function matchMount(layer: Layer, rest: string): Match | null {
  const match = matchLayer(layer, rest === '' ? '/' : rest)
  if (match === null) return null
  const path = match.path.replace(/\/$/, '')
  if (!rest.startsWith(path) || !(rest.length === path.length || rest[path.length] === '/')) return null
  return { path, pattern: match.pattern === '/' ? '' : match.pattern }
}

function matchLayer(layer: Layer, path: string): Match | null {
  const raw = askLayer(layer, path)
  if (raw === null) return null
  const pattern = typeof raw.pattern === 'string' ? raw.pattern : rebuildPattern(layer, raw.path, raw.params)
  return { path: raw.path, pattern }
}

interface RawMatch {
  readonly path: string
  readonly params: Readonly<Record<string, unknown>>
  readonly pattern?: unknown
}

/** Asks as the router does, and leaves the layer as it was: up to router 2.2 the answer is written onto it. */
function askLayer(layer: Layer, path: string): RawMatch | null {
  if (typeof layer.match !== 'function') return null
  const { params, path: matched, keys } = layer
  try {
    const answer = layer.match(path)
    const match = typeof answer === 'object' ? answer : answer === true ? layer : null
    if (match === null || typeof (match as Layer).path !== 'string') return null
    const { path: taken, params: values, pattern } = match as RawMatch
    return { path: taken, params: values ?? {}, pattern }
  } finally {
    if (layer.params !== params) layer.params = params
    if (layer.path !== matched) layer.path = matched
    if (layer.keys !== keys) layer.keys = keys
  }
}

/** Where the pattern itself is not kept: the matched path, with the names of the parameters in place of their values. */
function rebuildPattern(layer: Layer, path: string, params: Readonly<Record<string, unknown>>): string {
  const segments = path.split('/')
  const names: (string | undefined)[] = []
  for (const [name, value] of Object.entries(params)) {
    const text: unknown = Array.isArray(value) ? value.join('/') : value
    if (typeof text !== 'string' || text === '') continue
    const values = text.split('/')
    const at = placeOf(layer, segments, names, name, values)
    if (at === -1) nameWithin(segments, names, name, values[0]!)
    else values.forEach((_, i) => (names[at + i] = i === 0 ? `:${name}` : ''))
  }
  return segments
    .map((segment, i) => names[i] ?? segment)
    .filter((segment, i) => i === 0 || segment !== '' || segments[i] === '')
    .join('/')
}

/** Which whole segments hold the value; where several could, the one that the layer lets change. */
function placeOf(
  layer: Layer,
  segments: readonly string[],
  names: readonly (string | undefined)[],
  name: string,
  values: readonly string[],
): number {
  const places = segments.flatMap((_, at) =>
    values.every((value, i) => names[at + i] === undefined && decode(segments[at + i]) === value) ? [at] : [],
  )
  if (places.length < 2) return places[0] ?? -1
  return places.find((at) => isFree(layer, segments, at, name)) ?? places.at(-1)!
}

function isFree(layer: Layer, segments: readonly string[], at: number, name: string): boolean {
  const other = `${segments[at]}0`
  const match = askLayer(layer, segments.with(at, other).join('/'))
  return match !== null && String(match.params[name]).startsWith(decode(other))
}

/** A parameter that is only part of a segment: `/user-:id`. */
function nameWithin(
  segments: readonly string[],
  names: (string | undefined)[],
  name: string,
  value: string,
): void {
  const at = segments.findIndex((segment, i) => (names[i] ?? decode(segment)).includes(value))
  if (at !== -1) names[at] = (names[at] ?? decode(segments[at])).replace(value, () => `:${name}`)
}

function decode(segment: string | undefined): string {
  try {
    return decodeURIComponent(segment ?? '')
  } catch {
    return segment ?? ''
  }
}

/** The application that has the request and those it is mounted in, outermost first. */
function appsAbove(app: unknown): App[] {
  const apps: App[] = []
  for (let next = app; isApp(next) && apps.length < DEEPEST_MOUNT; next = next.parent) apps.unshift(next)
  return apps
}

function isApp(value: unknown): value is App {
  return (
    typeof value === 'function' &&
    typeof (value as { handle?: unknown }).handle === 'function' &&
    typeof (value as { set?: unknown }).set === 'function'
  )
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
