/**
 * One timer for everything. A pass walks in slices of about a millisecond, so that it never holds the event loop for
 * long, and neither the timer nor the slices keep the process alive.
 */
import { clearImmediate, clearTimeout, monotonicMs, setImmediate, setTimeout } from '../real-time.js'

const SLICE_MS = 1
/** A timer that is this late tells of a blocked event loop, not of an ordinary busy one. */
const STALL_MS = 100
/** How many steps are taken between two looks at the clock. */
const STEPS_PER_LOOK = 64

/** A pass in progress: `step()` does a small piece and returns false when there is nothing left. */
export interface Pass {
  step(): boolean
}

export interface SweeperHooks {
  begin(): Pass
  /** After every pass: how long to wait for the next one. */
  nextDelayMs(): number
  /** The timer came this much too late: the event loop was blocked. Called before the pass begins. */
  onStall(blockedMs: number): void
  /** A pass threw; it is given up and the next one is scheduled. */
  onFailure(error: unknown): void
}

export interface Sweeper {
  /** Runs a whole pass now, in one go; a sliced pass under way is given up. */
  sweepNow(): void
  /** Brings the next pass forward when it is further away than this. */
  hurry(delayMs: number): void
  stop(): void
}

export function startSweeper(hooks: SweeperHooks): Sweeper {
  let timer: NodeJS.Timeout | null = null
  let dueMs = 0
  let slice: NodeJS.Immediate | null = null
  let pass: Pass | null = null
  let stopped = false

  function schedule(delayMs: number): void {
    if (stopped) return
    if (timer !== null) clearTimeout(timer)
    dueMs = monotonicMs() + delayMs
    timer = setTimeout(onTimer, delayMs).unref()
  }

  function onTimer(): void {
    timer = null
    const lateMs = performance.now() - dueMs
    if (lateMs < STALL_MS) {
      if (pass === null) runSlice()
      return
    }
    hooks.onStall(lateMs)
    // Timers come before I/O: what arrived during the stall is delivered first, and only then judged.
    slice = setImmediate(runSlice)
    slice.unref()
  }

  function runSlice(): void {
    slice = null
    const until = monotonicMs() + SLICE_MS
    try {
      pass ??= hooks.begin()
      for (;;) {
        for (let i = 0; i < STEPS_PER_LOOK; i += 1) {
          if (!pass.step()) {
            pass = null
            schedule(hooks.nextDelayMs())
            return
          }
        }
        if (monotonicMs() >= until) break
      }
    } catch (error) {
      pass = null
      hooks.onFailure(error)
      schedule(hooks.nextDelayMs())
      return
    }
    slice = setImmediate(runSlice)
    slice.unref()
  }

  schedule(hooks.nextDelayMs())

  return {
    sweepNow() {
      if (stopped) return
      if (slice !== null) clearImmediate(slice)
      slice = null
      pass = hooks.begin()
      try {
        while (pass.step());
      } catch (error) {
        hooks.onFailure(error)
      }
      pass = null
      schedule(hooks.nextDelayMs())
    },
    hurry(delayMs) {
      if (!stopped && pass === null && timer !== null && monotonicMs() + delayMs < dueMs) schedule(delayMs)
    },
    stop() {
      stopped = true
      if (timer !== null) clearTimeout(timer)
      if (slice !== null) clearImmediate(slice)
      pass = null
    },
  }
}
