import fc from 'fast-check'
import t from 'tap'
import type { Report, SnapshotQuery, SocketReport } from '../../src/core/report.js'
import { buildReport, DEFAULT_LIMIT, MAX_LIMIT, sitesOf } from '../../src/report/build.js'
import { CONDITIONS, VERDICTS } from '../../src/core/vocabulary.js'
import { partsOf } from './sample-parts.js'
import { KEPT } from './sample-reports.js'
import { ownedBy, rowOf, sampleSocket } from '../core/sample-socket.js'

t.test('what is not listed is not described', async (t) => {
  const described: number[] = []
  const asked: number[] = []
  const rows = [1, 2, 3].map((id) => ({
    ...rowOf(sampleSocket({ id })),
    describe() {
      described.push(id)
      return sampleSocket({ id })
    },
  }))
  function pairs(limit: number): [] {
    asked.push(limit)
    return []
  }
  const parts = { ...partsOf([]), rows, pairs }
  t.equal(buildReport(parts, { limit: 2 }).totals.leaked, 3)
  t.same(described, [1, 2])
  t.same(asked, [2])
  const { totals, sites, conditions, sockets, nextAfter } = buildReport(parts, { limit: 0 })
  t.same([totals.leaked, sites[0]?.count, conditions[0]?.count], [3, 3, 3], 'the numbers are those of all')
  t.same(sockets, [])
  t.equal(nextAfter, null)
  t.same([described.length, asked.length], [2, 1], 'nothing more was asked')
})

t.test('conditions: counts, ages and bytes by verdict', async (t) => {
  const sockets = [
    sampleSocket({ sinceMs: 5, unreadBytes: 1 }),
    sampleSocket({ sinceMs: 9, unreadBytes: 2, unsentBytes: 4 }),
    sampleSocket({ verdict: 'suspect', condition: 'fin-wait', sinceMs: 3 }),
    sampleSocket({ verdict: 'exempt', condition: null, sinceMs: 1 }),
    sampleSocket({ verdict: 'none', condition: 'fin-wait' }),
  ]
  const entry = { count: 1, unreadBytes: 0, unsentBytes: 0 }
  t.same(buildReport(partsOf(sockets), {}).conditions, [
    { condition: 'eof-ignored', verdict: 'leaked', count: 2, oldestMs: 9, unreadBytes: 3, unsentBytes: 4 },
    { ...entry, condition: 'fin-wait', verdict: 'suspect', oldestMs: 3 },
    { ...entry, condition: null, verdict: 'exempt', oldestMs: 1 },
  ])
})

const idsOf = ({ sockets }: { readonly sockets: readonly SocketReport[] }) => sockets.map(({ id }) => id)

t.test('the oldest trouble comes first, then the oldest socket', async (t) => {
  const sockets = [
    sampleSocket({ id: 4, sinceMs: 10 }),
    sampleSocket({ id: 3, sinceMs: 500 }),
    sampleSocket({ id: 2, sinceMs: 10 }),
    sampleSocket({ id: 1, sinceMs: 20 }),
  ]
  t.same(idsOf(buildReport(partsOf(sockets), {})), [3, 1, 2, 4])
  t.same(
    sockets.map(({ id }) => id),
    [4, 3, 2, 1],
    'what was given stays as it is',
  )
})

t.test('a site that has something suspect again has not healed', async (t) => {
  const sockets = [
    sampleSocket({ id: 1, verdict: 'suspect', owner: ownedBy('GET /a') }),
    sampleSocket({ id: 2, verdict: 'recovered', owner: ownedBy('GET /b') }),
  ]
  const healedSites = ['GET /a', 'GET /b', ...Array.from({ length: 30 }, (_, i) => `site ${i}`)].map(
    (site) => ({
      site,
      leakedTotal: 2,
      reclaimed: 0,
      healedMs: 5,
    }),
  )
  const parts = partsOf(sockets)
  const healed = buildReport({ ...parts, gathered: { ...parts.gathered, healedSites } }, {}).healedSites
  t.same(healed, healedSites.slice(1, 21), 'twenty at the most')
})

t.test('healthy sockets are listed when asked for', async (t) => {
  const sockets = VERDICTS.map((verdict, index) => sampleSocket({ id: index + 1, verdict, sinceMs: 0 }))
  const none = VERDICTS.indexOf('none') + 1
  const all = VERDICTS.map((_, index) => index + 1)
  t.same(
    idsOf(buildReport(partsOf(sockets), {})),
    all.filter((id) => id !== none),
  )
  t.same(
    idsOf(buildReport(partsOf(sockets), { all: false })),
    all.filter((id) => id !== none),
  )
  t.same(idsOf(buildReport(partsOf(sockets), { all: true })), all)
  t.same(idsOf(buildReport(partsOf(sockets), { unsettled: true })), all)
})

t.test('filters choose what is listed, and leave the counts alone', async (t) => {
  const to = { direction: 'outbound', remote: { address: '10.0.0.5', port: 443 } } as const
  const sockets = [
    sampleSocket({ id: 1, sinceMs: 900, owner: ownedBy('GET /a') }),
    sampleSocket({
      id: 2,
      sinceMs: 500,
      verdict: 'suspect',
      condition: 'fin-wait',
      owner: ownedBy('GET /a'),
    }),
    sampleSocket({ id: 3, sinceMs: 100, ...to, owner: ownedBy('to 10.0.0.5:443') }),
    sampleSocket({
      id: 4,
      sinceMs: 50,
      verdict: 'none',
      condition: null,
      owner: ownedBy('GET /a'),
      remote: null,
    }),
  ]
  const table: Array<[SnapshotQuery, number[]]> = [
    [{ site: 'GET /a' }, [1, 2]],
    [{ site: 'GET /' }, []],
    [{ site: 'GET /a', all: true }, [1, 2, 4]],
    [{ verdict: 'suspect' }, [2]],
    [{ condition: 'eof-ignored' }, [1, 3]],
    [{ direction: 'outbound' }, [3]],
    [{ minAgeMs: 500 }, [1, 2]],
    [{ peer: '10.0.0.5:4' }, [3]],
    [{ peer: 'nobody', all: true }, []],
    [{ id: 2 }, [2]],
    [{ id: 4 }, [4]],
    [{ id: 5 }, []],
    [{ site: 'GET /a', limit: 1, after: 1 }, [2]],
  ]
  for (const [query, ids] of table) {
    const report = buildReport(partsOf(sockets), query)
    t.same(idsOf(report), ids, JSON.stringify(query))
    t.match(report.totals, { leaked: 2, suspect: 1 })
  }
  t.equal(
    buildReport(partsOf(sockets), { verdict: 'leaked', limit: 2 }).nextAfter,
    null,
    'no page of nothing',
  )
})

t.test('totals: some are now, some since the start', async (t) => {
  const sockets = ['suspect', 'suspect', 'leaked', 'stalled', 'exempt', 'none', 'recovered'].map(
    (verdict, index) => sampleSocket({ id: index, verdict: verdict as SocketReport['verdict'] }),
  )
  const { totals } = buildReport(partsOf(sockets), { limit: 1 })
  t.same(totals, {
    tracked: 99,
    suspect: 2,
    leaked: 1,
    stalled: 1,
    recovered: 2,
    reclaimed: 3,
    dead: 4,
    exempt: 1,
  })
})

t.test('sites that only stall are listed by themselves', async (t) => {
  const sockets = [
    sampleSocket({ id: 1, verdict: 'stalled', condition: 'write-stalled', owner: ownedBy('GET /events') }),
    sampleSocket({ id: 2, verdict: 'leaked', owner: ownedBy('GET /a') }),
  ]
  const { sites, stalledSites } = buildReport(partsOf(sockets), {})
  t.match(sites, [{ site: 'GET /a', count: 1 }])
  t.match(stalledSites, [{ site: 'GET /events', count: 1, conditions: { 'write-stalled': 1 } }])
  t.equal(stalledSites.length, 1)
})

t.test('what is passed on as it is', async (t) => {
  const { schema, generatedAt, process, kernel, stalls } = buildReport(partsOf([]), {})
  t.same(
    { schema, generatedAt, process, kernel, stalls },
    {
      schema: 'socket-leak-guard/report/v1',
      generatedAt: '2026-02-03T14:05:06.789Z',
      process: { pid: 1, node: 'v20.20.2', platform: 'linux', uptimeSeconds: 12 },
      kernel: { probe: 'none', reason: 'off' },
      stalls: KEPT.stalls,
    },
  )
})

t.test('limits', async (t) => {
  const many = Array.from({ length: MAX_LIMIT + 5 }, (_, id) => sampleSocket({ id }))
  const sizeOf = (limit?: number) =>
    buildReport(partsOf(many), limit === undefined ? {} : { limit }).sockets.length
  t.equal(sizeOf(), DEFAULT_LIMIT)
  t.equal(sizeOf(3), 3)
  t.equal(sizeOf(0), 0)
  t.equal(sizeOf(-7), 0)
  t.equal(sizeOf(1e9), MAX_LIMIT)
  t.equal(buildReport(partsOf(many), { limit: 3 }).nextAfter, 2)
  t.equal(
    buildReport(partsOf(many.slice(0, 3)), { limit: 3 }).nextAfter,
    null,
    'a full last page is the last',
  )
})

t.test('paging shows everything once, also where all are of the same age', async () => {
  const ages = fc.array(fc.nat(3), { maxLength: 60 })
  fc.assert(
    fc.property(ages, fc.integer({ min: 1, max: 20 }), fc.boolean(), (sinceMs, limit, all) => {
      const sockets = sinceMs.map((age, index) =>
        sampleSocket({ id: index + 1, sinceMs: age, verdict: index % 5 === 0 ? 'none' : 'leaked' }),
      )
      const seen: number[] = []
      let query: SnapshotQuery | null = { all, limit }
      let pages = 0
      while (query !== null && pages <= sockets.length) {
        const page: Report = buildReport(partsOf(sockets), query)
        seen.push(...idsOf(page))
        query = page.nextAfter === null ? null : { all, limit, after: page.nextAfter }
        pages += 1
      }
      const whole = idsOf(buildReport(partsOf(sockets), { all, limit: MAX_LIMIT }))
      return seen.join() === whole.join() && pages === Math.max(1, Math.ceil(whole.length / limit))
    }),
  )
})

t.test('paging begins with no socket, or with 0, which is no socket’s id', async (t) => {
  const sockets = [1, 2, 3].map((id) => sampleSocket({ id }))
  t.same(idsOf(buildReport(partsOf(sockets), { after: 0 })), [1, 2, 3])
})

t.test('paging ends, and says so, when the socket it stands at is gone', async (t) => {
  const sockets = [1, 2, 3, 4].map((id) => sampleSocket({ id }))
  t.same(idsOf(buildReport(partsOf(sockets), { after: 2 })), [3, 4])
  const page = buildReport(partsOf(sockets.slice(2)), { after: 2, limit: 1 })
  t.same(idsOf(page), [], 'beginning again would never end while sockets come and go')
  t.equal(page.nextAfter, null)
  t.equal(page.totals.leaked, 2, 'the totals are those of all')
})

t.test('sites: worst first, by count, then by age, then by name', async (t) => {
  const sockets = [
    sampleSocket({ owner: ownedBy('b'), sinceMs: 5, condition: 'eof-ignored' }),
    sampleSocket({ owner: ownedBy('c'), sinceMs: 9 }),
    sampleSocket({ owner: ownedBy('b'), sinceMs: 7, condition: 'fin-wait', verdict: 'suspect' }),
    sampleSocket({ owner: ownedBy('a'), sinceMs: 5 }),
    sampleSocket({ owner: ownedBy('d'), sinceMs: 5 }),
    sampleSocket({ owner: ownedBy('constructor'), sinceMs: 1, condition: 'window-closed' }),
  ]
  const expected = [
    { site: 'b', count: 2, oldestMs: 7, conditions: { 'eof-ignored': 1, 'fin-wait': 1 } },
    { site: 'c', count: 1, oldestMs: 9, conditions: { 'eof-ignored': 1 } },
    { site: 'a', count: 1, oldestMs: 5, conditions: { 'eof-ignored': 1 } },
    { site: 'd', count: 1, oldestMs: 5, conditions: { 'eof-ignored': 1 } },
    { site: 'constructor', count: 1, oldestMs: 1, conditions: { 'window-closed': 1 } },
  ]
  t.strictSame(sitesOf(sockets.map(rowOf)), expected)
  t.strictSame(sitesOf([...sockets].reverse().map(rowOf)), expected, 'whatever the order they came in')
})

t.test('sites count exactly what the totals count as suspect or leaked', async () => {
  const anySocket = fc
    .record({
      id: fc.nat(),
      verdict: fc.constantFrom(...VERDICTS),
      condition: fc.option(fc.constantFrom(...CONDITIONS)),
      site: fc.constantFrom('a', 'b', ''),
    })
    .map(({ site, ...socket }) => sampleSocket({ ...socket, owner: ownedBy(site) }))
  fc.assert(
    fc.property(fc.array(anySocket, { maxLength: 30 }), (sockets) => {
      const { sites, totals } = buildReport(partsOf(sockets), { limit: 1 })
      const counted = sites.reduce((sum, { count }) => sum + count, 0)
      return (
        counted === totals.suspect + totals.leaked &&
        sites.every(({ count, conditions }) => Object.values(conditions).reduce((a, b) => a + b, 0) <= count)
      )
    }),
  )
})
