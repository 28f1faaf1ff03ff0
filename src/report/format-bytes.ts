const UNITS = ['KiB', 'MiB', 'GiB', 'TiB'] as const

/** An amount of bytes in binary units with one decimal, rounded down: `0 B`, `1023 B`, `1.5 KiB`, `64.0 MiB`. */
export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes)) return 'unknown'
  const amount = Math.max(0, bytes)
  if (amount < 1024) return `${Math.floor(amount)} B`
  let value = amount / 1024
  let unit = 0
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${(Math.floor(value * 10) / 10).toFixed(1)} ${UNITS[unit]}`
}
