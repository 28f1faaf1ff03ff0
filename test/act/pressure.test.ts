import t from 'tap'
import fc from 'fast-check'
import { graceUnderPressure, overload, pressureOf, reclaimOrder } from '../../src/act/pressure.js'

const SETTINGS = { from: 0.7, to: 0.9, floorMs: 1000, maxSuspects: null }

t.test('grace shrinks in straight proportion, down to the floor', async (t) => {
  const table: [number, number][] = [
    [0, 60_000],
    [0.7, 60_000],
    [0.75, 45_250],
    [0.8, 30_500],
    [0.9, 1000],
    [1, 1000],
  ]
  for (const [usage, expected] of table) {
    const pressure = pressureOf({ usage, suspects: 0 }, SETTINGS)
    t.equal(graceUnderPressure(60_000, pressure, SETTINGS), expected, `at ${usage}`)
  }
})

t.test('never longer than asked for, never below the floor, never above what it was', async () => {
  fc.assert(
    fc.property(fc.nat(100_000), fc.double({ min: 0, max: 2, noNaN: true }), (graceMs, usage) => {
      const pressure = pressureOf({ usage, suspects: 0 }, SETTINGS)
      const shrunk = graceUnderPressure(graceMs, pressure, SETTINGS)
      return shrunk <= graceMs && shrunk >= Math.min(graceMs, SETTINGS.floorMs)
    }),
  )
})

t.test('too many suspects are pressure too', async (t) => {
  const settings = { ...SETTINGS, maxSuspects: 10 }
  t.equal(pressureOf({ usage: null, suspects: 10 }, settings), 0)
  t.equal(pressureOf({ usage: null, suspects: 11 }, settings), 1)
  t.equal(overload({ usage: null, suspects: 13 }, null, settings), 3)
  t.equal(overload({ usage: 0.95, suspects: 0 }, 1000, SETTINGS), 50)
})

t.test('dead first, then fin-wait, then eof-ignored, then others; the oldest first', async (t) => {
  const order = [
    { condition: 'write-stalled', disconnected: false, sinceMs: 1 },
    { condition: 'eof-ignored', disconnected: false, sinceMs: 9 },
    { condition: 'eof-ignored', disconnected: false, sinceMs: 2 },
    { condition: 'fin-wait', disconnected: false, sinceMs: 5 },
    { condition: 'closed-unread', disconnected: true, sinceMs: 8 },
  ] as const
  t.same(
    [...order].sort(reclaimOrder).map(({ sinceMs }) => sinceMs),
    [8, 5, 2, 9, 1],
  )
})
