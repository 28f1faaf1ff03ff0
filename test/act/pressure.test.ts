import t from 'tap'
import fc from 'fast-check'
import {
  createPressureWatch,
  graceUnderPressure,
  overload,
  pressureOf,
  reclaimOrder,
} from '../../src/act/pressure.js'
import { Ledger } from '../../src/core/ledger.js'
import { blankTrouble } from '../../src/judge/trouble.js'
import type { SocketRecord } from '../../src/socket/record.js'

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
  t.equal(overload({ usage: 0.95, suspects: 0 }, 1000, SETTINGS), 250, 'down to where the pressure begins')
  t.equal(overload({ usage: 0.89, suspects: 0 }, 1000, SETTINGS), 0)
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

/** A process whose only descriptors are sockets: each is half-closed, and a suspect once somebody has looked. */
function floodedProcess(settings: typeof SETTINGS | null, softLimit: number) {
  const ledger = new Ledger<SocketRecord>()
  const counted: number[] = []
  const hurries: number[] = []
  const watch = createPressureWatch(settings, {
    ledger,
    countDescriptors() {
      counted.push(ledger.size)
      return { open: ledger.size, softLimit }
    },
    reclaim: (record) => ledger.remove(record),
    hurry: (delayMs) => hurries.push(delayMs),
  })
  let nowMs = 0
  return {
    watch,
    ledger,
    counted,
    hurries,
    accept(verdict: 'suspect' | 'none' = 'suspect') {
      nowMs += 10
      const trouble = { ...blankTrouble(nowMs), condition: 'eof-ignored', verdict } as const
      ledger.add({ index: -1, isExempt: false, trouble } as unknown as SocketRecord)
      watch.onDescriptor(ledger.size - 1)
    },
  }
}

t.test('a flood is met at the upper mark, without a sweep, and down to the lower one', async (t) => {
  const { watch, ledger, counted, hurries, accept } = floodedProcess(SETTINGS, 1000)
  t.same(counted, [0], 'the limit has to be known')
  for (let i = 0; i < 699; i += 1) accept()
  t.equal(counted.length, 1, 'below the lower mark nobody counts')
  for (let i = 0; i < 200; i += 1) accept()
  t.ok(counted.length > 4 && counted.length < 12, `${counted.length} counts on the way to the top`)
  t.ok(hurries.length > 4 && hurries.every((delayMs) => delayMs < 100), 'and as many looks')
  t.equal(ledger.size, 899)
  for (let i = 0; i < 2; i += 1) accept()
  t.ok(ledger.size <= 701, `${ledger.size} are left`)
  t.equal(watch.report().reclaimed + ledger.size, 901)
  for (let i = 0; i < 5000; i += 1) accept()
  t.ok(ledger.size < 910)
})

t.test('a flood of which nobody is a suspect is not counted at each connection', async (t) => {
  const { counted, accept } = floodedProcess({ ...SETTINGS, from: 0.1, to: 0.2 }, 10_000)
  for (let i = 0; i < 9000; i += 1) accept('none')
  t.ok(counted.length < 40, `${counted.length} counts`)
})

t.test('without pressure a new socket costs two comparisons', async (t) => {
  const { counted, accept } = floodedProcess(null, 100)
  for (let i = 0; i < 100; i += 1) accept()
  t.same(counted, [])
})
