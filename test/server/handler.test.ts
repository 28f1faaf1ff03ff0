import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import type { Report } from '../../src/core/report.js'
import { renderHtml } from '../../src/report/html.js'
import { renderJson } from '../../src/report/json.js'
import { renderOpenMetrics, renderPrometheus } from '../../src/report/prometheus.js'
import { renderText } from '../../src/report/text.js'
import { SocketLeakGuardError } from '../../src/base/errors.js'
import { createReportHandler } from '../../src/server/handler.js'
import { LEAKY, sampleReport, sampleSocket } from '../report/sample-reports.js'
import { createFakeSource } from './fake-source.js'
import { type RawResponse, exchange, parseResponse, request, serve } from './raw-request.js'

const TYPES = {
  json: 'application/json; charset=utf-8',
  html: 'text/html; charset=utf-8',
  text: 'text/plain; charset=utf-8',
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
}

t.test('the four forms, by Accept and by ?format=', async (t) => {
  const port = await serve(t, createReportHandler(createFakeSource()))
  const bodies = {
    json: renderJson(LEAKY),
    html: renderHtml(LEAKY, { live: { canAct: false } }),
    text: renderText(LEAKY),
    prometheus: renderPrometheus(LEAKY),
  }
  const accepts = {
    json: '*/*',
    html: 'text/html,application/xhtml+xml,*/*;q=0.8',
    text: undefined,
    prometheus: undefined,
  }
  for (const format of ['json', 'html', 'text', 'prometheus'] as const) {
    const accept = accepts[format]
    const negotiated =
      accept === undefined
        ? await request(port, `GET /?format=${format}`)
        : await request(port, 'GET /', { accept })
    t.equal(negotiated.status, 200)
    t.equal(negotiated.headers.get('content-type'), TYPES[format])
    t.equal(negotiated.headers.get('vary'), 'accept')
    t.equal(negotiated.body, bodies[format])
    const named = await request(port, `GET /?format=${format}`, { accept: 'image/png' })
    t.equal(named.headers.get('content-type'), TYPES[format])
  }
  t.equal((await request(port, 'GET /')).headers.get('content-type'), TYPES.json, 'no Accept header')
  const metrics = await request(port, 'GET /metrics', { accept: 'text/html' })
  t.equal(metrics.headers.get('content-type'), TYPES.prometheus)
  t.equal(metrics.body, bodies.prometheus)
})

t.test('metrics as OpenMetrics for a scraper that prefers it', async (t) => {
  const port = await serve(t, createReportHandler(createFakeSource()))
  const accept = 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1'
  const { headers, body } = await request(port, 'GET /metrics', { accept })
  t.equal(headers.get('content-type'), 'application/openmetrics-text; version=1.0.0; charset=utf-8')
  t.equal(headers.get('vary'), 'accept')
  t.equal(body, renderOpenMetrics(LEAKY))
})

function checkCommonHeaders(t: Test, { headers }: RawResponse): void {
  t.equal(headers.get('cache-control'), 'no-store')
  t.equal(headers.get('x-content-type-options'), 'nosniff')
  t.equal(headers.get('referrer-policy'), 'no-referrer')
  t.equal(headers.get('cross-origin-resource-policy'), 'same-origin')
  t.match(headers.get('content-type'), /; charset=utf-8$/)
  t.notOk(headers.has('access-control-allow-origin'))
}

t.test('code is located and sockets are closed or exempted for the holder of a token alone', async (t) => {
  const token = 'S3cretToken'
  const asked: unknown[][] = []
  function note(...words: unknown[]): void {
    asked.push(words)
    if (words[1] !== 7)
      throw new SocketLeakGuardError('SLG_ERR_NO_SUCH_SOCKET', `no tracked socket has the id ${words[1]}`)
    if (words[2] === 'report')
      throw new SocketLeakGuardError('SLG_ERR_INVALID_OPTION', 'action must be another')
  }
  const source = {
    ...createFakeSource(({ id }) => sampleReport({ sockets: id === 7 ? [sampleSocket(7)] : [] })),
    locate(id: number) {
      note('locate', id)
      return { id, site: 'GET /a', code: [], reason: null, blockedMs: 70 }
    },
    reclaim: (id: number, action: string) => note('reclaim', id, action),
    exempt: (id: number, isExempt: boolean) => note('exempt', id, isExempt),
  }
  const port = await serve(t, createReportHandler(source, { token, basePath: '/ops' }))
  const authorization = `Bearer ${token}`
  const deeds = [
    ['locate?id=7', ['locate', 7], { id: 7, blockedMs: 70 }],
    ['reclaim?id=7', ['reclaim', 7, 'end'], { id: 7, action: 'end', socket: { id: 7 } }],
    ['reclaim?id=7&action=reset', ['reclaim', 7, 'reset'], { action: 'reset' }],
    ['exempt?id=7', ['exempt', 7, true], { exempt: true, socket: { id: 7 } }],
    ['exempt?id=7&exempt=0', ['exempt', 7, false], { exempt: false }],
  ] as const
  for (const [target, call, answer] of deeds) {
    const done = await request(port, `POST /ops/${target}`, {
      authorization,
      'sec-fetch-site': 'same-origin',
    })
    t.equal(done.status, 200, target)
    checkCommonHeaders(t, done)
    t.match(JSON.parse(done.body), answer)
    t.same(asked.splice(0), [call])
  }
  for (const target of ['locate?id=8', 'reclaim?id=8', 'exempt?id=8', 'reclaim?id=', 'reclaim'])
    t.equal((await request(port, `POST /ops/${target}`, { authorization })).status, 404, target)
  t.equal((await request(port, 'POST /ops/reclaim?id=7&action=report', { authorization })).status, 400)
  asked.length = 0
  t.equal((await request(port, 'POST /ops/metrics', { authorization })).status, 405)
  for (const deed of ['locate', 'reclaim', 'exempt']) {
    t.equal((await request(port, `GET /ops/${deed}?id=7`, { authorization })).status, 404)
    t.equal((await request(port, `POST /ops/${deed}?id=7`)).status, 401)
    for (const site of ['cross-site', 'same-site']) {
      const headers = { authorization, 'sec-fetch-site': site }
      t.equal((await request(port, `POST /ops/${deed}?id=7`, headers)).status, 403, site)
    }
    const open = await serve(t, createReportHandler(source, { allow: () => true }))
    const refused = await request(open, `POST /${deed}?id=7`)
    t.equal(refused.status, 403)
    t.match(refused.body, /needs a token/)
  }
  t.same(asked, [])
})

t.test('every answer has the protective headers', async (t) => {
  const port = await serve(t, createReportHandler(createFakeSource()))
  for (const line of [
    'GET /',
    'GET /?format=html',
    'GET /metrics',
    'GET /nothing',
    'GET /?limit=x',
    'POST /',
    'HEAD /',
  ])
    checkCommonHeaders(t, await request(port, line))
  checkCommonHeaders(t, await request(port, 'GET /', { host: 'evil.example' }))
})

t.test('the policy of the page names the hashes of its style and its script', async (t) => {
  const port = await serve(t, createReportHandler(createFakeSource()))
  const { headers, body } = await request(port, 'GET /?format=html')
  const policy = headers.get('content-security-policy') ?? ''
  for (const tag of ['style', 'script']) {
    const [, text = ''] = new RegExp(`<${tag}(?: id="page")?>([^]*?)</${tag}>`).exec(body) ?? []
    t.match(policy, `${tag}-src 'sha256-${createHash('sha256').update(text).digest('base64')}'`)
  }
  t.match(policy, /^default-src 'none'; /)
  t.match(policy, "connect-src 'self'")
  t.match(policy, "frame-ancestors 'none'")
  t.notMatch(policy, 'unsafe')
})

t.test('what the query asks for reaches the source, and what it gets wrong is told', async (t) => {
  const source = createFakeSource()
  const port = await serve(t, createReportHandler(source))
  await request(port, 'GET /?all=1&limit=20&after=7')
  t.same(source.queries, [{ all: true, limit: 20, after: 7 }])
  const json = await request(port, 'GET /?limit=0')
  t.equal(json.status, 400)
  t.same(JSON.parse(json.body), {
    error: {
      status: 400,
      message: 'limit must be given once as an integer from 1 to 10000, got "0"',
      parameter: 'limit',
      expected: 'given once as an integer from 1 to 10000',
      received: '"0"',
    },
  })
  const text = await request(port, 'GET /?format=xml', { accept: 'text/html' })
  t.equal(text.status, 400)
  t.equal(text.headers.get('content-type'), TYPES.text, 'never as HTML')
  t.equal(text.body, 'format must be given once as one of json, html, text, prometheus, got "xml"\n')
  t.equal(source.queries.length, 1, 'nothing was read')
})

t.test('for metrics no socket is described', async (t) => {
  const source = createFakeSource()
  const port = await serve(t, createReportHandler(source))
  await request(port, 'GET /metrics')
  await request(port, 'GET /?format=prometheus&limit=1')
  t.same(source.queries, [{ limit: 0 }, { limit: 0 }])
})

t.test('HEAD answers as GET does, without the body', async (t) => {
  const port = await serve(t, createReportHandler(createFakeSource()))
  for (const target of ['/', '/?format=html', '/metrics', '/nothing', '/?limit=x']) {
    const get = await request(port, `GET ${target}`)
    const head = await request(port, `HEAD ${target}`)
    t.equal(head.body, '', target)
    t.equal(head.status, get.status)
    const ignored = new Set(['date'])
    for (const [name, value] of get.headers)
      if (!ignored.has(name)) t.equal(head.headers.get(name), value, name)
    t.equal(Number(head.headers.get('content-length')), Buffer.byteLength(get.body))
  }
})

t.test('other methods and other paths', async (t) => {
  const source = createFakeSource()
  const port = await serve(t, createReportHandler(source))
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE']) {
    const { status, headers } = await request(port, `${method} /`)
    t.equal(status, 405, method)
    t.equal(headers.get('allow'), 'GET, HEAD')
  }
  for (const path of ['/nothing', '/metrics/', '//', '/%2e', '/events/x']) {
    const { status, body } = await request(port, `GET ${path}`)
    t.equal(status, 404, path)
    t.match(body, 'ask for /, /metrics or /events')
  }
  t.equal((await request(port, `GET http://localhost:${port}/metrics?x`)).status, 200, 'a whole URL')
  t.equal((await request(port, `GET http://localhost:${port}`)).status, 200, 'a whole URL without a path')
  t.equal((await request(port, 'OPTIONS *')).status, 405)
})

t.test('a token is asked for first, whatever is asked for', async (t) => {
  const source = createFakeSource()
  const port = await serve(t, createReportHandler(source, { token: 's3cret' }))
  for (const line of ['GET /', 'GET /metrics', 'GET /events', 'GET /nothing', 'POST /', 'GET /?limit=x']) {
    const { status, headers, body } = await request(port, line, { authorization: 'Bearer wrong' })
    t.equal(status, 401, line)
    t.equal(headers.get('www-authenticate'), 'Bearer')
    t.match(body, 'This report needs a bearer token')
  }
  const asking = await request(port, 'GET /?format=html', { accept: 'text/html' })
  t.equal(asking.status, 401)
  t.match(asking.body, 'This report needs its token')
  t.notMatch(asking.body, /<td|<h2/, 'a browser is asked, and shown nothing')
  t.match(asking.headers.get('content-security-policy'), "default-src 'none'")
  checkCommonHeaders(t, asking)
  t.equal(source.queries.length, 0)
  t.equal((await request(port, 'GET /', { authorization: 'Bearer s3cret', host: 'app.example' })).status, 200)
})

t.test('without a token a request by another name is refused', async (t) => {
  const source = createFakeSource()
  const port = await serve(t, createReportHandler(source))
  for (const headers of [
    { host: 'evil.example' },
    { origin: 'http://evil.example' },
    { 'x-real-ip': '192.0.2.1' },
  ]) {
    const { status, body } = await request(port, 'GET /', headers)
    t.equal(status, 403)
    t.match(JSON.parse(body).error.message, 'Without a token this report is only for this machine')
  }
  t.equal(source.queries.length, 0)
})

t.test('a report that can not be made is told plainly', async (t) => {
  const source = createFakeSource(() => {
    throw new Error('secret internals at /app/src')
  })
  const port = await serve(t, createReportHandler(source))
  for (const line of ['GET /', 'GET /metrics', 'GET /?format=html']) {
    const { status, body } = await request(port, line)
    t.equal(status, 500)
    t.same(JSON.parse(body), { error: { status: 500, message: 'The report could not be made.' } })
  }
  const broken = createFakeSource(() => ({}) as Report)
  t.equal((await request(await serve(t, createReportHandler(broken)), 'GET /?format=html')).status, 500)
})

t.test('it leaves a response alone that somebody else has begun', async (t) => {
  const handler = createReportHandler(createFakeSource())
  const port = await serve(t, (request, response) => {
    response.write('mine, ')
    handler(request, response)
    setImmediate(() => response.end('to the end'))
  })
  const { status, body } = await request(port, 'GET /')
  t.equal(status, 200)
  t.equal(body, 'mine, to the end')
})

t.test('it never throws into the host, even where the response does', async (t) => {
  const handler = createReportHandler(createFakeSource())
  const port = await serve(t, (request, response) => {
    const writeHead = response.writeHead.bind(response)
    response.writeHead = () => {
      throw new Error('from a middleware')
    }
    t.doesNotThrow(() => handler(request, response))
    writeHead(418).end()
  })
  t.equal((await request(port, 'GET /')).status, 418)
})

t.test('two requests on one connection, the first with a body that nobody reads', async (t) => {
  const port = await serve(t, createReportHandler(createFakeSource()))
  const text = await exchange(
    { port, host: '127.0.0.1' },
    `POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n\r\nabcGET /?format=text HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`,
  )
  t.equal(parseResponse(text).status, 405)
  t.match(text, /HTTP\/1\.1 200 OK[^]*socket-leak-guard: 4 leaked/)
})

t.test('while a long report is made, the event loop turns', async (t) => {
  let turns = 0
  const timer = setInterval(() => (turns += 1), 1)
  t.teardown(() => clearInterval(timer))
  /** Makes steps until others have had their turn, or gives up. */
  function* reportInSteps(): Generator<void, Report> {
    const begun = turns
    for (let steps = 0; turns < begun + 2 && steps < 1e7; steps += 1) yield
    t.ok(turns >= begun + 2)
    return LEAKY
  }
  const port = await serve(t, createReportHandler({ ...createFakeSource(), reportInSteps }))
  t.equal((await request(port, 'GET /')).body, renderJson(LEAKY))
  t.equal((await request(port, 'GET /metrics')).body, renderPrometheus(LEAKY))
  t.equal((await request(port, 'GET /?format=text')).body, renderText(LEAKY))
})
