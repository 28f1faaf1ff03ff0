/**
 * One guard per process (in truth per thread: a worker has its own `globalThis`), even when several copies of the
 * package are loaded: the place is found under a registered symbol.
 */
import type { Guard } from './guard.js'

const SLOT = Symbol.for('socket-leak-guard/guard/v1')

interface Place {
  [SLOT]?: Guard | undefined
}

/** The guard of this process, or `null` when none is installed. */
export function installedGuard(): Guard | null {
  return (globalThis as Place)[SLOT] ?? null
}

export function registerGuard(guard: Guard | null): void {
  Object.defineProperty(globalThis, SLOT, {
    value: guard ?? undefined,
    writable: true,
    configurable: true,
    enumerable: false,
  })
}
