/** What a hostile reader tries at the endpoint as it listens: each attack gets nothing, and the process goes on. */
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import { type Socket, connect } from 'node:net'
import t, { type Test } from 'tap'
import { parseReportAddress } from '../../src/server/address.js'
import { createAccessCheck } from '../../src/server/access.js'
import { listenForReports } from '../../src/server/endpoint.js'
import { createReportHandler } from '../../src/server/handler.js'
import { ReportSockets } from '../../src/server/report-sockets.js'
import { createFakeSource, type FakeSource } from './fake-source.js'
import { exchange, openEvents, readUntil, request } from './raw-request.js'

async function openEndpoint(t: Test, source: FakeSource, token: string | null = null): Promise<number> {
  const handler = createReportHandler(source, { token })
  const endpoint = listenForReports(parseReportAddress('127.0.0.1:0'), handler, new ReportSockets())
  t.teardown(() => endpoint.close())
  return Number(new URL((await endpoint.ready).url).port)
}

const EVERYTHING = [
  'GET /',
  'GET /?format=html',
  'GET /?history=1',
  'GET /metrics',
  'GET /events',
  'POST /locate?id=7',
  'POST /reclaim?id=7',
  'POST /exempt?id=7',
]

/** Notes what would have been done. */
function watched(): { source: FakeSource; deeds: string[] } {
  const deeds: string[] = []
  const fake = createFakeSource()
  const source: FakeSource = {
    ...fake,
    locate(id) {
      deeds.push('locate')
      return fake.locate(id)
    },
    reclaim: () => void deeds.push('reclaim'),
    exempt: () => void deeds.push('exempt'),
  }
  return { source, deeds }
}

t.test('DNS rebinding: a name of somebody else that leads here gets nothing of anything', async (t) => {
  const { source, deeds } = watched()
  const port = await openEndpoint(t, source)
  for (const line of EVERYTHING) {
    const { status, body } = await request(port, line, { host: `evil.example:${port}` })
    t.equal(status, 403, line)
    t.notMatch(body, 'GET /chat')
  }
  t.same(deeds, [])
  t.same(source.queries, [])
})

t.test('another site in the same browser can neither read nor act', async (t) => {
  const { source, deeds } = watched()
  const open = await openEndpoint(t, source)
  for (const line of EVERYTHING) {
    const { status, headers } = await request(open, line, { origin: 'http://evil.example' })
    t.equal(status, 403, line)
    t.notOk(headers.has('access-control-allow-origin'))
  }
  const port = await openEndpoint(t, source, 'open-sesame')
  // A form and an image bring no token; what could bring one is asked about first, and gets no permission.
  const asked = { origin: 'http://evil.example', 'access-control-request-headers': 'authorization' }
  const preflight = await request(port, 'OPTIONS /reclaim?id=7', asked)
  t.equal(preflight.status, 401)
  t.notOk([...preflight.headers.keys()].some((name) => name.startsWith('access-control')))
  const form = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': '0' }
  t.equal((await request(port, 'POST /reclaim?id=7&token=open-sesame', form)).status, 401)
  const authorization = 'Bearer open-sesame'
  for (const site of ['cross-site', 'same-site'])
    t.equal(
      (await request(port, 'POST /reclaim?id=7', { authorization, 'sec-fetch-site': site })).status,
      403,
      site,
    )
  t.same(deeds, [])
})

t.test('a query of any length costs a refusal', async (t) => {
  const port = await openEndpoint(t, createFakeSource())
  const table: Array<[string, number]> = [
    [`/?site=${'x'.repeat(2000)}`, 400],
    [`/?${'limit=1&'.repeat(1500)}`, 400],
    [`/?${'a=b&'.repeat(3000)}`, 200],
    [`/?site=${'%'.repeat(5000)}`, 400],
    [`/?site=${'x'.repeat(20_000)}`, 431],
    [`/${'x'.repeat(20_000)}`, 431],
  ]
  for (const [target, status] of table) {
    const answer = await request(port, `GET ${target}`)
    t.equal(answer.status, status, `${target.slice(0, 20)}, ${target.length} long`)
    if (status === 400) t.ok(answer.body.length < 1000, 'what was sent is not sent back whole')
  }
})

t.test('no path leads to a file or out of the base path', async (t) => {
  const port = await openEndpoint(t, createFakeSource())
  for (const path of [
    '/../../etc/passwd',
    '/..%2f..%2fetc%2fpasswd',
    '/%2e%2e/%2e%2e/etc/passwd',
    '/metrics/../../etc/passwd',
    '/..\\..\\windows\\win.ini',
    '/\0/etc/passwd'.replace('\0', '%00'),
    'http://localhost/../etc/passwd',
    '//etc/passwd',
    '/dist/index.js',
  ])
    t.equal((await request(port, `GET ${path}`)).status, 404, path)
})

t.test('nothing of a request becomes a header of the answer', async (t) => {
  const port = await openEndpoint(t, createFakeSource())
  const injected = 'x%0d%0aset-cookie:%20a=b%0d%0a%0d%0a<script>'
  for (const target of [
    `/?format=${injected}`,
    `/?site=${injected}&format=html`,
    `/${injected}`,
    `/?after=${injected}`,
  ]) {
    for (const accept of ['text/html', '*/*']) {
      const { headers, body } = await request(port, `GET ${target}`, { accept, 'x-forwarded': injected })
      t.notOk(headers.has('set-cookie'), target)
      // Elsewhere it is text, which `nosniff` keeps to be text.
      t.equal(headers.get('x-content-type-options'), 'nosniff')
      if (headers.get('content-type')?.startsWith('text/html') === true) t.notMatch(body, '<script>')
    }
  }
  const smuggled =
    'GET /metrics HTTP/1.1\r\nhost: localhost\r\nx: a\n\nset-cookie: b\r\nconnection: close\r\n\r\n'
  t.notMatch(await exchange({ port, host: '127.0.0.1' }, smuggled), /set-cookie/i)
})

t.test('a token is compared in constant time, whatever its length', async (t) => {
  const compared: number[][] = []
  const { timingSafeEqual } = crypto
  crypto.timingSafeEqual = (a, b) => {
    compared.push([a.byteLength, b.byteLength])
    return timingSafeEqual(a, b)
  }
  syncBuiltinESMExports()
  t.teardown(() => {
    crypto.timingSafeEqual = timingSafeEqual
    syncBuiltinESMExports()
  })
  const check = createAccessCheck({ token: 'open-sesame' })
  const guesses = ['o', 'open-sesamf', 'xpen-sesame', 'open-sesame-and-more', 'y'.repeat(10_000)]
  for (const guess of guesses) {
    const asker = { headers: { authorization: `Bearer ${guess}` }, socket: {} } as never
    t.equal(check(asker)?.status, 401)
  }
  t.same(
    compared,
    guesses.map(() => [32, 32]),
    'digests, so that not even the length shows',
  )
})

t.test(
  'a flood of readers of events: some are served, the others told so, and the rest goes on',
  async (t) => {
    const source = createFakeSource()
    const port = await openEndpoint(t, source)
    const readers: Socket[] = []
    t.teardown(() => readers.forEach((reader) => reader.destroy()))
    const received = await Promise.all(
      Array.from({ length: 40 }, async () => {
        const reader = openEvents(port)
        readers.push(reader)
        return readUntil(reader, { text: '' }, /retry|503/)
      }),
    )
    t.equal(received.filter((text) => text.includes('503')).length, 8)
    t.equal(
      (await request(port, 'GET /metrics')).status,
      200,
      'while thirty-two of sixty-four connections listen',
    )
    await source.subscribed(1)
  },
)

t.test('a head or a body that trickles in is cut off, and others are served meanwhile', async (t) => {
  const port = await openEndpoint(t, createFakeSource())
  const sockets = ['head', 'body'].map((what) => {
    const socket = connect(port, '127.0.0.1')
    socket.setEncoding('latin1')
    socket.on('error', () => {})
    const rest = what === 'body' ? 'content-length: 1000\r\n\r\n' : ''
    socket.write(`POST / HTTP/1.1\r\nhost: localhost\r\n${rest}`)
    const trickle = setInterval(() => socket.write(what === 'body' ? 'x' : 'x-slow: 1\r\n'), 100)
    t.teardown(() => clearInterval(trickle))
    return socket
  })
  const [head, body] = sockets as [Socket, Socket]
  const heard = sockets.map(async (socket) => {
    let received = ''
    for await (const text of socket) received += text
    return received
  })
  t.equal((await request(port, 'GET /metrics')).status, 200)
  t.match(await heard[0], /^HTTP\/1\.1 408 /)
  // If the other were cut off with it, that would be heard before this answer.
  await request(port, 'GET /metrics')
  t.notOk(body.destroyed, 'a head has less time')
  t.ok(head.destroyed)
  t.match(await heard[1], /^HTTP\/1\.1 405 /, 'nobody waits for it')
})
