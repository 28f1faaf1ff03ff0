/**
 * Names the routes of a Koa application. The router (`@koa/router`, `koa-router`) leaves the matched route on Koa's context, which
 * can't be reached from Node's request: so the application's `createContext`, which Koa looks up for every request
 * (lib/application.js `callback`, koa 2 and 3), gets a pass-through that remembers both, and nothing else.
 */
import type { IncomingMessage } from 'node:http'

interface RoutedContext {
  readonly originalUrl?: unknown
  /** The pattern, prefixes of routers included: a string or a RegExp. */
  readonly _matchedRoute?: unknown
  readonly matched?: unknown
}

export type ContextListener = (request: IncomingMessage, routeOf: () => string) => void

interface Watch {
  readonly listeners: Set<ContextListener>
  restore(): void
}

/** Kept on the pass-through itself: one for each application, however many servers it has. */
const WATCH = Symbol.for('socket-leak-guard/koa-contexts')

interface CreateContext {
  (...args: unknown[]): RoutedContext
  [WATCH]?: Watch
}

/** @returns what stops it */
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
      // If somebody has wrapped it since, what stays is a pass-through.
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

/** @returns an empty string where no router has chosen a route */
export function routeOf(context: object): string {
  const { _matchedRoute: route } = context as RoutedContext
  if (route instanceof RegExp) return String(route)
  if (typeof route !== 'string' || route === '') return ''
  return mountOf(context, route) + route
}

/**
 * What koa-mount and its kin have taken off the path before the router saw it. The path is restored by the time the response is
 * sent, so it is asked which part of the original path the route matches.
 */
function mountOf({ originalUrl, matched }: RoutedContext, route: string): string {
  const layers = Array.isArray(matched) ? (matched as ({ path?: unknown; regexp?: unknown } | null)[]) : []
  const regexp = layers.find((each) => each?.path === route && each.regexp instanceof RegExp)?.regexp
  if (regexp === undefined || typeof originalUrl !== 'string') return ''
  // A RegExp with a memory (`g`, `y`) is the router's own: a copy leaves its place as it was.
  const pattern = new RegExp(regexp as RegExp)
  const path = originalUrl.replace(/[?#].*$/, '')
  for (let at = 0; at !== -1; at = path.indexOf('/', at + 1)) {
    if (pattern.test(path.slice(at))) return path.slice(0, at)
  }
  return ''
}
