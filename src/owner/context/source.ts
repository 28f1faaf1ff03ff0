import { AsyncLocalStorage } from 'node:async_hooks'
import type { ContextChoice } from '../../options/options.js'
import type { RequestRunner, RequestScope } from '../../socket/patches.js'
import { readText } from '../../core/foreign.js'
import { headersOf } from '../../socket/http2.js'
import { withoutQuery, type ToldRoutes } from '../request-name.js'
import { usesAsyncContextFrame } from './async-context-frame.js'
import { boundedValues } from './bounded-values.js'
import { fromRunningClsHooked } from './cls-hooked.js'
import type { ContextProvider } from './provider.js'
import { Work } from './work.js'

export type Context = Readonly<Record<string, string>> | Work

export interface ContextSource {
  current(): Context | null
  /** Called around each request's handlers; `null` for a source that only reads. */
  readonly scope: RequestScope | RequestRunner | null
  readonly isAsync: boolean
  stop(): void
}

// `isStackAlwaysTaken` makes `auto` choose more precision. Returns `null` if there is nothing to ask.
export function selectContext(
  choice: ContextChoice | ContextProvider,
  isStackAlwaysTaken: boolean,
  routes: ToldRoutes,
  onFailure: (provider: string, error: unknown) => void,
): ContextSource | null {
  if (typeof choice === 'object') return fromProvider(choice, onFailure)
  switch (choice) {
    case 'off':
      return null
    case 'auto':
      return isStackAlwaysTaken || usesAsyncContextFrame() ? ownStorage(routes) : whileHandlersRun(routes)
    case 'async-local-storage':
      return ownStorage(routes)
    case 'cls-hooked':
      return fromProvider(fromRunningClsHooked(), onFailure)
  }
}

// Knows the request whose handlers run until their first `await` or callback, without an async hook.
function whileHandlersRun(routes: ToldRoutes): ContextSource {
  interface Run {
    readonly event: string
    readonly request: object
    work: Work | null
  }
  let running: Run | null = null
  return {
    isAsync: false,
    current() {
      if (running === null) return null
      return (running.work ??= new Work(running.request, running.event, routes))
    },
    scope: {
      enter(event, request) {
        const outer = running
        running = { event, request, work: null }
        return outer
      },
      leave(outer) {
        running = outer as Run | null
      },
    },
    stop() {
      running = null
    },
  }
}

/** `run()` would add two frames to each stack of the application. */
function ownStorage(routes: ToldRoutes): ContextSource {
  const storage = new AsyncLocalStorage<Work | undefined>()
  return {
    isAsync: true,
    current: () => storage.getStore() ?? null,
    scope: {
      enter(event, request) {
        const outer = storage.getStore()
        storage.enterWith(new Work(request, event, routes))
        return outer
      },
      leave(outer) {
        storage.enterWith(outer as Work | undefined)
      },
    },
    stop: () => storage.disable(),
  }
}

function fromProvider(
  provider: ContextProvider,
  onFailure: (provider: string, error: unknown) => void,
): ContextSource {
  const name = String(provider.name)
  return {
    isAsync: true,
    current() {
      try {
        return provider.current()
      } catch (error) {
        onFailure(name, error)
        return null
      }
    },
    scope:
      provider.run === undefined
        ? null
        : (_event, request, handlers) =>
            runOnce(provider, describeRequest(request), handlers, (error) => onFailure(name, error)),
    stop: () => {},
  }
}

function describeRequest(request: object): string {
  const headers = headersOf(request) ?? {}
  const method = readText(request, 'method') ?? readText(headers, ':method') ?? ''
  return `${method} ${withoutQuery(readText(request, 'url') ?? readText(headers, ':path') ?? '')}`
}

/** The handlers run exactly once and their errors stay their own, whatever the provider does. */
function runOnce<T>(
  provider: ContextProvider,
  request: string,
  fn: () => T,
  onFailure: (error: unknown) => void,
): T {
  let outcome: { readonly result: T } | { readonly thrown: unknown } | null = null
  function once(): T {
    if (outcome === null) {
      try {
        outcome = { result: fn() }
      } catch (thrown) {
        outcome = { thrown }
      }
    }
    if ('thrown' in outcome) throw outcome.thrown
    return outcome.result
  }
  try {
    provider.run!({ request }, once)
  } catch (error) {
    const ran = outcome as { readonly thrown?: unknown } | null
    if (ran === null || !('thrown' in ran) || ran.thrown !== error) onFailure(error)
  }
  return once()
}

export function valuesOf(context: Context | null): Readonly<Record<string, string>> | null {
  if (!(context instanceof Work)) return boundedValues(context)
  const request = context.name()
  return request === null ? null : { request }
}
