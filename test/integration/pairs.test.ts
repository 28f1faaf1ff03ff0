/** One of a pair leaves, and nobody tells the other: shown in one line, and brought into grace where that is asked for. */
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { PassThrough } from 'node:stream'
import httpProxy from 'http-proxy'
import t, { type Test } from 'tap'
import { guardServer } from '../../adapters/http/index.js'
import { install, type Guard, type GuardEvent, type Report } from '../../src/index.js'
import { closeAfter } from '../support/close-after.js'
import { listen, meet, nextEvent } from '../support/events.js'
import { Peer, type PeerConnection } from '../support/peer.js'
import { sweepFor } from '../support/report.js'
import { until } from '../support/until.js'

const peer = new Peer()
t.teardown(() => peer.kill())

const GET = 'GET /feed?secret=1 HTTP/1.1\r\nHost: feeds.example\r\n\r\n'
/** With the first byte of the body: before that, nothing is passed on. */
const HEAD = 'HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nx'

interface Upstream {
  readonly connection: PeerConnection
  readonly port: number
}

async function upstreamAt(peer: Peer): Promise<Upstream> {
  const connection = peer.open().do({ do: 'listen' })
  return { connection, port: (await connection.saw('listening')).port! }
}

/** http-proxy 1.18 listens for `'aborted'`, which does not come for a request whose body has been read. */
function proxyTo(t: Test, port: number): http.Server {
  const proxy = httpProxy.createProxyServer({ target: `http://127.0.0.1:${port}` })
  proxy.on('error', () => {})
  return closeAfter(
    t,
    http.createServer((request, response) => proxy.web(request, response)),
  )
}

async function clientOf(server: http.Server): Promise<PeerConnection> {
  const client = await peer.connect({ port: await listen(server) })
  return client.do({ do: 'write', text: GET })
}

function pairs(guard: Guard): Report['pairs'] {
  return guard.report().pairs
}

/** What it has seen is closed when the test is over, whatever the guard did. */
function destroyRest(t: Test, guard: Guard): void {
  t.teardown(() => {
    const { sockets } = guard.snapshot({ all: true })
    for (const { id } of sockets) guard.reclaim(id, 'destroy')
    guard.uninstall()
  })
}

t.test('http-proxy waits for an upstream whose client has left: shown, and left alone', async (t) => {
  const guard = install({ graceMs: 300, action: 'destroy' })
  destroyRest(t, guard)
  const events: GuardEvent[] = []
  guard.subscribe((event) => void events.push(event))
  const upstream = await upstreamAt(peer)
  const client = await clientOf(proxyTo(t, upstream.port))
  await upstream.connection.saw('data')
  t.same(pairs(guard), [], 'both are there')
  t.match(guard.snapshot({ all: true }).pairs, [
    { by: 'context', sides: [{ state: 'open' }, { state: 'open' }] },
  ])
  client.do({ do: 'end' })
  await until(() => pairs(guard).length === 1, 'the pair is shown')
  const [pair] = pairs(guard)
  const [gone, left] = pair!.sides
  t.match(gone, {
    direction: 'inbound',
    state: 'closed',
    site: 'GET /feed',
    remote: { address: '127.0.0.1' },
  })
  t.match(left, { direction: 'outbound', state: 'open', site: `GET /feed → 127.0.0.1:${upstream.port}` })
  t.ok(gone.sinceMs! >= 1000, 'an abort that is passed on within a second is no news')
  t.match(
    pair!.line,
    /^Client 127\.0\.0\.1:\d+ left \d+ s ago, upstream .* is still open.* \(GET \/feed, tied by the request that it serves\)\./,
  )
  t.notMatch(JSON.stringify(pair), 'secret')
  await sweepFor(guard, 400)
  t.same(events, [], 'by default nothing follows from it')
  t.match(guard.snapshot({ all: true }).sockets, [
    { verdict: 'none', condition: null, partner: { id: gone.id, state: 'closed', by: 'context' } },
  ])
})

t.test('propagateAbort brings the upstream into grace at once, though bytes still come', async (t) => {
  const guard = install({ graceMs: 400, sweepMs: 50, context: 'off' })
  destroyRest(t, guard)
  const upstream = await upstreamAt(peer)
  const server = closeAfter(
    t,
    http.createServer((_request, response) => {
      const outgoing = http.get({ port: upstream.port, host: '127.0.0.1', agent: false }, (answer) => {
        answer.pipe(response)
        // Somebody else reads on, so that nothing stops when the client does.
        answer.on('data', () => {})
      })
      outgoing.on('error', () => {})
    }),
  )
  guardServer(server, { propagateAbort: true, action: 'end', escalateMs: 100 })
  const client = await clientOf(server)
  await upstream.connection.saw('data')
  upstream.connection.do({ do: 'write', text: HEAD })
  await client.saw('data')
  const streaming = setInterval(() => upstream.connection.do({ do: 'write', bytes: 20_000 }), 20)
  t.teardown(() => clearInterval(streaming))
  const leaked = nextEvent(guard, 'leaked')
  const reclaimed = nextEvent(guard, 'reclaimed')
  client.do({ do: 'reset' })
  const { socket } = await leaked
  t.match(socket, {
    condition: 'abandoned',
    direction: 'outbound',
    partner: { state: 'closed', site: 'GET /feed' },
  })
  t.ok(socket.sinceMs >= 400)
  t.match(
    socket.diagnosis,
    /the client that it served \(GET \/feed\) left \d+ ms ago, and nobody told it\. Destroy both ends/,
  )
  await reclaimed
  await upstream.connection.saw('end')
  t.match(guard.snapshot().totals, { leaked: 0, reclaimed: 1, tracked: 0 })
})

t.test('http-proxy reads on no more when its client has left: the pair says why', async (t) => {
  const guard = install({ graceMs: 300, sweepMs: 50, action: 'end', escalateMs: 100, propagateAbort: 'pipe' })
  destroyRest(t, guard)
  const upstream = await upstreamAt(peer)
  const client = await clientOf(proxyTo(t, upstream.port))
  await upstream.connection.saw('data')
  upstream.connection.do({ do: 'write', text: HEAD }).do({ do: 'write', bytes: 8_000_000 })
  await client.saw('data')
  const leaked = nextEvent(guard, 'leaked')
  client.do({ do: 'end' })
  t.match((await leaked).socket, { condition: 'abandoned', partner: { state: 'closed' } })
  await until(() => guard.snapshot().totals.tracked === 0, 'the upstream is closed too')
})

t.test('an upstream that dies in the middle of its answer leaves the client waiting', async (t) => {
  const guard = install({ graceMs: 300, sweepMs: 50, context: 'off' })
  destroyRest(t, guard)
  const upstream = await upstreamAt(peer)
  const server = proxyTo(t, upstream.port)
  guardServer(server, { propagateAbort: 'pipe', action: 'end' })
  const client = await clientOf(server)
  await upstream.connection.saw('data')
  upstream.connection.do({ do: 'write', text: HEAD })
  await client.saw('data')
  const leaked = nextEvent(guard, 'leaked')
  upstream.connection.do({ do: 'reset' })
  const { socket } = await leaked
  t.match(socket, {
    direction: 'inbound',
    condition: 'abandoned',
    owner: { site: 'GET /feed' },
    partner: { state: 'closed' },
  })
  t.match(socket.diagnosis, "or destroy the client's response on the upstream's 'close'")
  await client.saw('end')
})

t.test(
  'an exchange that was answered leaves nobody behind, and a pooled connection is nobody’s',
  async (t) => {
    const guard = install({
      graceMs: 100,
      sweepMs: 20,
      propagateAbort: 'context',
      context: 'async-local-storage',
    })
    destroyRest(t, guard)
    const events: GuardEvent[] = []
    guard.subscribe((event) => void events.push(event))
    const target = closeAfter(
      t,
      http.createServer((_request, response) => response.end('answer')),
    )
    const port = await listen(target)
    const agent = new http.Agent({ keepAlive: true })
    t.teardown(() => agent.destroy())
    const server = closeAfter(
      t,
      http.createServer((request, response) => {
        request.pipe(http.request({ port, host: '127.0.0.1', agent }, (answer) => answer.pipe(response)))
      }),
    )
    const client = await clientOf(server)
    await client.saw('data', ({ text }) => text?.includes('answer') === true)
    client.do({ do: 'reset' })
    await until(
      () =>
        guard
          .snapshot({ all: true })
          .sockets.every(({ local }) => local?.port !== (server.address() as net.AddressInfo).port),
      'the client is gone',
    )
    await sweepFor(guard, 1100)
    t.same(pairs(guard), [])
    t.same(events, [])
    t.match(
      guard.snapshot({ all: true }).sockets.filter(({ direction }) => direction === 'outbound'),
      [{ partner: null, verdict: 'none' }],
    )
  },
)

const COPIES: readonly [name: string, copy: (port: number, response: http.ServerResponse) => void][] = [
  [
    'http.get()',
    (port, response) => {
      const outgoing = http.get({ port, host: '127.0.0.1', agent: false }, (answer) => {
        answer.on('data', (chunk) => response.write(chunk))
      })
      outgoing.on('error', () => {})
    },
  ],
  [
    'fetch()',
    async (port, response) => {
      try {
        const answer = await fetch(`http://127.0.0.1:${port}/`)
        for await (const chunk of answer.body!) response.write(chunk)
      } catch {
        // The test is over.
      }
    },
  ],
]
for (const [name, copy] of COPIES) {
  t.test(`copied by hand, two connections are tied by the request: ${name}`, async (t) => {
    const guard = install({ graceMs: 60_000, sweepMs: 100, context: 'async-local-storage' })
    destroyRest(t, guard)
    const upstream = await upstreamAt(peer)
    const server = closeAfter(
      t,
      http.createServer((_request, response) => copy(upstream.port, response)),
    )
    const client = await clientOf(server)
    await upstream.connection.saw('data')
    upstream.connection.do({ do: 'write', text: HEAD })
    await client.saw('data')
    const streaming = setInterval(() => upstream.connection.do({ do: 'write', bytes: 50_000 }), 20)
    t.teardown(() => clearInterval(streaming))
    client.do({ do: 'end' })
    await until(
      () => /still streams [\d.]+ [KM]B\/s/.test(pairs(guard)[0]?.line ?? ''),
      'the stream is measured',
    )
    t.match(pairs(guard), [
      { by: 'context', sides: [{ state: 'closed', site: 'GET /feed' }, { state: 'open' }] },
    ])
    t.match(pairs(guard)[0]!.line, 'tied by the request that it serves). Abort the outgoing request')
    t.equal(guard.snapshot().totals.suspect, 0)
  })
}

/** A relay in which nobody listens for `'close'`. */
async function relay(
  t: Test,
  join: (client: net.Socket, upstream: net.Socket) => void,
): Promise<{ client: PeerConnection; upstream: PeerConnection; site: string }> {
  const target = await upstreamAt(peer)
  const server = closeAfter(
    t,
    net.createServer((client) => {
      const upstream = net.connect(target.port, '127.0.0.1').on('error', () => {})
      client.on('error', () => {})
      t.teardown(() => upstream.destroy())
      join(client, upstream)
      upstream.write('hello')
    }),
  )
  const { connection } = await meet(peer, server)
  await target.connection.saw('data')
  const { port } = server.address() as net.AddressInfo
  return {
    client: connection,
    upstream: target.connection,
    site: `listener :${port} → 127.0.0.1:${target.port}`,
  }
}

const JOINS: readonly [name: string, join: (client: net.Socket, upstream: net.Socket) => void][] = [
  ['pipe() in both directions', (client, upstream) => void client.pipe(upstream).pipe(client)],
  ['pipe() through a transform', (client, upstream) => void client.pipe(new PassThrough()).pipe(upstream)],
  ['pipe() in one direction only', (client, upstream) => void upstream.pipe(client.resume())],
]
for (const [name, join] of JOINS) {
  t.test(`a tunnel whose client is reset: ${name}`, async (t) => {
    const guard = install({
      graceMs: 200,
      sweepMs: 50,
      action: 'end',
      propagateAbort: 'pipe',
      context: 'off',
    })
    destroyRest(t, guard)
    const { client, upstream } = await relay(t, join)
    const leaked = nextEvent(guard, 'leaked')
    client.do({ do: 'reset' })
    t.match((await leaked).socket, { direction: 'outbound', condition: 'abandoned', partner: { by: 'pipe' } })
    await upstream.saw('end')
  })
}

t.test('a tunnel that is closed in good order is no news', async (t) => {
  const guard = install({ graceMs: 100, sweepMs: 20, propagateAbort: 'pipe', context: 'off' })
  destroyRest(t, guard)
  const events: GuardEvent[] = []
  guard.subscribe((event) => void events.push(event))
  const { client, upstream } = await relay(t, (a, b) => void a.pipe(b).pipe(a))
  client.do({ do: 'end' })
  await upstream.saw('end')
  upstream.do({ do: 'end' })
  await until(() => guard.snapshot().totals.tracked === 0, 'both are closed')
  t.same(events, [])
})

t.test('the two sides of a relay carry one name, also when one of them has left', async (t) => {
  const guard = install({ graceMs: 100, sweepMs: 20, context: 'off' })
  destroyRest(t, guard)
  const { client, site } = await relay(t, (a, b) => void a.pipe(b).pipe(a))
  const sites = (): string[] =>
    guard
      .snapshot({ all: true })
      .sockets.map(({ owner }) => owner.site)
      .sort()
  await until(() => sites().length === 2, 'both are tracked')
  t.same(sites(), [site.replace(/ → .*/, ''), site])
  client.do({ do: 'reset' })
  await until(() => sites().length === 1, 'the upstream is left behind')
  t.same(sites(), [site])
})

t.test('one connection that many are piped into is meant to outlive them', async (t) => {
  const guard = install({ graceMs: 100, sweepMs: 20, propagateAbort: 'pipe', context: 'off' })
  destroyRest(t, guard)
  const { client } = await relay(t, (a, b) => void a.pipe(b, { end: false }))
  client.do({ do: 'reset' })
  await until(() => guard.snapshot().totals.tracked === 1, 'the client is gone')
  await sweepFor(guard, 1100)
  t.same(guard.report({ all: true }).pairs, [])
})

t.test('where the client has only ended its side, the upstream comes into grace with it', async (t) => {
  const guard = install({ graceMs: 400, sweepMs: 50, propagateAbort: 'pipe', context: 'off' })
  destroyRest(t, guard)
  const target = await upstreamAt(peer)
  const server = closeAfter(
    t,
    net.createServer({ allowHalfOpen: true }, (client) => {
      const upstream = net.connect(target.port, '127.0.0.1').on('error', () => {})
      upstream.pipe(client.resume())
      upstream.write('hello')
    }),
  )
  const { connection } = await meet(peer, server)
  await target.connection.saw('data')
  const leaked: GuardEvent[] = []
  guard.subscribe((event) => void (event.type === 'leaked' && leaked.push(event)))
  connection.do({ do: 'end' })
  await until(() => leaked.length === 2, 'both are leaked')
  t.same(leaked.map(({ socket }) => socket.condition).sort(), ['abandoned', 'eof-ignored'])
  const recovered = nextEvent(guard, 'recovered')
  target.connection.do({ do: 'write', text: 'still here' })
  t.match((await recovered).socket.verdict, 'recovered', 'and while its own peer answers, bytes count')
})

t.test('the pass-through is invisible, and goes without a trace', async (t) => {
  const before = PassThrough.prototype.pipe
  {
    using guard = install({ propagateAbort: true })
    t.ok(guard)
    const { pipe } = PassThrough.prototype
    t.not(pipe, before)
    t.same([pipe.name, pipe.length], [before.name, before.length])
    const [source, target] = [new PassThrough(), new PassThrough()]
    t.equal(source.pipe(target), target)
    source.end('through')
    const [chunk] = (await once(target, 'data')) as [Buffer]
    t.equal(chunk.toString(), 'through')
  }
  t.equal(PassThrough.prototype.pipe, before)
})

t.test('among thousands of connections, each pair is seen that forms just before it parts', async (t) => {
  using guard = install({ propagateAbort: 'pipe', graceMs: 60_000, kernel: 'off' })
  const idle = closeAfter(
    t,
    net.createServer((socket) => socket.on('error', () => {}).resume()),
  )
  const idlePort = await listen(idle)
  const others: net.Socket[] = []
  t.teardown(() => others.forEach((socket) => socket.destroy()))
  while (others.length < 2000) {
    const socket = net
      .connect(idlePort, '127.0.0.1')
      .on('error', () => {})
      .resume()
    others.push(socket)
    await once(socket, 'connect')
  }
  const relay = closeAfter(
    t,
    net.createServer((client) => {
      const upstream = net.connect(idlePort, '127.0.0.1').on('error', () => {})
      others.push(upstream)
      client
        .on('error', () => {})
        .pipe(upstream)
        .pipe(client)
    }),
  )
  const port = await listen(relay)
  for (let left = 1; left <= 10; left += 1) {
    const accepted = once(relay, 'connection') as Promise<[net.Socket]>
    const client = net.connect(port, '127.0.0.1').on('error', () => {})
    client.write('hi')
    const [socket] = await accepted
    await once(others.at(-1)!, 'connect')
    const closed = once(socket, 'close')
    client.resetAndDestroy()
    await closed.catch(() => {})
    await until(() => socket.destroyed, 'the client has left')
  }
  await until(() => guard.snapshot().partedPairs === 10, 'all ten are parted')
  t.pass('all ten are seen')
})
