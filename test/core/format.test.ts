import fc from 'fast-check'
import t from 'tap'
import { formatBytes, formatDuration } from '../../src/core/format.js'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

t.test('durations have two units at the most', async (t) => {
  const table: readonly [ms: number, text: string][] = [
    [-5, '0 ms'],
    [0, '0 ms'],
    [0.4, '0 ms'],
    [350, '350 ms'],
    [999, '999 ms'],
    [999.6, '999 ms'],
    [1000, '1 s'],
    [1999, '1 s'],
    [59_999, '59 s'],
    [MINUTE, '1 min'],
    [MINUTE + 30 * SECOND, '1 min 30 s'],
    [HOUR - 1, '59 min 59 s'],
    [HOUR, '1 h'],
    [HOUR + 59 * SECOND, '1 h'],
    [3 * HOUR + 5 * MINUTE, '3 h 5 min'],
    [DAY - 1, '23 h 59 min'],
    [DAY, '1 d'],
    [2 * DAY + 4 * HOUR + 59 * MINUTE, '2 d 4 h'],
    [400 * DAY, '400 d'],
  ]
  for (const [ms, text] of table) t.equal(formatDuration(ms), text, `${ms}`)
})

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: SECOND, min: MINUTE, h: HOUR, d: DAY }

const durationMs = fc.oneof(
  fc.double({ min: 0, max: 1000, noNaN: true }),
  fc.double({ min: 0, max: 1000 * DAY, noNaN: true }),
)

t.test('a duration is never claimed to be longer than it was', async () => {
  fc.assert(
    fc.property(durationMs, (ms) => {
      const words = formatDuration(ms).split(' ')
      let claimed = 0
      for (let i = 0; i < words.length; i += 2) claimed += Number(words[i]) * UNIT_MS[words[i + 1]!]!
      const smallest = UNIT_MS[words.at(-1)!]!
      // What is left out is less than the unit after the last one that may show.
      const room = words.length === 4 ? smallest : smallest === 1 ? 1 : Math.max(1000, smallest)
      return claimed <= ms && ms - claimed < room
    }),
  )
})

t.test('bytes have three digits or four', async (t) => {
  const table: readonly [bytes: number, text: string][] = [
    [-1, '0 B'],
    [0, '0 B'],
    [1, '1 B'],
    [1023, '1023 B'],
    [1024, '1.0 KB'],
    [1536, '1.5 KB'],
    [86_016, '84 KB'],
    [1024 * 9.94, '9.9 KB'],
    [1024 * 9.96, '10 KB'],
    [1024 * 1023, '1023 KB'],
    [1024 * 1024 - 1, '1.0 MB'],
    [3.9 * 1024 ** 2, '3.9 MB'],
    [1024 ** 3, '1.0 GB'],
    [1024 ** 4, '1.0 TB'],
    [5000 * 1024 ** 4, '5000 TB'],
  ]
  for (const [bytes, text] of table) t.equal(formatBytes(bytes), text, `${bytes}`)
})

const UNIT_BYTES: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1024,
  MB: 1024 ** 2,
  GB: 1024 ** 3,
  TB: 1024 ** 4,
}

t.test('bytes are right within five percent, and half a byte', async () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 2 ** 52, noNaN: true }), (bytes) => {
      const match = /^(\d{1,4}(?:\.\d)?) (B|KB|MB|GB|TB)$/.exec(formatBytes(bytes))
      if (match === null) return false
      const shown = Number(match[1]) * UNIT_BYTES[match[2]!]!
      return Math.abs(shown - bytes) <= Math.max(0.5, bytes * 0.05)
    }),
  )
})
