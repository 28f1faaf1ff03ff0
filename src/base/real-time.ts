/**
 * Time as it really passes. The guard runs inside test suites, next to fake clocks (sinon, jest, `mock.timers`): what
 * they put in the place of these functions later must neither stop the guard nor make it believe that an hour has
 * gone by, after which it would act. So they are taken here, once, when the package is loaded.
 */
import timers from 'node:timers'

export const { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, clearImmediate } = timers

const { hrtime } = process

/** Milliseconds on the monotonic clock. Not `performance.now()`, for which Node would load modules at start. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = hrtime()
  return seconds * 1e3 + nanoseconds / 1e6
}
