/** At most two units: `350 ms`, `12 s`, `1 min 30 s`, `3 h 5 min`, `2 d 4 h`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.floor(ms))} ms`
  const seconds = Math.floor(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return pair(seconds, 60, 'min', 's')
  if (seconds < 86_400) return pair(Math.floor(seconds / 60), 60, 'h', 'min')
  return pair(Math.floor(seconds / 3600), 24, 'd', 'h')
}

function pair(small: number, perBig: number, bigUnit: string, smallUnit: string): string {
  const big = Math.floor(small / perBig)
  const rest = small % perBig
  return rest === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${rest} ${smallUnit}`
}

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB'] as const

/** `0 B`, `84 KB`, `3.9 MB` (1 KB = 1024 B). */
export function formatBytes(bytes: number): string {
  let value = Math.max(0, bytes)
  let unit = 0
  while (value >= 1023.5 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  const digits = unit > 0 && value < 9.95 ? value.toFixed(1) : String(Math.round(value))
  return `${digits} ${UNITS[unit]}`
}
