import t from 'tap'
import { Levels } from '../../src/guard/levels.js'

const MINUTE = 60_000

/** Noted four times a minute. */
function watch(minutes: number, levelAt: (sample: number) => number): Levels {
  const levels = new Levels(MINUTE, 16, 10, levelAt(0), 0)
  for (let sample = 1; sample <= minutes * 4; sample += 1) levels.note(levelAt(sample), sample * 15_000)
  return levels
}

t.test('what only grows is told, with its rate', async (t) => {
  const levels = watch(12, (sample) => 5 + Math.floor(sample / 2))
  t.equal(levels.isOnlyGrowing(), true)
  t.equal(Math.round(levels.growthPer(MINUTE)!), 2)
})

t.test('nothing is said before it has been watched for long enough', async (t) => {
  const levels = watch(9, (sample) => sample)
  t.equal(levels.isOnlyGrowing(), false)
  t.equal(levels.growthPer(MINUTE), null)
})

t.test('what comes and goes does not hide what stays', async (t) => {
  const levels = watch(12, (sample) => Math.floor(sample / 2) + (sample % 4 === 0 ? 0 : (sample * 7) % 30))
  t.equal(levels.isOnlyGrowing(), true)
  t.equal(Math.round(levels.growthPer(MINUTE)!), 2)
})

t.test('what grew and stays, falls, or gains little is not growing', async (t) => {
  t.equal(watch(15, (sample) => Math.min(sample, 12)).isOnlyGrowing(), false, 'a pool that was filled')
  t.equal(watch(15, (sample) => (sample < 40 ? sample : 30)).isOnlyGrowing(), false, 'fell')
  t.equal(watch(15, (sample) => Math.floor(sample / 8)).isOnlyGrowing(), false, 'one in two minutes')
  t.equal(watch(15, () => 500).isOnlyGrowing(), false, 'many, and always as many')
})

t.test(
  'a slot without a note has the level of the last one, and what is older than the ring is forgotten',
  async (t) => {
    const levels = new Levels(MINUTE, 16, 10, 3, 0)
    levels.note(9, 30 * MINUTE)
    t.equal(levels.growthPer(MINUTE), 0)
    levels.note(9, 31 * MINUTE)
    t.equal(levels.growthPer(MINUTE), 6 / 15)
    levels.note(9, 1000 * MINUTE)
    t.equal(levels.growthPer(MINUTE), 0)
  },
)
