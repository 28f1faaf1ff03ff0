// Finds the pattern of a request's route (`/users/:id/photos/:n`) when a report asks. Express 4, 5 and `router` leave
// the matched route on the request, but of the routers above it only `baseUrl` with real values. So this walks down
// from `req.app` and asks each mount whether it matches, by `stack`, `route`, `handle` and `match(path)` (express 4:
// lib/router/layer.js; router 2.0 to 2.3: lib/layer.js). If anything is unexpected, `baseUrl` is shown.
import type { RoutedRequest } from '../../src/adapter.js'

interface Layer {
  readonly route?: unknown
  readonly handle?: unknown
  readonly name?: unknown
  match?(path: string): unknown
  params?: unknown
  path?: unknown
  keys?: unknown
}

type Stack = readonly Layer[]

interface Match {
  readonly path: string
  readonly params: Readonly<Record<string, unknown>>
  readonly pattern?: unknown
}

interface App {
  readonly parent?: unknown
  readonly _router?: unknown
  readonly router?: unknown
}

interface Place {
  readonly pattern: string
  readonly rest: string
  readonly stack: Stack
}

const DEEPEST_MOUNT = 16

export function routeOf({ route, baseUrl, path, app }: RoutedRequest): string {
  const [outermost, ...apps] = appsAbove(app)
  const root = stackOf(outermost)
  if (root === null || (route === undefined && baseUrl === '')) return ''
  const places = [...walkDown(root, apps, baseUrl)].filter(({ rest }) => rest === '')
  const mounts = new Set(places.map(({ pattern }) => pattern).filter((pattern) => pattern !== ''))
  const mount = mounts.size === 1 ? [...mounts].join('') : ''
  if (route === null || route === undefined) {
    // Middleware has the request; its mount groups better than the path.
    return mount !== '' && path.length > baseUrl.length + 1 ? join(mount, '/*') : mount
  }
  const { path: written } = route as { path?: unknown }
  const own = typeof written === 'string' ? written : null
  const tail = path.startsWith(baseUrl) ? path.slice(baseUrl.length) : ''
  for (const { pattern, stack } of places) {
    const layer = stack.find((each) => each.route === route)
    const below = layer && (own ?? patternAt(layer, tail))
    if (typeof below === 'string') return join(pattern, below)
  }
  for (const { pattern, stack, rest } of walkDown(root, apps, path)) {
    const layer = stack.find((each) => each.route === route)
    const below = layer && patternAt(layer, rest)
    if (typeof below === 'string') return join(pattern, own ?? below)
  }
  return own === null || mount === '' ? '' : join(mount, own)
}

function* walkDown(
  stack: Stack,
  apps: readonly App[],
  rest: string,
  pattern = '',
  depth = 0,
): Generator<Place> {
  yield { pattern, rest, stack }
  if (depth === DEEPEST_MOUNT) return
  for (const layer of stack) {
    const match = layer.route === undefined ? matchLayer(layer, rest) : null
    if (match === null) continue
    const taken = match.path.replace(/\/$/, '')
    const left = rest.slice(taken.length)
    if (!rest.startsWith(taken) || !/^(?:\/|$)/.test(left)) continue
    const own = patternOf(layer, match)
    const below = own === '/' ? pattern : join(pattern, own)
    const direct = stackOf(layer.handle)
    // `app.use(path, otherApp)` mounts a function of this name (lib/application.js of express 4 and 5).
    const inner = direct ?? (layer.name === 'mounted_app' ? stackOf(apps[0]) : null)
    if (inner === null) yield { pattern: below, rest: left, stack: [] }
    else yield* walkDown(inner, direct === null ? apps.slice(1) : apps, left, below, depth + 1)
  }
}

/** Restores the layer: up to router 2.2 a match writes onto it. */
function matchLayer(layer: Layer, path: string): Match | null {
  if (typeof layer.match !== 'function') return null
  const { params, path: matched, keys } = layer
  try {
    const answer = layer.match(path || '/')
    const match = (answer === true ? layer : answer) as Partial<Match> | false | null | undefined
    if (!match || typeof match.path !== 'string') return null
    return { path: match.path, params: match.params ?? {}, pattern: match.pattern }
  } finally {
    if (layer.params !== params) layer.params = params
    if (layer.path !== matched) layer.path = matched
    if (layer.keys !== keys) layer.keys = keys
  }
}

function patternAt(layer: Layer, path: string): string | null {
  const match = matchLayer(layer, path)
  return match === null ? null : patternOf(layer, match)
}

function patternOf(layer: Layer, { path, params, pattern }: Match): string {
  if (typeof pattern === 'string') return pattern
  const segments = path.split('/')
  return segments
    .map((segment, at) => {
      for (const other of segment === '' ? [] : [`${segment}0`, `0${segment}`]) {
        const match = matchLayer(layer, segments.with(at, other).join('/'))
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

/** A value may be part of a segment (`/user-:id`) or span several (`/*path`). */
function nameIn(segment: string, name: string, value: unknown): string {
  const text = decodeURIComponent(segment)
  const isPart = typeof value === 'string' && text.includes(value)
  return isPart ? text.replace(value, () => `:${name}`) : `:${name}`
}

function appsAbove(app: unknown): App[] {
  const apps: App[] = []
  for (let next = app; isApp(next) && apps.length < DEEPEST_MOUNT; next = next.parent) apps.unshift(next)
  return apps
}

function isApp(value: unknown): value is App {
  const { handle, set } = (value ?? {}) as { handle?: unknown; set?: unknown }
  return typeof value === 'function' && typeof handle === 'function' && typeof set === 'function'
}

/** Express 4 keeps its router in `_router`, where `router` throws; Express 5 in `router`. */
function stackOf(value: unknown): Stack | null {
  if (typeof value !== 'function') return null
  if (isApp(value)) return stackOf(value._router) ?? stackOf(value.router)
  const { stack } = value as { stack?: unknown }
  return Array.isArray(stack) ? (stack as Stack) : null
}

function join(mount: string, below: string): string {
  const above = mount.replace(/\/$/, '')
  return below === '/' && above !== '' ? above : above + below
}
