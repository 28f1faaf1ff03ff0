import t from 'tap'
import { BOUNDS_MS, Durations } from '../../src/core/durations.js'

t.test('a bound belongs to its bucket, and each bucket holds the shorter ones too', async (t) => {
  const durations = new Durations()
  t.equal(durations.report().count, 0)
  for (const ms of [0, 100, 101, 86_400_000, 86_400_001]) durations.note(ms)
  const { count, sumMs, buckets } = durations.report()
  t.equal(count, 5)
  t.equal(sumMs, 172_800_202)
  t.same(
    buckets.map(({ atMostMs }) => atMostMs),
    BOUNDS_MS,
  )
  t.same([buckets[0]!.count, buckets[1]!.count, buckets.at(-1)!.count], [2, 3, 4])
})
