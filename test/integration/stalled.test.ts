/** A connection that is open both ways and does not move: who has asked for its bytes decides whether it is a leak. */
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import tls from 'node:tls'
import { Writable } from 'node:stream'
import zlib from 'node:zlib'
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { install, type Guard, type GuardEvent, type InstallOptions } from '../../src/index.js'
import { CERTIFICATE } from '../support/certificate.js'
import { closeAfter } from '../support/close-after.js'
import { listen, meet, nextEvent } from '../support/events.js'
import { Peer } from '../support/peer.js'
import { sweepFor } from '../support/report.js'

const LINUX = { skip: process.platform === 'linux' ? false : 'only its kernel tells what waits' }
const PLENTY = 16_000_000
const QUICK: InstallOptions = { graceMs: 600, sweepMs: 50 }

const peer = new Peer()
t.teardown(() => peer.kill())

/** A stream that takes one chunk and is never done with it. */
const stuck = (): Writable => new Writable({ write() {} })

/** The first verdict of a socket: it stalls or leaks. */
function firstOf(guard: Guard): Promise<GuardEvent> {
  return Promise.race([nextEvent(guard, 'stalled'), nextEvent(guard, 'leaked')])
}

/** How the application came to read a socket no further. */
const READERS: Readonly<Record<string, readonly ['stalled' | 'leaked', (socket: net.Socket) => unknown]>> = {
  'paused after the first chunk': ['stalled', (socket) => socket.on('data', () => socket.pause())],
  'piped to something stuck': ['stalled', (socket) => socket.pipe(stuck())],
  'a loop that waits': [
    'stalled',
    async (socket) => {
      for await (const chunk of socket) if (chunk) await new Promise(() => {})
    },
  ],
  'a readable listener that reads once': [
    'stalled',
    (socket) => socket.once('readable', () => socket.read(1)),
  ],
  'paused before anything came': ['stalled', (socket) => socket.pause()],
  'nobody ever asked': ['leaked', () => {}],
}

for (const [name, [verdict, read]] of Object.entries(READERS)) {
  t.test(`input, ${name}: ${verdict}`, LINUX, async (t) => {
    using guard = install(QUICK)
    const told = firstOf(guard)
    const server = closeAfter(t, net.createServer())
    const { socket, connection } = await meet(peer, server)
    void read(socket.on('error', () => {}))
    connection.do({ do: 'write', bytes: PLENTY })
    const { type, socket: entry } = await told
    t.equal(type, verdict)
    t.match(entry, { verdict, condition: 'window-closed', phase: 'open' })
    const { totals, sites, stalledSites } = guard.snapshot()
    t.equal(totals.stalled, verdict === 'stalled' ? 1 : 0)
    t.equal(totals.leaked, verdict === 'leaked' ? 1 : 0)
    t.equal(sites.length, totals.leaked)
    t.match(stalledSites, totals.stalled === 0 ? [] : [{ site: entry.owner.site, count: 1 }])
  })
}

t.test('a paused consumer is left alone by every action, and gets all of it in the end', LINUX, async (t) => {
  for (const action of ['end', 'destroy', 'reset'] as const) {
    using guard = install({ ...QUICK, action, escalateMs: 100 })
    const stalls: GuardEvent[] = []
    const others: GuardEvent[] = []
    guard.subscribe((event) => (event.type === 'stalled' ? stalls : others).push(event))
    const server = closeAfter(t, net.createServer())
    const { socket, connection } = await meet(peer, server)
    let received = 0
    let isPaused = false
    let whilePaused = 0
    socket.on('data', (chunk: Buffer) => {
      if (isPaused) whilePaused += chunk.length
      if (received === 0) {
        socket.pause()
        isPaused = true
      }
      received += chunk.length
    })
    connection.do({ do: 'write', bytes: PLENTY })
    await nextEvent(guard, 'stalled')
    await sweepFor(guard, 1000)
    t.match(socket, { destroyed: false, writableEnded: false, readableFlowing: false })
    t.equal(whilePaused, 0)
    t.equal(stalls.length, 1, 'told once')
    isPaused = false
    socket.resume()
    while (received < PLENTY) await once(socket, 'data')
    guard.sweep()
    t.equal(guard.snapshot().totals.stalled, 0)
    t.same(others, [])
    socket.destroy()
  }
})

t.test('HTTP: what counts is whether the body was asked for', LINUX, async (t) => {
  const handlers: Readonly<Record<string, readonly ['stalled' | 'leaked', http.RequestListener]>> = {
    '/unread': ['leaked', () => {}],
    '/piped': ['stalled', (request) => request.pipe(stuck())],
    '/paused': ['stalled', (request) => request.once('data', () => request.pause())],
  }
  for (const [path, [verdict, handler]] of Object.entries(handlers)) {
    await t.test(path, async (t) => {
      using guard = install(QUICK)
      const told = firstOf(guard)
      const { connection } = await meet(peer, closeAfter(t, http.createServer(handler)))
      const head = `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${PLENTY}\r\n\r\n`
      connection.do({ do: 'write', text: head }).do({ do: 'write', bytes: PLENTY })
      t.match(await told, { type: verdict, socket: { owner: { site: `POST ${path}` } } })
    })
  }
})

t.test('HTTP clients and fetch: the same', LINUX, async (t) => {
  const plain = Buffer.alloc(PLENTY)
  const packed = zlib.gzipSync(randomBytes(4_000_000))
  const server = closeAfter(
    t,
    http.createServer((request, response) => {
      if (request.url === '/packed') response.setHeader('content-encoding', 'gzip').end(packed)
      else response.end(plain)
    }),
  )
  const url = `http://127.0.0.1:${await listen(server)}`
  const kept: unknown[] = []
  const clients: readonly (readonly [string, 'stalled' | 'leaked', () => unknown])[] = [
    ['http.get, unread', 'leaked', () => http.get(url, (response) => kept.push(response))],
    ['http.get, piped', 'stalled', () => http.get(url, (response) => response.pipe(stuck()))],
    ['fetch, unread', 'leaked', async () => kept.push(await fetch(url))],
    ['fetch, packed and unread', 'leaked', async () => kept.push(await fetch(`${url}/packed`))],
    ['fetch, read once', 'stalled', async () => kept.push(await readOnce(await fetch(url)))],
    [
      'fetch, packed and read once',
      'stalled',
      async () => kept.push(await readOnce(await fetch(`${url}/packed`))),
    ],
  ]
  for (const [name, verdict, ask] of clients) {
    const guard = install(QUICK)
    const verdicts = new Promise<GuardEvent>((resolve) => {
      guard.subscribe(
        (event) => event.socket.direction === 'outbound' && event.type !== 'suspect' && resolve(event),
      )
    })
    void ask()
    const { type, socket } = await verdicts
    t.equal(type, verdict, name)
    guard.reclaim(socket.id, 'destroy')
    guard.uninstall()
  }
})

async function readOnce(response: Response): Promise<unknown> {
  const reader = response.body!.getReader()
  await reader.read()
  return reader
}

// Output.

t.test('output that a peer does not take is told with its site; one that takes some is not', async (t) => {
  using guard = install(QUICK)
  const told = firstOf(guard)
  const responses: http.ServerResponse[] = []
  const server = http.createServer((_, response) => {
    responses.push(response)
    response.write(Buffer.alloc(PLENTY))
  })
  const { connection, port } = await meet(peer, closeAfter(t, server), { paused: true })
  connection.do({ do: 'write', text: 'GET /deaf HTTP/1.1\r\nHost: a\r\n\r\n' })
  const slow = http.get({ port, host: '127.0.0.1', path: '/slow' })
  const [response] = (await once(slow, 'response')) as [http.IncomingMessage]
  const reading = setInterval(() => response.read(64 * 1024), 20)
  t.teardown(() => {
    clearInterval(reading)
    slow.destroy()
  })
  response.pause()
  const { type, socket } = await told
  t.match(
    { type, ...socket },
    { type: 'stalled', condition: 'write-stalled', phase: 'open', evidence: { heldBack: null } },
  )
  t.equal(socket.owner.site, 'GET /deaf')
  t.ok(socket.unsentBytes > 0)
  await sweepFor(guard, 1000)
  t.same(
    guard.snapshot().stalledSites.map(({ site, count }) => [site, count]),
    [['GET /deaf', 1]],
  )
  t.equal(guard.snapshot().totals.leaked, 0)
})

t.test('output that the application holds back is told as that', async (t) => {
  using guard = install({ ...QUICK, kernel: 'off' })
  const { socket } = await meet(peer, closeAfter(t, net.createServer()))
  socket.on('error', () => {}).resume()
  const told = nextEvent(guard, 'stalled')
  socket.cork()
  const written = new Promise((resolve) => socket.write('half an answer', resolve))
  const { socket: entry } = await told
  t.equal(entry.evidence.heldBack, 'corked')
  t.match(entry.diagnosis, 'the application holds 14 B back')
  socket.uncork()
  await written
  guard.sweep()
  t.equal(guard.snapshot().totals.stalled, 0)
})

t.test('and so is what waits for a TLS handshake', async (t) => {
  using guard = install({ ...QUICK, kernel: 'off' })
  const server = closeAfter(
    t,
    net.createServer((socket) => socket.on('error', () => {}).resume()),
  )
  const told = nextEvent(guard, 'stalled')
  const client = tls.connect({ port: await listen(server), host: '127.0.0.1', ca: CERTIFICATE.cert })
  t.teardown(() => client.destroy())
  client.on('error', () => {}).write('a question')
  const { socket } = await told
  t.match(socket, { direction: 'outbound', evidence: { heldBack: 'handshake' } })
  t.match(socket.diagnosis, 'the TLS handshake was never finished')
})

t.test('the option "stalled" says when, and what then; a server may have its own', async (t) => {
  using guard = install({ ...QUICK, graceMs: 60_000, kernel: 'off', escalateMs: 100 })
  const server = closeAfter(t, net.createServer())
  guard.adapter.configureServer(server, { stalled: { graceMs: 300, action: 'destroy' } })
  const events: string[] = []
  guard.subscribe(({ type }) => events.push(type))
  const { socket } = await meet(peer, server, { paused: true })
  socket.on('error', () => {}).write(Buffer.alloc(PLENTY))
  await once(socket, 'close')
  t.same(events, ['stalled', 'reclaimed'])
})

t.test('the log has one line for a site whose connections stall', async (t) => {
  const lines: string[] = []
  using guard = install({ ...QUICK, kernel: 'off', log: (line) => lines.push(line) })
  const server = closeAfter(
    t,
    net.createServer({}, (socket) => socket.on('error', () => {}).write(Buffer.alloc(PLENTY))),
  )
  const all = new Promise<void>((resolve) => {
    let count = 0
    guard.subscribe(({ type }) => type === 'stalled' && (count += 1) === 3 && resolve())
  })
  for (let i = 0; i < 3; i += 1) await meet(peer, server, { paused: true })
  await all
  await sweepFor(guard, 250)
  t.equal(lines.length, 1, lines.join('\n'))
  t.match(
    lines[0],
    /^socket-leak-guard: stalled at listener :\d+: Connection .* is open both ways, but no output has left/,
  )
})
