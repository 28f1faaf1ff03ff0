/**
 * One timer for everything. A pass walks in slices of about a millisecond, so that it never holds the event loop for
 * long, and neither the timer nor the slices keep the process alive.
 */
import type { RunDetached } from '../base/detached.js'
import { clearTimeout, monotonicMs, setTimeout } from '../base/real-time.js'

const SLICE_MS = 1
/** What somebody who asks for a report may have to wait for a quick look; the rest of it follows in slices. */
const GLANCE_MS = 2
/** A timer that is this late tells of a blocked event loop, not of an ordinary busy one. */
const STALL_MS = 100

/** A pass in progress: `step()` does a piece of well under a millisecond and returns false when nothing is left. */
export interface Pass {
  step(): boolean
}

export interface SweeperHooks {
  readonly runDetached: RunDetached
  /** @param asksKernel false: a pass that somebody waits for, and that must be quick */
  begin(asksKernel: boolean): Pass
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
  /** A quick look at the JavaScript fields, for a report that somebody waits for: of thousands, the first ones. */
  glance(): void
  /** Brings the next pass forward when it is further away than this. */
  hurry(delayMs: number): void
  stop(): void
}

export function startSweeper(hooks: SweeperHooks): Sweeper {
  let timer: NodeJS.Timeout | null = null
  let dueMs = 0
  let slice: NodeJS.Timeout | null = null
  let pass: Pass | null = null
  let isGlance = false
  let stopped = false

  function schedule(delayMs: number): void {
    if (stopped) return
    if (timer !== null) clearTimeout(timer)
    dueMs = monotonicMs() + delayMs
    timer = hooks.runDetached(setTimeout, onTimer, delayMs).unref()
  }

  function onTimer(): void {
    timer = null
    const lateMs = monotonicMs() - dueMs
    if (lateMs < STALL_MS) {
      if (pass === null) runSlice()
      return
    }
    hooks.onStall(lateMs)
    // Timers come before I/O: what arrived during the stall is delivered first, and only then judged.
    continueSoon()
  }

  /** A timer, not an immediate: an unref'd immediate does not wake a loop that waits for I/O. */
  function continueSoon(): void {
    slice = hooks.runDetached(setTimeout, () => runSlice(), 1).unref()
  }

  function runSlice(sliceMs = SLICE_MS): void {
    slice = null
    const until = monotonicMs() + sliceMs
    try {
      if (pass === null) {
        isGlance = false
        pass = hooks.begin(true)
      }
      do {
        if (!pass.step()) {
          finish()
          return
        }
      } while (monotonicMs() < until)
    } catch (error) {
      hooks.onFailure(error)
      finish()
      return
    }
    continueSoon()
  }

  /** A glance does not stand for the sweep that is due: whoever asks often must not keep it from its time. */
  function finish(): void {
    pass = null
    if (isGlance && timer !== null) hurry(hooks.nextDelayMs())
    else schedule(isGlance ? 1 : hooks.nextDelayMs())
  }

  function runThrough(whole: Pass): void {
    try {
      while (whole.step());
    } catch (error) {
      hooks.onFailure(error)
    }
  }

  function hurry(delayMs: number): void {
    if (!stopped && pass === null && timer !== null && monotonicMs() + delayMs < dueMs) schedule(delayMs)
  }

  schedule(hooks.nextDelayMs())

  return {
    sweepNow() {
      if (stopped) return
      if (slice !== null) clearTimeout(slice)
      slice = null
      pass = null
      runThrough(hooks.begin(true))
      schedule(hooks.nextDelayMs())
    },
    glance() {
      // A pass under way is fresh enough, and must not be kept from its end by somebody who asks often.
      if (stopped || pass !== null) return
      isGlance = true
      try {
        pass = hooks.begin(false)
      } catch (error) {
        hooks.onFailure(error)
        return
      }
      runSlice(GLANCE_MS)
    },
    hurry,
    stop() {
      stopped = true
      if (timer !== null) clearTimeout(timer)
      if (slice !== null) clearTimeout(slice)
      pass = null
    },
  }
}
