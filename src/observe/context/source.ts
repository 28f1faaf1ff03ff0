/** Where context comes from in this process: the option `context`, made usable inside the host's callbacks. */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { ContextChoice } from '../../options/options.js'
import { withoutQuery, type RequestLike } from '../requests/attribution.js'
import { usesAsyncContextFrame } from './async-context-frame.js'
import { boundedValues } from './bounded-values.js'
import { fromRunningClsHooked } from './cls-hooked.js'
import { whileHandlerRuns, type HandlerRun } from './handler-run.js'
import type { ContextProvider } from './provider.js'
import { ServedRequest } from './served-request.js'

/** What was running: in words, or as a request that is named when a report asks. */
export type Context = Readonly<Record<string, string>> | ServedRequest

/**
 * Runs `fn`, exactly once and at once, as the work of this request; returns or throws what `fn` does. `onServed` gets
 * the store, where the guard keeps one, before anything is opened in it.
 */
export type Serve = <T>(request: RequestLike, fn: () => T, onServed: (served: ServedRequest) => void) => T

export interface ContextSource {
  readonly name: string
  /** Never throws. */
  current(): Context | null
  /** `null` for a source that only reads. */
  readonly serve: Serve | null
  /** Of a source that is fed by being told what runs. */
  readonly handlers?: HandlerRun
  stop(): void
}

/**
 * @param choice the option `context`
 * @param isStackAlwaysTaken who pays for a stack at each access wants everybody named, which `auto` then takes into account
 * @param onFailure a provider of the application's threw
 * @throws `SLG_ERR_MISSING_PEER`
 * @returns `null` where nothing is to be asked
 */
export function selectContext(
  choice: ContextChoice | ContextProvider,
  isStackAlwaysTaken: boolean,
  onFailure: (provider: string, error: unknown) => void,
): ContextSource | null {
  if (typeof choice === 'object') return fromProvider(choice, onFailure)
  switch (choice) {
    case 'off':
      return null
    case 'auto':
      return isStackAlwaysTaken || usesAsyncContextFrame() ? ownStorage() : whileHandlerRuns()
    case 'async-local-storage':
      return ownStorage()
    case 'cls-hooked':
      return fromProvider(fromRunningClsHooked(), onFailure)
  }
}

function ownStorage(): ContextSource {
  const storage = new AsyncLocalStorage<ServedRequest>()
  return {
    name: 'async-local-storage',
    current: () => storage.getStore() ?? null,
    serve(request, fn, onServed) {
      const served = new ServedRequest(request)
      onServed(served)
      return storage.run(served, fn)
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
    name,
    current() {
      try {
        return provider.current()
      } catch (error) {
        onFailure(name, error)
        return null
      }
    },
    serve:
      provider.run === undefined
        ? null
        : (request, fn) => runOnce(provider, describeRequest(request), fn, (error) => onFailure(name, error)),
    stop: () => {},
  }
}

/** The path, not the route: a provider of the application's wants strings, and no router has run yet. */
function describeRequest(request: RequestLike): string {
  try {
    return `${request.method ?? ''} ${withoutQuery(request.url ?? '')}`
  } catch {
    // Not one of Node's: the application emitted something of its own.
    return ''
  }
}

/** The host's own work runs once, whatever the provider does around it, and what it throws stays its own. */
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

/** As the report shows it. */
export function valuesOf(context: Context | null): Readonly<Record<string, string>> | null {
  if (!(context instanceof ServedRequest)) return boundedValues(context)
  const request = context.name()
  return request === null ? null : { request }
}
