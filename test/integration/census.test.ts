/** Connections that are open on both sides and forgotten: no verdict, no event, but a line in the report. */
import { once, type EventEmitter } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import t, { type Test } from 'tap'
import { install, type Guard, type InstallOptions, type Report } from '../../src/index.js'
import { closeAfter } from '../support/close-after.js'
import { listen } from '../support/events.js'
import { until } from '../support/until.js'

const QUICK: InstallOptions = { graceMs: 300, sweepMs: 50, kernel: 'off' }

type Census = Report['census']

/** What the census says once it says it; nothing may have been called odd, closed or announced because of it. */
async function censusWith(t: Test, guard: Guard, isSaid: (census: Census) => boolean): Promise<Census> {
  const closed: unknown[] = []
  const stop = guard.subscribe((event) => closed.push(event))
  await until(() => isSaid(guard.snapshot().census), 'the census tells of it')
  stop()
  t.same(closed, [], 'no event')
  const { totals, census } = guard.snapshot()
  t.equal(totals.suspect + totals.leaked + totals.reclaimed + totals.dead, 0)
  return census
}

async function serve(t: Test, handler: http.RequestListener): Promise<{ port: number; server: http.Server }> {
  const server = closeAfter(t, http.createServer(handler))
  return { server, port: await listen(server) }
}

function ask(t: Test, options: http.RequestOptions): http.ClientRequest {
  const request = http.get({ host: '127.0.0.1', ...options }).on('error', () => {})
  t.teardown(() => request.destroy())
  return request
}

t.test('requests that no handler answers', async (t) => {
  using guard = install(QUICK)
  const { port } = await serve(t, (request, response) => {
    if (request.url === '/answered') response.end('yes')
  })
  for (let i = 0; i < 3; i += 1) ask(t, { port, path: `/forgotten/${i}?key=1`, agent: new http.Agent() })
  const [answer] = (await once(ask(t, { port, path: '/answered' }), 'response')) as [http.IncomingMessage]
  answer.resume()
  const { sites, inbound } = await censusWith(
    t,
    guard,
    ({ inbound: open, outbound: asked }) => open.unanswered === 3 && asked.unanswered === 3,
  )
  const served = sites.find(({ direction }) => direction === 'inbound')
  t.match(served, { site: 'GET /forgotten/:id', count: 3, unanswered: 3, unread: 0, unused: 0, requests: [] })
  t.ok(served!.longestUnansweredMs >= 300)
  t.ok(served!.oldestMs >= served!.longestUnansweredMs)
  t.match(
    served!.line,
    /^GET \/forgotten\/:id: 3 connections open, .*; 3 not answered for up to .*never answers\.$/,
  )
  t.equal(inbound.unanswered, 3)
  const asking = sites.find(({ direction }) => direction === 'outbound')
  t.match(asking, {
    site: `to 127.0.0.1:${port}`,
    unanswered: 3,
    requests: [{ site: 'GET /forgotten/:id', count: 3 }],
  })
  t.match(asking!.line, /Bound the wait/)
  const entries = guard.snapshot({ all: true }).sockets
  const entry = entries.find(({ owner }) => owner.site === 'GET /forgotten/:id')
  t.match(entry, { verdict: 'none', evidence: { waits: { for: 'answer', unreadBytes: 0 } } })
  t.match(entry!.diagnosis, /: open on both sides; nobody has answered its request for .* never answers\.$/)
  t.notMatch(JSON.stringify(guard.snapshot({ all: true })), /key=1/)
})

t.test('a stream of HTTP/2 that no handler answers', async (t) => {
  using guard = install(QUICK)
  const server = http2.createServer((request, response) => {
    if (request.url === '/answered') response.end('yes')
  })
  const client = http2.connect(`http://127.0.0.1:${await listen(server)}`)
  t.teardown(() => {
    client.destroy()
    server.close()
  })
  for (const path of ['/answered', '/forgotten/7?key=1'])
    client
      .request({ ':path': path })
      .resume()
      .on('error', () => {})
  const { sites } = await censusWith(t, guard, ({ inbound }) => inbound.unanswered === 1)
  t.match(sites, [{ site: 'GET /forgotten/:id', direction: 'inbound', unanswered: 1 }])
})

t.test('HTTP/2: what a client has asked for and nobody answers', async (t) => {
  using guard = install(QUICK)
  const server = closeAfter(t, http2.createServer())
  server.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
    if (headers[':path'] === '/answered') stream.respond()
  })
  const origin = `http://127.0.0.1:${await listen(server)}`
  function ask(session: http2.ClientHttp2Session, path: string, how: 'on' | 'once'): http2.ClientHttp2Stream {
    const stream = session.request({ ':path': path }).on('error', () => {})
    stream[how]('response', () => {})
    return stream
  }
  const mute = http2.connect(origin)
  const mixed = http2.connect(origin)
  t.teardown(() => [mute, mixed].forEach((session) => session.destroy()))
  for (let id = 0; id < 3; id += 1) ask(mute, `/mute/${id}?key=1`, 'on')
  await once(ask(mixed, '/answered', 'once'), 'response')
  ask(mixed, '/awaited', 'once')
  const { sites } = await censusWith(t, guard, ({ outbound }) => outbound.unanswered === 4)
  const asking = sites.find(({ direction }) => direction === 'outbound')
  t.match(asking, {
    count: 2,
    unanswered: 4,
    requests: [{ site: 'GET /mute/:id', count: 3 }, { site: 'GET /awaited' }],
  })
  await until(
    () => guard.sweep({ all: true }).sockets.filter(({ kind }) => kind === 'h2').length === 4,
    'the sessions are known',
  )
  ask(mixed, '/later', 'on')
  await until(
    () => guard.sweep().census.outbound.unanswered === 5,
    'a session from which no byte has come since',
  )
  await until(() => guard.sweep().census.inbound.unanswered === 5, 'as many as the server sees')
})

t.test('HTTP/2: a client that allows no table of headers has its answer', async (t) => {
  using guard = install(QUICK)
  const server = closeAfter(t, http2.createServer())
  server.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
    if (headers[':path'] === '/answered') stream.respond()
  })
  const origin = `http://127.0.0.1:${await listen(server)}`
  const tableless = http2.connect(origin, { settings: { headerTableSize: 0 } })
  const mute = http2.connect(origin)
  t.teardown(() => [tableless, mute].forEach((session) => session.destroy()))
  const answered = tableless.request({ ':path': '/answered' }).on('error', () => {})
  answered.on('response', () => {})
  await once(answered, 'response')
  mute
    .request({ ':path': '/mute' })
    .on('error', () => {})
    .on('response', () => {})
  const { outbound } = await censusWith(t, guard, ({ sites }) =>
    sites.some(({ requests }) => requests.some(({ site }) => site === 'GET /mute')),
  )
  t.equal(outbound.unanswered, 1)
})

t.test('of a request that has not waited nothing is read', async (t) => {
  using guard = install({ ...QUICK, graceMs: 60_000 })
  const reads: string[] = []
  const { port, server } = await serve(t, (request) => {
    Object.defineProperty(request, 'originalUrl', { get: () => reads.push('originalUrl') })
  })
  const served = once(server, 'request')
  ask(t, { port, path: '/quick', agent: new http.Agent() })
  await served
  const { inbound, sites } = guard.sweep({ limit: 0 }).census
  t.match({ inbound, sites }, { inbound: { count: 1, unanswered: 0 }, sites: [] })
  t.same(reads, [])
})

t.test('a request that was never ended', async (t) => {
  using guard = install(QUICK)
  const { port } = await serve(t, (request, response) => request.resume().on('end', () => response.end()))
  const request = http
    .request({ port, host: '127.0.0.1', method: 'POST', path: '/upload' })
    .on('error', () => {})
  t.teardown(() => request.destroy())
  request.write('the beginning')
  const { sites } = await censusWith(t, guard, ({ outbound }) => outbound.unanswered === 1)
  t.equal(sites.length, 1, 'whose handler reads on is not to blame')
  const entry = guard.snapshot({ all: true }).sockets.find(({ direction }) => direction === 'outbound')
  t.match(entry!.evidence.waits, { for: 'end' })
  t.match(entry!.diagnosis, /its request was not ended, .* Call request\.end\(\)\.$/)
})

t.test('small answers that nobody reads starve the agent', async (t) => {
  using guard = install(QUICK)
  const { port } = await serve(t, (request, response) =>
    response.end(request.url === '/empty' ? '' : 'x'.repeat(3000)),
  )
  const agent = new http.Agent({ keepAlive: true, maxSockets: 2 })
  t.teardown(() => agent.destroy())
  const answers: http.IncomingMessage[] = []
  for (const path of ['/status/1?key=1', '/empty', '/third', '/fourth', '/given-up']) {
    const request = ask(t, { port, path, agent }).on('response', (answer) => answers.push(answer))
    if (path === '/given-up') request.destroy()
  }
  const { clients, sites } = await censusWith(
    t,
    guard,
    ({ clients: told, outbound }) => told.length > 0 && outbound.unread === 2,
  )
  t.match(clients, [
    {
      origin: `http://127.0.0.1:${port}`,
      library: 'node:http',
      ...{ busy: 2, free: 0, queued: 2 },
      busyWith: [
        { site: 'GET /status/:id', count: 1 },
        { site: 'GET /empty', count: 1 },
      ],
    },
  ])
  t.ok(clients[0]!.longestQueuedMs >= 300)
  t.match(
    clients[0]!.line,
    /2 requests wait for a connection, .*; 2 busy with GET \/status\/:id, GET \/empty, 0 free/,
  )
  t.match(sites, [{ site: `to 127.0.0.1:${port}`, unread: 2 }])
  const entries = guard.snapshot({ all: true }).sockets.map(({ diagnosis }) => diagnosis)
  t.ok(
    entries.some((said) => /nobody has read the 2\.9 KB of its answer for/.test(said)),
    entries.join('\n'),
  )
  t.ok(
    entries.some((said) => /nobody has read the end of its answer for/.test(said)),
    entries.join('\n'),
  )
  for (const answer of answers) answer.resume()
  await until(() => guard.snapshot().census.clients.length === 0, 'the queue moves on')
})

t.test('fetch() whose answers do not come starves the global dispatcher', async (t) => {
  using guard = install(QUICK)
  const { port } = await serve(t, (request, response) => {
    if (request.url === '/read') response.end('x'.repeat(3000))
    else if (request.url === '/big') response.end('x'.repeat(70_000))
  })
  const url = `http://127.0.0.1:${port}`
  await (await fetch(`${url}/read`)).text()
  const restore = limitFetch(2)
  const abort = new AbortController()
  const { signal } = abort
  t.teardown(() => {
    abort.abort()
    restore()
  })
  const unread = await fetch(`${url}/big`, { signal })
  for (const path of ['mute/1', 'third', 'fourth']) void fetch(`${url}/${path}`, { signal }).catch(() => {})
  const { clients, sites } = await censusWith(
    t,
    guard,
    ({ clients: told, outbound }) => told.length > 0 && outbound.unanswered + outbound.unread === 2,
  )
  t.match(clients, [{ origin: url, library: 'undici', busy: 2, free: 0, queued: 2 }])
  t.same(clients[0]!.busyWith.map(({ site }) => site).sort(), ['GET /big', 'GET /mute/:id'])
  const asking = sites.find(({ direction }) => direction === 'outbound')
  t.match(asking, { unanswered: 1, unread: 1 })
  await unread.text()
  await until(() => guard.snapshot().census.clients[0]?.queued !== 2, 'the queue moves on')
})

t.test('the pool of an application is found by its clients, and hears nothing of it', async (t) => {
  using guard = install(QUICK)
  const { port } = await serve(t, (_request, response) => response.end('x'.repeat(70_000)))
  const origin = `http://127.0.0.1:${port}`
  await (await fetch(origin)).text()
  const agent = newAgent(2)
  await (await fetch(origin, { dispatcher: agent } as object)).text()
  const Pool = poolOf(agent).constructor as new (origin: string, options: object) => Dispatcher
  const pool = new Pool(origin, { connections: 1 })
  const connected: string[] = []
  agent.on('connect', () => connected.push('agent'))
  pool.on('connect', () => connected.push('pool'))
  const base = Object.getPrototypeOf(Object.getPrototypeOf(agent.constructor.prototype)) as object
  const own = Object.getOwnPropertyNames(base)
  const answers: unknown[] = []
  for (const dispatcher of [agent, pool]) {
    t.teardown(() => dispatcher.destroy())
    for (let i = 0; i < 6; i += 1)
      fetch(`${origin}/${i}`, { dispatcher } as object).then(
        (answer) => answers.push(answer),
        () => {},
      )
  }
  const { clients } = await censusWith(t, guard, ({ clients: told }) => told.length === 2)
  t.same(clients.map(({ busy, queued }) => `${busy} ${queued}`).sort(), ['1 5', '2 4'])
  t.ok(clients.every((client) => client.origin === origin && client.longestQueuedMs >= 300))
  t.same(connected.sort(), ['agent', 'pool'])
  t.same(Object.getOwnPropertyNames(base), own)
  t.equal(answers.length, 3)
})

type Dispatcher = EventEmitter & { destroy(): Promise<void> }

function poolOf(agent: object): object {
  const clients = Object.getOwnPropertySymbols(agent).find(({ description }) => description === 'clients')!
  const [held] = (agent as Record<symbol, Map<string, { dispatcher?: object }>>)[clients]!.values()
  return held!.dispatcher ?? held!
}

/** As `setGlobalDispatcher(new Agent({ connections }))` of the package undici does it. @returns what takes it back */
function limitFetch(connections: number): () => void {
  const all = globalThis as unknown as Record<symbol, object>
  const before = globalAgents()
  const agent = newAgent(connections)
  for (const [key] of before) all[key] = agent
  return () => {
    for (const [key, value] of before) all[key] = value
  }
}

/** Node makes its global one when `fetch()` is first used. */
function newAgent(connections: number): Dispatcher {
  const Agent = globalAgents()[0]![1].constructor as new (options: object) => Dispatcher
  return new Agent({ connections })
}

function globalAgents(): [symbol, object][] {
  const all = globalThis as unknown as Record<symbol, object>
  return [2, 1]
    .map((version) => Symbol.for(`undici.globalDispatcher.${version}`))
    .filter((key) => key in all)
    .map((key) => [key, all[key]!])
}

t.test('connections that are never used, and those that are', async (t) => {
  using guard = install(QUICK)
  const server = closeAfter(
    t,
    net.createServer((socket) => socket.on('error', () => {}).pipe(socket)),
  )
  const port = await listen(server)
  const idle = Array.from({ length: 4 }, () => net.connect(port, '127.0.0.1').resume())
  const used = net.connect(port, '127.0.0.1').resume()
  t.teardown(() => [...idle, used].forEach((socket) => socket.destroy()))
  used.write('ping')
  const isOurs = ({ site }: { readonly site: string }) => site === `to 127.0.0.1:${port}`
  const { sites, inbound } = await censusWith(t, guard, (census) => census.sites.find(isOurs)?.unused === 4)
  const site = sites.find(isOurs)!
  t.match(site, { direction: 'outbound', count: 5, unread: 0, unanswered: 0 })
  t.match(site.line, /5 outgoing connections open, .*; 4 never used, for up to/)
  t.ok(inbound.unused >= 4)
  const all = guard.snapshot({ all: true })
  t.ok(all.sockets.some(({ diagnosis }) => /no byte has ever moved on it, for/.test(diagnosis)))
  for (const socket of idle) socket.write('ping')
  await until(() => !guard.snapshot().census.sites.some(isOurs), 'all are used')
  t.ok(guard.snapshot({ all: true }).census.sites.some(isOurs), 'every site, when asked for')
})

t.test('idle time is counted from the last byte that was seen to move', async (t) => {
  using guard = install({ ...QUICK, graceMs: 60_000 })
  const server = closeAfter(
    t,
    net.createServer((socket) => socket.resume()),
  )
  const port = await listen(server)
  const connected = once(server, 'connection')
  const client = net.connect(port, '127.0.0.1').resume()
  t.teardown(() => client.destroy())
  const [accepted] = (await connected) as [net.Socket]
  const idleMs = () =>
    guard.snapshot({ all: true }).sockets.find(({ direction }) => direction === 'inbound')!.idleMs
  await until(() => idleMs() > 200, 'time passes')
  const sentMs = performance.now()
  client.write('a byte')
  await once(accepted, 'data')
  t.ok(idleMs() <= performance.now() - sentMs + 1)
  guard.sweep()
  t.ok(idleMs() <= performance.now() - sentMs + 1)
  await until(() => idleMs() > 200, 'it stands still')
  t.match(guard.sweep({ all: true }).sockets[0]!.diagnosis, /open on both sides/)
})

t.test('a site that only grows is told, with its forecast, and nothing of it is closed', async (t) => {
  using guard = install({ graceMs: 400, sweepMs: 50, kernel: 'off' })
  const { port, server } = await serve(t, (_, response) => response.end('done'))
  server.keepAliveTimeout = 0
  const agents: http.Agent[] = []
  t.teardown(() => agents.forEach((agent) => agent.destroy()))
  // An agent for each call.
  const calls = setInterval(() => {
    const agent = new http.Agent({ keepAlive: true })
    agents.push(agent)
    http.get({ port, host: '127.0.0.1', agent }, (answer) => answer.resume()).on('error', () => {})
  }, 100)
  t.teardown(() => clearInterval(calls))
  const { sites } = await censusWith(t, guard, ({ sites: told }) => told.some(({ growing }) => growing))
  const site = sites.find(({ direction }) => direction === 'outbound')!
  t.match(site, { site: `to 127.0.0.1:${port}`, growing: true })
  t.ok(site.growthPerMinute! > 0)
  t.match(site.line, /growing by \d+ a minute.* made for each call and never closed\.$/)
  t.equal(site.limitReachedInMs === null, process.platform !== 'linux')
})
