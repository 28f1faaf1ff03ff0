// Real time. Fake clocks (sinon, jest, `mock.timers`) replace these functions later, which must neither stop the guard
// nor end a grace early, so they are read when the package loads.
import timers from 'node:timers'

export const { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, clearImmediate } = timers

const { hrtime } = process

/** `performance.now()` would load modules at start. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = hrtime()
  return seconds * 1e3 + nanoseconds / 1e6
}
