/**
 * Time as it really passes. The guard runs inside test suites, next to fake clocks (sinon, jest, `mock.timers`): what
 * they put in the place of these functions later must neither stop the guard nor make it believe that an hour has
 * gone by, after which it would act. So they are taken here, once, when the package is loaded.
 */
import { performance } from 'node:perf_hooks'
import timers from 'node:timers'

export const { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, clearImmediate } = timers

/** Milliseconds on the monotonic clock. */
export const monotonicMs: () => number = performance.now.bind(performance)
