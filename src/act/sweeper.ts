/** Runs sweeps on one timer, in slices of about a millisecond. The timers do not keep the process alive. */
import type { RunDetached } from '../base/detached.js'
import type { SweepsReport } from '../core/report.js'
import { clearTimeout, monotonicMs, setTimeout } from '../base/real-time.js'

const SLICE_MS = 1
// Timers of one length hang on one list (lib/internal/timers.js `insert`), so `util.inspect` of a socket with a
// limit of 5000 ms, as of Node's HTTP servers, would show this timer beside its own.
const OFF_THE_ROUND_MS = 1
const GLANCE_MS = 2
const STALL_MS = 100

export interface Pass {
  step(): boolean
}

export function inTurn(first: Pass, second: Pass): Pass {
  let isFirst = true
  return {
    step() {
      if (isFirst && !first.step()) isFirst = false
      return isFirst || second.step()
    },
  }
}

export interface SweeperHooks {
  readonly runDetached: RunDetached
  begin(asksKernel: boolean): Pass
  nextDelayMs(): number
  onStall(blockedMs: number): void
  onFailure(error: unknown): void
}

export interface Sweeper {
  sweepNow(): void
  glance(): void
  hurry(delayMs: number): void
  spent(): SweepsReport
  stop(): void
}

export function startSweeper(hooks: SweeperHooks): Sweeper {
  let timer: NodeJS.Timeout | null = null
  let dueMs = 0
  let slice: NodeJS.Timeout | null = null
  let sliceDueMs = 0
  let excusedMs = 0
  let pass: Pass | null = null
  let isGlance = false
  let stopped = false
  let sweeps = 0
  let totalMs = 0
  let longestMs = 0

  function schedule(delayMs: number): void {
    if (stopped) return
    if (timer !== null) clearTimeout(timer)
    dueMs = monotonicMs() + delayMs
    timer = hooks.runDetached(setTimeout, onTimer, delayMs + OFF_THE_ROUND_MS).unref()
  }

  function onTimer(): void {
    const isLate = excuse(dueMs)
    timer = null
    if (pass !== null) return
    // Timers come before I/O: first deliver the input that arrived meanwhile.
    if (isLate) continueSoon()
    else runSlice()
  }

  /** What is late has waited for a blocked loop; that time is excused once. */
  function excuse(sinceMs: number): boolean {
    const nowMs = monotonicMs()
    const blockedMs = nowMs - Math.max(sinceMs, excusedMs)
    if (blockedMs < STALL_MS) return false
    excusedMs = nowMs
    hooks.onStall(blockedMs)
    return true
  }

  function excuseCaller(): void {
    if (timer !== null) excuse(dueMs)
    if (slice !== null) excuse(sliceDueMs)
  }

  /** An unref'd immediate would not wake a loop that waits for I/O. */
  function continueSoon(): void {
    sliceDueMs = monotonicMs() + 1
    slice = hooks.runDetached(setTimeout, onSlice, 1).unref()
  }

  function onSlice(): void {
    excuse(sliceDueMs)
    runSlice()
  }

  function runSlice(sliceMs = SLICE_MS): void {
    const begunMs = monotonicMs()
    runSteps(begunMs + sliceMs)
    noteSpent(begunMs)
  }

  function noteSpent(begunMs: number): void {
    const spentMs = monotonicMs() - begunMs
    totalMs += spentMs
    longestMs = Math.max(longestMs, spentMs)
  }

  function runSteps(until: number): void {
    slice = null
    try {
      if (pass === null) {
        isGlance = false
        pass = hooks.begin(true)
      }
      const current = pass
      for (;;) {
        const begunMs = monotonicMs()
        const isMore = current.step()
        // A listener may have stopped the guard or asked for a sweep.
        if (pass !== current) return
        const wasBlocked = excuse(begunMs)
        if (!isMore) {
          finish()
          return
        }
        if (wasBlocked || monotonicMs() >= until) break
      }
    } catch (error) {
      hooks.onFailure(error)
      finish()
      return
    }
    continueSoon()
  }

  /** A glance does not replace a due sweep, however often reports are asked for. */
  function finish(): void {
    pass = null
    if (!isGlance) sweeps += 1
    if (isGlance && timer !== null) hurry(hooks.nextDelayMs())
    else schedule(isGlance ? 1 : hooks.nextDelayMs())
  }

  function runThrough(whole: Pass): void {
    const from = monotonicMs()
    sweeps += 1
    try {
      for (let isMore = true; isMore && !stopped;) {
        const begunMs = monotonicMs()
        isMore = whole.step()
        excuse(begunMs)
      }
    } catch (error) {
      hooks.onFailure(error)
    }
    noteSpent(from)
  }

  function hurry(delayMs: number): void {
    if (!stopped && pass === null && timer !== null && monotonicMs() + delayMs < dueMs) schedule(delayMs)
  }

  schedule(hooks.nextDelayMs())

  return {
    sweepNow() {
      if (stopped) return
      excuseCaller()
      if (slice !== null) clearTimeout(slice)
      slice = null
      pass = null
      runThrough(hooks.begin(true))
      schedule(hooks.nextDelayMs())
    },
    glance() {
      // A running pass is fresh enough; restarting it could keep it from its end.
      if (stopped || pass !== null) return
      excuseCaller()
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
    spent: () => ({ count: sweeps, totalMs: Math.round(totalMs * 1000) / 1000, longestMs }),
    stop() {
      stopped = true
      if (timer !== null) clearTimeout(timer)
      if (slice !== null) clearTimeout(slice)
      pass = null
    },
  }
}

/** Runs in a timer, where an error would end the process and skip the other chores. */
export function doEach(chores: readonly (() => void)[], onFailure: (error: unknown) => void): void {
  for (const chore of chores) {
    try {
      chore()
    } catch (error) {
      onFailure(error)
    }
  }
}
