import t from 'tap'
import { createSiteHistory } from '../../src/guard/site-history.js'

const MINUTE = 60_000

t.test('growth is per hour, net of what healed', async (t) => {
  const history = createSiteHistory()
  for (let i = 0; i < 60; i += 1) history.leaked(i, 'GET /a', i * MINUTE)
  for (let i = 0; i < 20; i += 1) history.healed(i, 'application', 59 * MINUTE)
  const { leakedTotal, growthPerHour } = history.trendOf('GET /a', 60 * MINUTE - 1)
  t.equal(leakedTotal, 60)
  t.equal(growthPerHour, 40)
  t.equal(history.growthPerHour(60 * MINUTE - 1), 40)
})

t.test('what is older than an hour no longer counts as growth', async (t) => {
  const history = createSiteHistory()
  for (let i = 0; i < 10; i += 1) history.leaked(i, 'GET /a', 1)
  t.match(history.trendOf('GET /a', 3 * 60 * MINUTE), { leakedTotal: 10, growthPerHour: 0 })
})

t.test('a burst within the first minute is not blown up', async (t) => {
  const history = createSiteHistory()
  history.leaked(1, 'GET /a', 1)
  t.equal(history.trendOf('GET /a', 2).growthPerHour, 60)
})

t.test('the number of sites is bounded, the newest stay', async (t) => {
  const history = createSiteHistory()
  for (let i = 0; i < 5000; i += 1) history.leaked(i, `site ${i}`, i)
  t.equal(history.trendOf('site 4999', 5000).leakedTotal, 1)
  t.equal(history.trendOf('site 0', 5000).leakedTotal, 0)
  history.healed(0, 'application', 5000)
  t.same(history.healedSites(5000), [], 'what is forgotten stays so')
})

t.test('a socket that never leaked does not make growth negative', async (t) => {
  const history = createSiteHistory()
  history.leaked(1, 'GET /a', 1)
  history.healed(2, 'guard', 1)
  history.healed(1, 'application', 1)
  history.healed(1, 'application', 1)
  t.match(history.trendOf('GET /a', 2), { leakedTotal: 1, growthPerHour: 0 })
})

t.test('a site has healed when none of its sockets is leaked any more', async (t) => {
  const history = createSiteHistory()
  for (const id of [1, 2, 3]) history.leaked(id, 'upgrade /chat', 0)
  // Exempt in between, and told again.
  history.leaked(3, 'upgrade /chat', 0)
  history.leaked(4, 'GET /a', 0)
  history.healed(1, 'application', MINUTE)
  history.healed(2, 'guard', MINUTE)
  t.same(history.healedSites(MINUTE), [], 'one is left')
  history.healed(3, 'application', 2 * MINUTE)
  const healed = { site: 'upgrade /chat', leakedTotal: 3, reclaimed: 1, healedMs: MINUTE }
  t.same(history.healedSites(3 * MINUTE), [healed])
  history.healed(4, 'application', 3 * MINUTE)
  t.same(
    history.healedSites(3 * MINUTE).map(({ site }) => site),
    ['GET /a', 'upgrade /chat'],
    'the latest first',
  )
  t.same(
    history.healedSites(62 * MINUTE).map(({ site }) => site),
    ['GET /a'],
    'for an hour',
  )
  history.leaked(5, 'GET /a', 62 * MINUTE)
  t.same(history.healedSites(62 * MINUTE), [], 'until it leaks again')
})

t.test('as time series, the first 20 sites keep their numbers and the rest is one', async (t) => {
  const history = createSiteHistory()
  t.same(history.measures(), [])
  history.leaked(1, 'GET /a', 0)
  t.same(history.measures(), [{ site: 'GET /a', leakedTotal: 1, leaked: 1 }], 'no other yet')
  // Enough for GET /a to be forgotten elsewhere.
  for (let i = 2; i < 2002; i += 1) history.leaked(i, `site ${i}`, i)
  t.equal(history.trendOf('GET /a', 3000).leakedTotal, 0)
  history.leaked(5000, 'GET /a', 3000)
  history.healed(1, 'guard', 3001)
  history.healed(1999, 'application', 3002)
  const measures = history.measures()
  t.equal(measures.length, 21)
  t.same(measures[0], { site: 'GET /a', leakedTotal: 2, leaked: 1 })
  t.same(measures.at(-1), { site: 'other', leakedTotal: 1981, leaked: 1980 })
})
