/** HTTP/2: what the session keeps from Node's socket is told all the same, with a remedy that it allows; and each deed frees it. */
import { once } from 'node:events'
import http2 from 'node:http2'
import net from 'node:net'
import t, { type Test } from 'tap'
import { install, type Action, type Guard, type SocketReport } from '../../src/index.js'
import { closeAfter } from '../support/close-after.js'
import { listen, nextEvent } from '../support/events.js'
import { until } from '../support/until.js'
import { get, HELLO, HELLO_WIDE, SETTINGS, WIDE } from '../support/http2-frames.js'

const QUICK = { graceMs: 400, sweepMs: 50, escalateMs: 50 } as const
const BIG = Buffer.alloc(20_000_000)

interface Scene {
  /** The one that is to be told. */
  readonly socket: net.Socket
  readonly session: http2.Http2Session
  /** What the application may be doing with it. */
  readonly stream?: http2.Http2Stream
}

/** A peer that connects, says what it is to say, and takes what comes, or nothing. */
async function clientOf(
  t: Test,
  guard: Guard,
  port: number,
  says: Buffer,
  reads = true,
): Promise<net.Socket> {
  const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  t.teardown(() => client.destroy())
  client.on('error', () => {})
  if (reads) client.resume()
  guard.exempt(client)
  client.write(says)
  return client
}

/** A server that greets, and takes what comes, or nothing. It never ends. */
async function peerServer(t: Test, guard: Guard, says: Buffer, reads = true): Promise<number> {
  const server = closeAfter(
    t,
    net.createServer({ allowHalfOpen: true }, (socket) => {
      guard.exempt(socket)
      socket.on('error', () => {}).write(says)
      if (reads) socket.resume()
    }),
  )
  return await listen(server)
}

/** What the server knows of one client. */
async function accept(
  t: Test,
  guard: Guard,
  says: Buffer,
  options: {
    reads?: boolean
    listener?: (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => void
  },
): Promise<Scene & { readonly client: net.Socket }> {
  const server = closeAfter(t, http2.createServer(options.listener))
  const events = ['connection', 'session', ...(options.listener === undefined ? [] : ['stream'])]
  const seen = Promise.all(events.map((event) => once(server, event)))
  const client = await clientOf(t, guard, await listen(server), says, options.reads)
  const [[socket], [session]] = (await seen) as unknown as [[net.Socket], [http2.ServerHttp2Session]]
  return { socket, session, client }
}

async function open(t: Test, port: number): Promise<Scene & { readonly session: http2.ClientHttp2Session }> {
  const socket = net.connect({ port, host: '127.0.0.1' })
  const session = http2.connect(`http://127.0.0.1:${port}`, { createConnection: () => socket })
  t.teardown(() => socket.destroy())
  await once(session, 'remoteSettings')
  return { socket, session }
}

const bigAnswer = (_request: unknown, response: http2.Http2ServerResponse): void => {
  response.stream.on('error', () => {})
  response.end(BIG)
}

interface Kind {
  readonly make: (t: Test, guard: Guard) => Promise<Scene>
  readonly told: Partial<SocketReport>
  readonly says: RegExp
  /** What the advice says, done. @returns what the verdict becomes; `undefined`: the connection is closed */
  readonly advice?: (scene: Scene) => unknown
  readonly skip?: string | false
}

const KINDS: Readonly<Record<string, Kind>> = {
  'a session that the server has closed, of a client that stays': {
    async make(t, guard) {
      const scene = await accept(t, guard, HELLO, {})
      scene.session.close()
      return scene
    },
    told: { verdict: 'leaked', condition: 'fin-wait', direction: 'inbound', streams: null },
    says: /session\.destroy\(\), or session\.goaway\(\) and session\.destroy\(\) some time later/,
  },
  'a session that the client has closed, of a server that stays': {
    async make(t, guard) {
      const scene = await open(t, await peerServer(t, guard, SETTINGS))
      scene.session.close()
      return scene
    },
    told: { verdict: 'leaked', condition: 'fin-wait', direction: 'outbound', streams: null },
    says: /session\.destroy\(\), or session\.goaway\(\) and session\.destroy\(\) some time later/,
  },
  'a closed session whose stream nobody answers': {
    async make(t, guard) {
      const scene = await accept(t, guard, Buffer.concat([HELLO, get('/never?token=secret')]), {
        listener() {},
      })
      scene.session.close()
      return scene
    },
    told: { verdict: 'stalled', condition: 'fin-wait', direction: 'inbound' },
    says: /GET \/never .*the session is closed, and nothing has moved for .*: it waits for the end of 1 open stream\b/,
  },
  'output that the window of the peer does not take': {
    make: (t, guard) => accept(t, guard, Buffer.concat([HELLO, get('/export')]), { listener: bigAnswer }),
    told: { verdict: 'stalled', condition: 'write-stalled', phase: 'open' },
    says: /GET \/export .*HTTP\/2 window .*19 MB .*session\.setTimeout\(ms, \(\) => session\.destroy\(\)\)/,
    advice: ({ session }) => session.setTimeout(20, () => session.destroy()),
  },
  'output that the kernel of the peer does not take': {
    make: (t, guard) =>
      accept(t, guard, Buffer.concat([HELLO_WIDE, get('/export')]), { listener: bigAnswer, reads: false }),
    told: { verdict: 'stalled', condition: 'write-stalled', phase: 'open' },
    says: /GET \/export .*no output has left .*Destroy the socket that the server's 'connection' event gave/,
    advice: ({ socket }) => socket.destroy(),
  },
  'output of a peer that has ended': {
    async make(t, guard) {
      const says = Buffer.concat([HELLO_WIDE, get('/export')])
      const scene = await accept(t, guard, says, { listener: bigAnswer, reads: false })
      scene.client.end()
      return scene
    },
    told: { verdict: 'leaked', condition: 'write-stalled' },
    says: /the connection is ending, but no output has left/,
    advice: ({ socket }) => socket.destroy(),
    skip: process.platform === 'linux' ? false : 'up to Node 24 only the kernel tells',
  },
  'a closed session whose upload nobody takes': {
    async make(t, guard) {
      const scene = await open(t, await peerServer(t, guard, WIDE, false))
      const stream = scene.session.request({ ':method': 'POST', ':path': '/upload' })
      stream.on('error', () => {}).write(BIG)
      await until(() => scene.socket.bytesWritten > 10_000_000, 'the upload is under way')
      stream.close()
      scene.session.close()
      return scene
    },
    told: { verdict: 'leaked', condition: 'write-stalled', direction: 'outbound' },
    says: /\(POST http:\/\/127\.0\.0\.1:\d+\/upload\).*Destroy the socket that createConnection\(\) returned/,
    advice: ({ socket }) => socket.destroy(),
  },
  'an answer that nobody reads': {
    async make(t, guard) {
      const server = closeAfter(t, http2.createServer(bigAnswer))
      server.on('connection', (socket) => guard.exempt(socket))
      const scene = await open(t, await listen(server))
      const stream = scene.session.request({ ':path': '/export?key=secret' })
      await once(stream, 'response')
      return { ...scene, stream }
    },
    told: {
      verdict: 'stalled',
      condition: 'window-closed',
      direction: 'outbound',
      phase: 'open',
      evidence: { ifClosed: 'its open streams are cancelled, without an error' } as SocketReport['evidence'],
    },
    says: /\(GET http:\/\/127\.0\.0\.1:\d+\/export\): nobody has read a stream for .*: 64 KB .*stream\.resume\(\)/,
    advice: ({ stream }) => stream!.close(http2.constants.NGHTTP2_CANCEL),
  },
  'a request body that nobody reads': {
    async make(t, guard) {
      const server = closeAfter(
        t,
        http2.createServer(() => {}),
      )
      const seen = Promise.all([once(server, 'connection'), once(server, 'session'), once(server, 'stream')])
      const { socket: client, session: peer } = await open(t, await listen(server))
      guard.exempt(client)
      peer.on('error', () => {})
      const upload = peer.request({ ':method': 'POST', ':path': '/upload' })
      upload.on('error', () => {}).write(BIG)
      const [[socket], [session], [stream]] = (await seen) as [
        [net.Socket],
        [http2.ServerHttp2Session],
        [http2.ServerHttp2Stream],
      ]
      return { socket, session, stream }
    },
    told: { verdict: 'stalled', condition: 'window-closed', direction: 'inbound', phase: 'open' },
    says: /of POST \/upload from .*nobody has read a stream for /,
    advice: ({ stream }) => stream!.resume(),
  },
}

/** What a session's own socket answers with an error. */
const THROWS = /session\.socket\.|socket\.(?:destroy|end|resume|pause|read|write|setKeepAlive|reset\w*)\(/

async function tellOf(guard: Guard, verdict: SocketReport['verdict'] | undefined): Promise<SocketReport> {
  return (await nextEvent(guard, verdict === 'leaked' ? 'leaked' : 'stalled')).socket
}

for (const [name, { make, told, says, advice, skip = false }] of Object.entries(KINDS)) {
  t.test(name, { skip }, async (t) => {
    using guard = install({ ...QUICK })
    const next = tellOf(guard, told.verdict)
    const scene = await make(t, guard)
    const entry = await next
    t.match(entry, { kind: 'h2', ...told })
    t.match(entry.diagnosis, /HTTP\/2 session/)
    t.match(entry.diagnosis, says)
    t.notMatch(entry.diagnosis, THROWS)
    t.notMatch(JSON.stringify(guard.snapshot()), /secret/, 'no query')
    const { totals } = guard.snapshot()
    t.equal(totals.leaked + totals.stalled, 1, 'and nothing else is')
    if (advice === undefined) return
    advice(scene)
    await until(() => {
      const { leaked, stalled } = guard.snapshot().totals
      return scene.socket.destroyed || leaked + stalled === 0
    }, 'the advice works')
  })

  for (const action of ['end', 'destroy', 'reset'] as const) {
    t.test(`${name}: ${action} frees it, and raises no error`, { skip }, async (t) => {
      using guard = install({ ...QUICK, action, stalled: { action } })
      const { socket } = await make(t, guard)
      if (!socket.destroyed) await once(socket, 'close')
      t.equal((socket as { _handle?: unknown })._handle, null)
      t.match(guard.snapshot().totals, { reclaimed: 1 })
    })
  }
}

t.test('what the sessions that closed by themselves leave behind is nothing', async (t) => {
  using guard = install(QUICK)
  const events: Action[] = []
  guard.subscribe(({ type }) => events.push(type as Action))
  const server = closeAfter(
    t,
    http2.createServer((_request, response) => response.end('hello')),
  )
  const { session, socket } = await open(t, await listen(server))
  const stream = session.request({ ':path': '/hello' }).resume()
  await once(stream, 'close')
  guard.sweep()
  const [entry] = guard.snapshot({ all: true }).sockets.filter(({ direction }) => direction === 'outbound')
  t.match(entry, { kind: 'h2', verdict: 'none', streams: { open: 0, isClosed: false, oldest: [] } })
  session.close()
  await once(socket, 'close')
  guard.sweep()
  t.same(events, [])
})

t.test('a request that is taken as a stream is named', async (t) => {
  using guard = install(QUICK)
  const server = http2.createServer()
  server.on('stream', (stream) => stream.on('error', () => {}).end(BIG))
  const next = nextEvent(guard, 'stalled')
  await clientOf(
    t,
    guard,
    await listen(closeAfter(t, server)),
    Buffer.concat([HELLO, get('/demo.Demo/Export?key=secret')]),
  )
  const { socket } = await next
  t.equal(socket.owner.site, 'GET /demo.Demo/Export')
  t.match(socket.streams?.oldest, [{ id: 1, method: 'GET', path: '/demo.Demo/Export' }])
})

/** What a handler does, be it given a request or a stream. */
type Handle = (answer: http2.ServerHttp2Stream) => void

const HANDLERS: Readonly<Record<string, (server: http2.Http2Server, handle: Handle) => unknown>> = {
  request: (server, handle) => server.on('request', (_request, response) => handle(response.stream)),
  stream: (server, handle) => server.on('stream', (stream) => handle(stream)),
}

for (const [event, give] of Object.entries(HANDLERS)) {
  t.test(`what a '${event}' handler opens is named by its request, while that lasts`, async (t) => {
    using guard = install({ ...QUICK, context: 'async-local-storage' })
    const database = closeAfter(
      t,
      net.createServer((socket) => {
        guard.exempt(socket)
        socket.on('error', () => {}).end('hello')
      }),
    )
    const port = await listen(database)
    const server = closeAfter(t, http2.createServer())
    const streams: http2.ServerHttp2Stream[] = []
    give(server, (stream) => {
      streams.push(stream.on('error', () => {}))
      setImmediate(() => {
        const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
        t.teardown(() => socket.destroy())
        socket.on('error', () => {}).resume()
      })
    })
    const next = nextEvent(guard, 'leaked')
    await clientOf(t, guard, await listen(server), Buffer.concat([HELLO, get('/users/7')]))
    const { socket } = await next
    t.equal(socket.owner.site, `GET /users/:id → 127.0.0.1:${port}`)
    streams[0]!.respond()
    streams[0]!.end()
    await once(streams[0]!, 'close')
    const entry = guard.snapshot().sockets.find(({ id }) => id === socket.id)
    t.equal(entry?.owner.site, `to 127.0.0.1:${port}`, "afterwards it may be anybody's")
  })
}

t.test(
  'with stacks, the line that closed a session, though Node ends the socket from a callback of its own',
  async (t) => {
    using guard = install({ ...QUICK, stacks: 'always' })
    const scene = await accept(t, guard, HELLO, {})
    guard.sweep()
    const next = nextEvent(guard, 'leaked')
    scene.session.close()
    const { socket } = await next
    t.match(socket.owner.site, /http2\.test\.[jt]s:\d+$/)
    t.match(socket.owner.stack?.[0], 'scene.session.close()')
    const { close } = Object.getPrototypeOf(Object.getPrototypeOf(scene.session)) as { close: object }
    guard.uninstall()
    const { close: after } = Object.getPrototypeOf(Object.getPrototypeOf(scene.session)) as { close: object }
    t.not(after, close, 'and the patch is taken out')
  },
)

t.test(
  'a session whose handshake is not finished, with a request that nobody listens to, is closed without an error',
  async (t) => {
    for (const action of ['end', 'destroy', 'reset'] as const) {
      using guard = install({ ...QUICK, escalateMs: 10 })
      const port = await peerServer(t, guard, Buffer.alloc(0))
      const session = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
      session.request({ ':path': '/pending' })
      const outgoing = (): SocketReport | undefined =>
        guard.sweep({ all: true }).sockets.find(({ kind }) => kind === 'h2')
      await until(() => outgoing()?.phase === 'open', 'it is connected')
      t.match(outgoing()?.diagnosis, /\(GET https:.*\/pending\): .*its TLS handshake is not finished/)
      const closed = new Promise((resolve) => session.on('close', resolve)) // `once()` would listen for 'error'
      guard.reclaim(outgoing()!.id, action)
      await closed
      t.pass(action)
    }
  },
)

t.test('so it is with more requests than are looked at', async (t) => {
  using guard = install(QUICK)
  const port = await peerServer(t, guard, Buffer.alloc(0))
  const session = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
  for (let requests = 0; requests < 1001; requests += 1) session.request({ ':path': '/pending' })
  const outgoing = (): SocketReport | undefined =>
    guard.sweep({ all: true }).sockets.find(({ kind }) => kind === 'h2')
  await until(() => outgoing()?.phase === 'open', 'it is connected')
  t.equal(outgoing()!.evidence.ifClosed, 'requests that wait for a stream fail with an error')
  const closed = new Promise((resolve) => session.on('close', resolve))
  guard.reclaim(outgoing()!.id, 'destroy')
  await closed
})

/** Asks for an answer that is never read. */
function holdOne(session: http2.ClientHttp2Session): void {
  session.on('error', () => {})
  session
    .request({ ':path': '/held' })
    .on('error', () => {})
    .pause()
}

t.test("a stream that its own window holds up is told while the session's others send", async (t) => {
  using guard = install(QUICK)
  const server = closeAfter(
    t,
    http2.createServer((request, response) => {
      response.end(Buffer.alloc(request.url === '/held' ? 100_000 : 50_000))
    }),
  )
  const { session, socket } = await open(t, await listen(server))
  guard.exempt(socket)
  holdOne(session)
  let answers = 0
  function askOn(): void {
    if (session.destroyed) return
    const request = session.request({ ':path': '/read' }).on('error', () => {})
    request.resume().on('close', () => {
      answers += 1
      setImmediate(askOn)
    })
  }
  askOn()
  const held = (): SocketReport | undefined =>
    guard.sweep().sockets.find(({ direction, verdict }) => direction === 'inbound' && verdict === 'stalled')
  await until(() => held() !== undefined, 'it is told')
  t.match(held(), { condition: 'write-stalled', owner: { site: 'GET /held' } })
  const before = answers
  await until(() => answers > before + 10, 'the others go on')
  t.equal(held()?.verdict, 'stalled')
})

t.test('a session that the server has closed is left alone while one of its streams moves', async (t) => {
  using guard = install({ ...QUICK, action: 'end' })
  let received = 0
  const server = closeAfter(t, http2.createServer())
  server.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
    stream.on('error', () => {}).respond()
    // More would keep the session from reading.
    if (headers[':path'] === '/held') stream.write(Buffer.alloc(1_000_000))
    else stream.on('data', ({ length }: Buffer) => (received += length))
  })
  const accepted = once(server, 'session') as Promise<[http2.ServerHttp2Session]>
  const { session, socket } = await open(t, await listen(server))
  guard.exempt(socket)
  holdOne(session)
  const upload = session.request({ ':path': '/upload', ':method': 'POST' }, { endStream: false })
  upload.on('error', () => {}).resume()
  const writing = setInterval(() => void (upload.destroyed || upload.write('some')), 20)
  t.teardown(() => clearInterval(writing))
  const [held] = await accepted
  await until(() => received > 0, 'the upload has begun')
  held.close()
  const told = (): SocketReport | undefined => guard.sweep().sockets.find(({ kind }) => kind === 'h2')
  const enough = received + (4 * 5 * QUICK.graceMs) / 20
  await until(() => received >= enough || upload.destroyed, 'five graces of it have arrived')
  t.equal(upload.destroyed, false)
  t.not(told()?.verdict, 'leaked')
  clearInterval(writing)
  await until(
    () => upload.destroyed || told()?.verdict === 'leaked',
    'it is told once nothing moves any more',
  )
})
