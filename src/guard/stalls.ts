import type { StallReport } from '../core/report.js'

export interface StallLog {
  note(blockedMs: number, nowMs: number): void
  report(nowMs: number): StallReport
}

export function createStallLog(): StallLog {
  let count = 0
  let longestMs = 0
  let lastMs = 0
  let lastAtMs: number | null = null
  return {
    note(blockedMs, nowMs) {
      count += 1
      lastMs = Math.round(blockedMs)
      longestMs = Math.max(longestMs, lastMs)
      lastAtMs = nowMs
    },
    report: (nowMs) => ({
      count,
      longestMs,
      lastMs,
      lastEndedMs: lastAtMs === null ? null : nowMs - lastAtMs,
    }),
  }
}
