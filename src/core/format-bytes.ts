const UNITS = ['B', 'KB', 'MB', 'GB', 'TB'] as const

/** Bytes for people: `0 B`, `84 KB`, `3.9 MB` (1 KB = 1024 B). */
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
