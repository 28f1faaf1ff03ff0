/** One unref'd timer for everything that has to be done to a server now and then. */
import { clearTimeout, messageOf, monotonicMs, setTimeout, warnOnce } from '../src/adapter-kit.js'

export interface Chore {
  /** How long until it is done for the first time. */
  readonly delayMs: number
  /** @returns how long until it is to be done again, in milliseconds */
  run(nowMs: number): number
}

/**
 * @param isActive asked before each round: once it says no, nothing is done any more
 * @returns what stops it
 */
export function startChores(chores: readonly (Chore | null)[], isActive: () => boolean): () => void {
  const startedMs = monotonicMs()
  const entries = chores
    .filter((chore) => chore !== null)
    .map((chore) => ({ chore, dueMs: startedMs + chore.delayMs }))
  let timer: NodeJS.Timeout | null = null

  function schedule(): void {
    const nextMs = Math.min(...entries.map(({ dueMs }) => dueMs))
    timer = setTimeout(doChores, Math.max(1, nextMs - monotonicMs())).unref()
  }

  function doChores(): void {
    if (!isActive()) return
    for (const entry of entries) {
      const nowMs = monotonicMs()
      if (nowMs < entry.dueMs) continue
      // Should it throw, it comes again after its first delay.
      entry.dueMs = nowMs + entry.chore.delayMs
      try {
        entry.dueMs = nowMs + entry.chore.run(nowMs)
      } catch (error) {
        warnOnce('SLG_WARN_INTERNAL', `looking after a server failed: ${messageOf(error)}`)
      }
    }
    schedule()
  }

  if (entries.length > 0) schedule()
  return function stopChores() {
    if (timer !== null) clearTimeout(timer)
  }
}
