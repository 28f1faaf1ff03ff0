const SECOND_MS = 1000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/**
 * A span of time in at most two units: `850ms`, `12s`, `1m 30s`, `3h 5m`, `2d 4h`.
 * Rounds down, so that an age is never overstated. What is no span reads `unknown`.
 */
export function formatDuration(ms: number): string {
  if (!Number.isFinite(ms)) return 'unknown'
  const spanMs = Math.max(0, ms)
  if (spanMs < SECOND_MS) return spanMs < 1 ? '0s' : `${Math.floor(spanMs)}ms`
  if (spanMs < MINUTE_MS) return `${Math.floor(spanMs / SECOND_MS)}s`
  if (spanMs < HOUR_MS) return twoUnits(spanMs, MINUTE_MS, 'm', SECOND_MS, 's')
  if (spanMs < DAY_MS) return twoUnits(spanMs, HOUR_MS, 'h', MINUTE_MS, 'm')
  return twoUnits(spanMs, DAY_MS, 'd', HOUR_MS, 'h')
}

function twoUnits(spanMs: number, largeMs: number, large: string, smallMs: number, small: string): string {
  const rest = Math.floor((spanMs % largeMs) / smallMs)
  const first = `${Math.floor(spanMs / largeMs)}${large}`
  return rest === 0 ? first : `${first} ${rest}${small}`
}
