import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { renderEventJson, renderJson } from '../../src/report/json.js'
import { withoutQueries } from '../../src/report/printable.js'
import { renderHtml } from '../../src/report/html.js'
import { renderPrometheus } from '../../src/report/prometheus.js'
import { renderText } from '../../src/report/text.js'
import { arbitraryReport, arbitrarySocket } from './arbitrary-report.js'
import { LEAKY, sampleReport, sampleSocket } from './sample-reports.js'

t.test('JSON says what the report says', async (t) => {
  t.same(JSON.parse(renderJson(LEAKY)), LEAKY)
  fc.assert(
    fc.property(arbitraryReport, (report) => {
      assert.deepEqual(JSON.parse(renderJson(report)), JSON.parse(JSON.stringify(withoutQueries(report))))
    }),
    { numRuns: 50 },
  )
})

t.test('an event is one line', async (t) => {
  fc.assert(
    fc.property(arbitrarySocket, (socket) => {
      const line = renderEventJson({ type: 'leaked', at: '2026-02-03T14:05:06.789Z', socket })
      assert.doesNotMatch(line, /[\r\n]/)
      assert.equal(JSON.parse(line).type, 'leaked')
    }),
    { numRuns: 50 },
  )
  t.pass()
})

t.test('no renderer shows a query string', async (t) => {
  const secret = 'token=s3cret'
  const socket = sampleSocket(1, {
    diagnosis: `The peer of GET /chat?${secret} closed. Why? Nobody ends it.`,
    owner: {
      site: `upgrade /chat?${secret}\u00a0more-${secret}`,
      request: { method: 'GET', path: `/chat?${secret}` },
    },
  })
  const report = sampleReport({
    sites: [{ ...LEAKY.sites[0]!, site: `upgrade /chat?${secret}` }],
    sockets: [socket],
  })
  const event = { type: 'leaked', at: report.generatedAt, socket } as const
  for (const text of [
    renderJson(report),
    renderText(report),
    renderHtml(report),
    renderPrometheus(report),
    renderEventJson(event),
  ])
    t.notMatch(text, /s3cret/)
  const [shown] = withoutQueries(report).sockets
  t.equal(shown?.owner.request?.path, '/chat')
  t.equal(shown?.owner.site, 'upgrade /chat')
  t.equal(shown?.diagnosis, 'The peer of GET /chat closed. Why? Nobody ends it.')
  t.equal(socket.owner.request?.path, `/chat?${secret}`, 'the report itself is left alone')
})

t.test('a fragment and a route that has a question mark at its end', async (t) => {
  const owner = { site: 'GET /users/:id?', request: { method: 'GET', path: '/a#b?c' } }
  const [shown] = withoutQueries(sampleReport({ sockets: [sampleSocket(1, { owner })] })).sockets
  t.equal(shown?.owner.site, 'GET /users/:id?')
  t.equal(shown?.owner.request?.path, '/a')
})
