import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { renderHtml } from '../../src/report/html.js'
import { renderText } from '../../src/report/text.js'
import { arbitraryReport } from './arbitrary-report.js'
import { HEALTHY, LEAKY, sampleReport, sampleSocket } from './sample-reports.js'

/** A paragraph as one line again. */
function unwrapped(text: string): string {
  return text.replaceAll('\n   ', ' ')
}

t.test('a healthy process is told in one friendly line', async (t) => {
  const [first] = renderText(HEALTHY).split('\n')
  t.equal(first, 'socket-leak-guard: all is well: 120 sockets tracked, none suspect or leaked.')
  const idle = renderText(sampleReport({ totals: { ...HEALTHY.totals, tracked: 0 } }))
  t.match(idle, /all is well: no sockets tracked/)
})

t.test('what could not be seen is said', async (t) => {
  const kernel = { probe: 'none', reason: 'there is no kernel probe for darwin' }
  t.match(
    renderText(sampleReport({ kernel })),
    'kernel view: unavailable (there is no kernel probe for darwin)',
  )
  t.match(renderText(LEAKY), 'kernel view: proc (the package koffi is not installed)')
  t.match(renderText(sampleReport({ nextAfter: 99 })), 'More sockets follow: ask again with after=99.')
})

t.test('totals, sites and sockets of a leaky process', async (t) => {
  const text = renderText(LEAKY)
  const lines = text.split('\n')
  t.equal(lines[0], 'socket-leak-guard: 4 leaked, 2 suspect, 1 stalled, 1 exempt of 1284 sockets')
  t.match(text, /^stalled: GET \/events, 1 socket, for up to 4 min$/m)
  t.equal(lines[2], 'since start: 31 recovered, 0 reclaimed, 6 dead')
  t.match(text, /^upgrade \/chat +3 +3 h 5 min  eof-ignored 2, reset-unseen 1$/m)
  for (const { id, verdict } of LEAKY.sockets) t.match(text, new RegExp(`^#${id} ${verdict}: [A-Z]`, 'm'))
  t.match(text, '   inbound upgrade 127.0.0.1:3000 <- [2001:db8::9]:41000')
  t.match(text, '   outbound tls 10.0.0.4:51544 -> 198.51.100.20:443')
  t.match(text, '   inbound pipe /run/tunnel.sock <- unknown')
  t.match(text, '   since 1 min 35 s, idle 1 min 35 s, 6.0 MB unread')
  t.match(
    text,
    '   site upgrade /chat, request GET /chat\n   label room 12\n   context user=u-829 tenant=north\n   at handleUpgrade',
  )
  t.match(
    text,
    'peer alive (answers zero-window probes), last acknowledgement 4 s ago, round\n   trip 0.4 ms',
  )
})

t.test('the trend of a site, where there is one', async (t) => {
  const [leaky, , other] = LEAKY.sites
  const trends = [
    { leakedTotal: 40, growthPerHour: 12.5, descriptorShare: 0.02 },
    { leakedTotal: 4, growthPerHour: -3.5, descriptorShare: null },
    { leakedTotal: 3, growthPerHour: 0, descriptorShare: 0.004 },
    { leakedTotal: 0, growthPerHour: 0.04, descriptorShare: 0 },
  ].map((trend) => renderText(sampleReport({ sites: [{ ...leaky!, ...trend }, other!] })))
  t.match(trends[0], /^upgrade .*\n {3}40 leaked since start, \+13\/h, 2 % of open descriptors\npayments/m)
  t.match(trends[1], /^upgrade .*\n {3}4 leaked since start, -3\.5\/h\npayments/m)
  t.match(trends[2], /^upgrade .*\npayments/m, 'what says no more than the count is left out')
  t.match(trends[3], /^upgrade .*\npayments/m)
})

t.test('sites that leak no longer, and who put them right', async (t) => {
  const text = unwrapped(renderText(LEAKY))
  t.match(text, '\nrecovered: GET /export/:id, 12 leaked since start, none now (for 5 min)\n')
  t.match(
    text,
    'closed: to 10.0.0.9:5432, 9 leaked since start, 7 of them closed by the guard, none now (for 40 min)\n',
  )
  t.notMatch(renderText(HEALTHY), 'none now')
})

t.test('blocked event loops and held ports, when there are any', async (t) => {
  const text = unwrapped(renderText(LEAKY))
  t.match(text, '\nevent loop: blocked 2 times, for 4 s at the longest; last 5 min ago, for 800 ms\n')
  t.match(text, '\n203.0.113.7: 2 ports to our port 3000\n')
  t.notMatch(renderText(HEALTHY), /event loop|PORTS HELD/)
  const stalls = { count: 1, longestMs: 900, lastMs: 900, lastEndedMs: 0 }
  const ports = Array.from({ length: 12 }, (_, i) => ({
    remote: `192.0.2.${i}`,
    localPort: 80,
    heldPorts: 12 - i,
  }))
  const many = renderText(sampleReport({ stalls, ports }))
  t.match(many, 'event loop: blocked once; last 0 ms ago, for 900 ms')
  t.match(many, '192.0.2.9: 3 ports to our port 80')
  t.match(many, 'and ports of 2 more peers')
})

t.test('every line fits and is visible, whatever came over the network', async (t) => {
  fc.assert(
    fc.property(arbitraryReport, (report) => {
      for (const line of renderText(report).split('\n')) {
        assert.ok(Array.from(line).length <= 80, 'at most 80 columns')
        assert.doesNotMatch(line, /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u)
      }
    }),
    { numRuns: 60 },
  )
  t.pass()
})

t.test('a forged line can not begin a block of its own', async (t) => {
  const diagnosis = 'x\n\n#8 leaked: forged'
  const text = renderText(sampleReport({ sockets: [sampleSocket(7, { diagnosis })] }))
  t.notMatch(text, /^#8/m)
  t.match(text, '#7 leaked: x\\n\\n#8 leaked: forged')
})

t.test('a pair is one line, and many are a few', async (t) => {
  t.match(
    unwrapped(renderText(LEAKY)),
    'PAIRS, of which one side has gone or is stuck\n' +
      'Client 203.0.113.7:50140 left 1 min 30 s ago, upstream 10.0.0.5:443 still streams 3.0 MB/s (GET /proxy/:id, ',
  )
  t.notMatch(renderText(HEALTHY), 'PAIRS')
  const [pair] = LEAKY.pairs
  t.match(renderText(sampleReport({ pairs: Array(23).fill(pair) })), '\nand 3 more pairs\n')
  const partner = { ...pair!.sides[0], by: 'pipe' as const }
  t.match(
    unwrapped(renderText(sampleReport({ sockets: [sampleSocket(9, { partner })] }))),
    'pair with #8, inbound 203.0.113.7:50140, closed 1 min 30 s ago, by pipe',
  )
})

t.test('the streams of an HTTP/2 session, the oldest three', async (t) => {
  const stream = { id: 1, method: 'GET', path: '/export', ageMs: 60_000, unreadBytes: 65_536, unsentBytes: 0 }
  const nameless = { id: null, method: null, path: null, ageMs: null, unreadBytes: 0, unsentBytes: 5 }
  const shown = (open: number, oldest: readonly (typeof stream | typeof nameless)[]): string =>
    unwrapped(
      renderText(
        sampleReport({ sockets: [sampleSocket(9, { streams: { open, isClosed: false, oldest } })] }),
      ),
    )
  t.match(
    shown(12, [stream, nameless, stream, stream]),
    '12 open streams: GET /export for 1 min (64 KB unread), stream pending (5 B unsent), ' +
      'GET /export for 1 min (64 KB unread), and 9 more',
  )
  t.match(shown(1, [stream]), '1 open stream: GET /export for 1 min (64 KB unread)')
  t.notMatch(shown(0, []), 'open stream')
})

t.test('of thousands of sites the worst are listed, and the rest counted', async (t) => {
  const sites = Array.from({ length: 5000 }, (_, i) => ({ ...LEAKY.sites[0]!, site: `GET /only/${i + 1}` }))
  for (const render of [renderText, renderHtml]) {
    const text = render(sampleReport({ sites }))
    t.match(text, 'GET /only/20')
    t.notMatch(text, 'GET /only/21')
    t.match(text, /[aA]nd 4980 more sites/)
  }
  const stalledSites = sites.slice(0, 45)
  t.match(renderText(sampleReport({ sites: [], stalledSites })), 'and 25 more sites')
})
