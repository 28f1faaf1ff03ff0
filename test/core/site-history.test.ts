import t from 'tap'
import { createSiteHistory } from '../../src/core/site-history.js'

const MINUTE = 60_000

t.test('growth is per hour, net of what healed', async (t) => {
  const history = createSiteHistory()
  for (let i = 0; i < 60; i += 1) history.leaked('GET /a', i * MINUTE)
  for (let i = 0; i < 20; i += 1) history.healed('GET /a', 59 * MINUTE)
  const { leakedTotal, growthPerHour } = history.trendOf('GET /a', 60 * MINUTE - 1)
  t.equal(leakedTotal, 60)
  t.equal(growthPerHour, 40)
  t.equal(history.growthPerHour(60 * MINUTE - 1), 40)
})

t.test('what is older than an hour no longer counts as growth', async (t) => {
  const history = createSiteHistory()
  for (let i = 0; i < 10; i += 1) history.leaked('GET /a', 1)
  t.match(history.trendOf('GET /a', 3 * 60 * MINUTE), { leakedTotal: 10, growthPerHour: 0 })
})

t.test('a burst within the first minute is not blown up', async (t) => {
  const history = createSiteHistory()
  history.leaked('GET /a', 1)
  t.equal(history.trendOf('GET /a', 2).growthPerHour, 60)
})

t.test('the number of sites is bounded, the newest stay', async (t) => {
  const history = createSiteHistory()
  for (let i = 0; i < 5000; i += 1) history.leaked(`site ${i}`, i)
  t.equal(history.trendOf('site 4999', 5000).leakedTotal, 1)
  t.equal(history.trendOf('site 0', 5000).leakedTotal, 0)
})
