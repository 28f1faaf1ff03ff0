// Reads cls-hooked namespaces through `process.namespaces`. Loading a second copy of the package would empty the first
// one's list (cls-hooked 4.2.2, context.js, last lines).
import { join } from 'node:path'
import { SocketLeakGuardError } from '../../base/errors.js'
import { boundedValue } from './bounded-values.js'
import type { ContextProvider } from './provider.js'

/** The part of a cls-hooked namespace that is used. */
export interface ClsNamespace {
  get(key: string): unknown
}

const WELL_KNOWN_KEYS = [
  'request',
  'requestId',
  'request-id',
  'request_id',
  'reqId',
  'x-request-id',
  'traceId',
  'trace-id',
  'correlationId',
  'correlation-id',
  'transactionId',
]

/**
 * Reads a namespace of cls-hooked that the application already runs. Reading costs a property or two; cls-hooked itself
 * slows down each promise (docs/context.md).
 * @param namespace the namespace, or its name, which is looked up at each reading
 * @param keys the values to show: ids and names, never secrets. Strings, numbers and booleans are copied, cut at 200
 * characters. A value named `request` names the site.
 * @example
 *   install({ context: fromClsHooked('my-app', ['requestId']) })
 */
export function fromClsHooked(namespace: ClsNamespace | string, keys: readonly string[]): ContextProvider {
  const chosen = [...keys]
  return {
    name: 'cls-hooked',
    current() {
      const found = typeof namespace === 'string' ? namespacesOfProcess()[namespace] : namespace
      return found === null || found === undefined ? null : readKeys([found], chosen)
    },
  }
}

// `context: 'cls-hooked'`: the well-known ids of each namespace.
// Throws `SLG_ERR_MISSING_PEER` if cls-hooked is neither running nor found from here or the working directory.
export function fromRunningClsHooked(): ContextProvider {
  if (!isClsHookedThere()) {
    throw new SocketLeakGuardError(
      'SLG_ERR_MISSING_PEER',
      'context "cls-hooked" needs the package cls-hooked, which is not installed',
    )
  }
  return {
    name: 'cls-hooked',
    current: () => readKeys(Object.values(namespacesOfProcess()), WELL_KNOWN_KEYS),
  }
}

function readKeys(
  namespaces: readonly (ClsNamespace | null)[],
  keys: readonly string[],
): Readonly<Record<string, string>> | null {
  let values: Record<string, string> | null = null
  for (const namespace of namespaces) {
    if (namespace === null) continue
    for (const key of keys) {
      const value = boundedValue(namespace.get(key))
      if (value !== null) (values ??= {})[key] ??= value
    }
  }
  return values
}

function namespacesOfProcess(): Readonly<Record<string, ClsNamespace | null>> {
  return (process as { namespaces?: Record<string, ClsNamespace | null> }).namespaces ?? {}
}

function isClsHookedThere(): boolean {
  if ('namespaces' in process) return true
  return [import.meta.url, join(process.cwd(), 'package.json')].some((from) => {
    try {
      process.getBuiltinModule('node:module').createRequire(from).resolve('cls-hooked')
      return true
    } catch {
      return false
    }
  })
}
