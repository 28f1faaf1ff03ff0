/** One guard per thread, also where several copies of the package are loaded. */
import type { Guard } from './guard.js'
import { readProcessWide, writeProcessWide } from './process-wide.js'

/** The guard of this process, or `null` when none is installed. */
export function installedGuard(): Guard | null {
  return (readProcessWide('guard') as Guard | undefined) ?? null
}

export function registerGuard(guard: Guard | null): void {
  writeProcessWide('guard', guard ?? undefined)
}
