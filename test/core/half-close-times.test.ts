import t from 'tap'
import { createHalfCloseTimes } from '../../src/core/half-close-times.js'

t.test('says nothing without samples', async (t) => {
  t.same(createHalfCloseTimes().report(), { samples: 0, p999Ms: null, suggestedGraceMs: null })
})

t.test('suggests nothing from a handful', async (t) => {
  const times = createHalfCloseTimes()
  for (let i = 0; i < 999; i += 1) times.add(5)
  t.equal(times.report().suggestedGraceMs, null)
  times.add(5)
  t.equal(times.report().suggestedGraceMs, 1000, 'never less than a second')
})

t.test('the p99.9 is an upper bound, a quarter too wide at the most', async (t) => {
  for (const slowMs of [3, 40, 900, 12_345, 7_200_000]) {
    const times = createHalfCloseTimes()
    for (let i = 0; i < 9980; i += 1) times.add(1)
    for (let i = 0; i < 20; i += 1) times.add(slowMs)
    const { p999Ms, suggestedGraceMs } = times.report()
    t.ok(p999Ms! >= slowMs && p999Ms! <= Math.ceil(slowMs * 1.25), `${slowMs} ms: ${p999Ms}`)
    t.equal(suggestedGraceMs, Math.max(1000, 2 * p999Ms!))
  }
})
