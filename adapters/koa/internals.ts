// Names the routes of a Koa application. `@koa/router` and `koa-router` leave the route on Koa's context, which Node's
// request does not lead to. So `createContext`, called for each request (lib/application.js `callback`, koa 2 and 3),
// gets a pass-through that remembers both.
import type { IncomingMessage } from 'node:http'

interface RoutedContext {
  readonly originalUrl?: unknown
  readonly _matchedRoute?: unknown
  readonly matched?: unknown
}

export type ContextListener = (request: IncomingMessage, routeOf: () => string) => void

interface Watch {
  readonly listeners: Set<ContextListener>
  restore(): void
}

const WATCH = Symbol.for('socket-leak-guard/koa-contexts')

interface CreateContext {
  (...args: unknown[]): RoutedContext
  [WATCH]?: Watch
}

export function watchContexts(app: object, listener: ContextListener): () => void {
  const koa = app as { createContext: CreateContext }
  const watch = koa.createContext[WATCH] ?? startWatch(koa)
  watch.listeners.add(listener)
  return function stopWatching() {
    if (watch.listeners.delete(listener) && watch.listeners.size === 0) watch.restore()
  }
}

function startWatch(koa: { createContext: CreateContext }): Watch {
  const before = Object.getOwnPropertyDescriptor(koa, 'createContext')
  const original = koa.createContext
  const listeners = new Set<ContextListener>()

  function createContext(this: unknown, ...args: unknown[]): RoutedContext {
    const context = original.apply(this, args)
    for (const listen of listeners) listen(args[0] as IncomingMessage, () => routeOf(context))
    return context
  }

  const watch: Watch = {
    listeners,
    restore() {
      // If somebody has wrapped it since, the pass-through stays.
      if (koa.createContext !== createContext) return
      if (before === undefined) delete (koa as { createContext?: unknown }).createContext
      else Object.defineProperty(koa, 'createContext', before)
    },
  }
  createContext[WATCH] = watch
  Object.defineProperty(koa, 'createContext', {
    value: createContext,
    writable: true,
    configurable: true,
  })
  return watch
}

export function routeOf(context: object): string {
  const { _matchedRoute: route } = context as RoutedContext
  if (route instanceof RegExp) return String(route)
  if (typeof route !== 'string' || route === '') return ''
  return mountOf(context, route) + route
}

// The prefix that koa-mount or the like removed: what stands before the part of the path that the route matches.
function mountOf({ originalUrl, matched }: RoutedContext, route: string): string {
  const layers = Array.isArray(matched) ? (matched as ({ path?: unknown; regexp?: unknown } | null)[]) : []
  const regexp = layers.find((each) => each?.path === route && each.regexp instanceof RegExp)?.regexp
  if (regexp === undefined || typeof originalUrl !== 'string') return ''
  // A copy, because a RegExp with `g` or `y` keeps its position.
  const pattern = new RegExp(regexp as RegExp)
  const path = originalUrl.replace(/[?#].*$/, '')
  for (let at = 0; at !== -1; at = path.indexOf('/', at + 1)) {
    if (pattern.test(path.slice(at))) return path.slice(0, at)
  }
  return ''
}
