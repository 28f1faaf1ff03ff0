import fc from 'fast-check'
import t from 'tap'
import { formatBytes } from '../../src/report/format-bytes.js'
import { formatDuration } from '../../src/report/format-duration.js'
import { formatInstant } from '../../src/report/format-instant.js'

t.test('durations have at most two units and are rounded down', async (t) => {
  const table: Array<[number, string]> = [
    [0, '0s'],
    [0.4, '0s'],
    [1, '1ms'],
    [999.9, '999ms'],
    [1000, '1s'],
    [59_999, '59s'],
    [60_000, '1m'],
    [90_000, '1m 30s'],
    [3_599_999, '59m 59s'],
    [3_600_000, '1h'],
    [11_100_000, '3h 5m'],
    [86_399_999, '23h 59m'],
    [86_400_000, '1d'],
    [187_200_000, '2d 4h'],
    [-5, '0s'],
    [NaN, 'unknown'],
    [Infinity, 'unknown'],
  ]
  for (const [ms, text] of table) t.equal(formatDuration(ms), text, `${ms} ms`)
})

t.test('a duration never overstates an age', async (t) => {
  const unitMs: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e13, noNaN: true }), (ms) => {
      const parts = formatDuration(ms)
        .split(' ')
        .map((part) => /^(\d+)([a-z]+)$/.exec(part) ?? [])
      const shownMs = parts.reduce(
        (sum, [, count, unit]) => sum + Number(count) * (unitMs[unit ?? ''] ?? NaN),
        0,
      )
      return parts.length <= 2 && shownMs <= ms
    }),
  )
  t.pass()
})

t.test('bytes have binary units and never reach 1024 of one', async (t) => {
  const table: Array<[number, string]> = [
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1536, '1.5 KiB'],
    [1024 ** 2 - 1, '1023.9 KiB'],
    [1024 ** 2, '1.0 MiB'],
    [5 * 1024 ** 3, '5.0 GiB'],
    [3 * 1024 ** 5, '3072.0 TiB'],
    [-1, '0 B'],
    [NaN, 'unknown'],
  ]
  for (const [bytes, text] of table) t.equal(formatBytes(bytes), text, `${bytes} B`)
})

t.test('an instant loses its fraction, anything else stays', async (t) => {
  t.equal(formatInstant('2026-02-03T14:05:06.789Z'), '2026-02-03 14:05:06 UTC')
  t.equal(formatInstant('2026-02-03T14:05:06Z'), '2026-02-03 14:05:06 UTC')
  t.equal(formatInstant('yesterday'), 'yesterday')
})
