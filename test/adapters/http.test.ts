/** What the report says of the sockets of an HTTP server: real servers here, a raw peer in another process. */
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import t, { type Test } from 'tap'
import { guardServer, reportHandler } from '../../adapters/http/index.js'
import {
  install,
  type Guard,
  type GuardEvent,
  type InstallOptions,
  type SocketReport,
} from '../../src/index.js'
import { CERTIFICATE } from '../support/certificate.js'
import { listen } from '../support/events.js'
import { Peer, type PeerConnection } from '../support/peer.js'
import { entryWhere, inbound } from '../support/report.js'
import { until } from '../support/until.js'

const FAST: InstallOptions = { graceMs: 200, sweepMs: 50 }

const peer = new Peer()
t.teardown(() => peer.kill())

function guarded(t: Test, options: InstallOptions = FAST): Guard {
  const guard = install(options)
  t.teardown(() => guard.uninstall())
  return guard
}

async function serve<S extends net.Server>(t: Test, server: S): Promise<{ server: S; port: number }> {
  const sockets = new Set<Duplex>()
  server.on('connection', (socket: Duplex) => sockets.add(socket))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { server, port: await listen(server) }
}

function upgradeRequest(path: string, more = ''): string {
  return `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: test\r\n${more}\r\n`
}

async function answered(connection: PeerConnection, status: number): Promise<void> {
  await connection.saw('data', ({ text }) => text?.startsWith(`HTTP/1.1 ${status}`) === true)
}

/** Answers and forgets: nobody listens for the end of these. */
function forgetful(server: http.Server | https.Server): http.Server | https.Server {
  return server
    .on('upgrade', (_request, socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: test\r\n\r\n')
    })
    .on('connect', (_request, socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
    })
}

const leaked = (entry: SocketReport): boolean => entry.verdict === 'leaked'

void t.test('an upgrade and a CONNECT that are forgotten are named, without their query', async (t) => {
  const guard = guarded(t)
  const { server, port } = await serve(t, forgetful(http.createServer()) as http.Server)
  guardServer(server, { label: 'gateway' })
  const scenes = [
    {
      ask: upgradeRequest('/chat?token=secret'),
      status: 101,
      kind: 'upgrade',
      site: 'upgrade /chat',
      request: { method: 'GET', path: '/chat' },
    },
    {
      ask: 'CONNECT example.com:443 HTTP/1.1\r\nhost: example.com\r\n\r\n',
      status: 200,
      kind: 'connect',
      site: 'CONNECT example.com:443',
      request: { method: 'CONNECT', path: 'example.com:443' },
    },
  ]
  for (const { ask, status, kind, site, request } of scenes) {
    const connection = await peer.connect({ port })
    connection.do({ do: 'write', text: ask })
    await answered(connection, status)
    connection.do({ do: 'end' })
    const entry = await entryWhere(guard, (entry) => entry.kind === kind && leaked(entry), `${kind} leaks`)
    t.equal(entry.condition, 'eof-ignored')
    t.equal(entry.phase, 'peer-ended')
    t.equal(entry.owner.site, site)
    t.same(entry.owner.request, request)
    t.equal(entry.owner.label, 'gateway')
    t.match(entry.diagnosis, `"gateway" of ${kind === 'connect' ? site : request.path} from 127.0.0.1:`)
    t.match(entry.diagnosis, `Call socket.end() on 'end' in the ${kind} handler.`)
    t.notMatch(JSON.stringify(guard.snapshot({ all: true })), /secret/)
  }
  t.same(
    guard.snapshot().sites.map(({ site, count }) => [site, count]),
    [
      ['upgrade /chat', 1],
      ['CONNECT example.com:443', 1],
    ],
    'oldest first',
  )
})

void t.test('an upgraded TLS connection is one entry, with its request', async (t) => {
  // TLS closes a half-closed connection by itself, so that what leaks is input that nobody reads.
  const guard = guarded(t)
  const { server, port } = await serve(t, forgetful(https.createServer(CERTIFICATE)) as https.Server)
  guardServer(server, { label: 'secure' })
  const connection = await peer.connect({ port, tls: true })
  connection.do({ do: 'write', text: upgradeRequest('/secure?x=1') })
  await answered(connection, 101)
  connection.do({ do: 'end', text: 'something that nobody reads' })
  const entry = await entryWhere(guard, leaked, 'it leaks')
  t.equal(inbound(guard).length, 1, 'TLSSocket and raw socket are folded')
  t.equal(entry.condition, 'eof-unread')
  t.equal(entry.kind, 'upgrade')
  t.equal(entry.owner.site, 'upgrade /secure')
  t.equal(entry.owner.label, 'secure')
  t.equal(guard.adapter.socketsOf(server).length, 1)
})

void t.test('a request body that nobody reads is named by its request', async (t) => {
  const guard = guarded(t)
  const { server, port } = await serve(
    t,
    http.createServer(() => {}),
  )
  guardServer(server)
  const connection = await peer.connect({ port })
  connection.do({
    do: 'write',
    text: 'POST /upload?q=1 HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n',
  })
  connection.do({ do: 'write', bytes: 200_000 })
  connection.do({ do: 'end' })
  const entry = await entryWhere(guard, leaked, 'it leaks')
  // Which of the neighbours it is depends on buffer sizes of Node and of the kernel.
  t.ok(['fin-unseen', 'window-closed', 'eof-unread'].includes(String(entry.condition)), entry.condition ?? '')
  t.equal(entry.kind, 'http')
  t.equal(entry.owner.site, 'POST /upload')
  t.match(entry.diagnosis, 'Consume the request body (req.resume()) or destroy the request.')
})

void t.test('two servers in one process have settings of their own', async (t) => {
  const guard = guarded(t, { graceMs: 60_000, sweepMs: 50 })
  const events: GuardEvent[] = []
  t.teardown(guard.subscribe((event) => events.push(event)))
  const strict = await serve(t, forgetful(http.createServer()) as http.Server)
  const lenient = await serve(t, forgetful(http.createServer()) as http.Server)
  const watching = await serve(t, forgetful(http.createServer()) as http.Server)
  const release = guardServer(strict.server, { graceMs: 150, action: 'end', label: 'strict' }).release
  guardServer(lenient.server, { label: 'lenient' })
  guardServer(watching.server, { graceMs: 150, label: 'watching' })
  const connections: PeerConnection[] = []
  for (const { port } of [strict, lenient, watching]) {
    const connection = await peer.connect({ port })
    connections.push(connection)
    connection.do({ do: 'write', text: upgradeRequest('/') })
    await answered(connection, 101)
    connection.do({ do: 'end' })
  }
  await connections[0]!.saw('end')
  await until(() => events.some(({ socket }) => socket.owner.label === 'watching'), 'the watched one leaks')
  t.same(
    events.filter(({ type }) => type === 'reclaimed').map(({ socket }) => socket.owner.label),
    ['strict'],
  )
  const verdicts = (): unknown =>
    Object.fromEntries(inbound(guard).map(({ owner, verdict }) => [owner.label, verdict]))
  await until(() => (verdicts() as Record<string, string>).watching === 'leaked', 'its verdict')
  t.not((verdicts() as Record<string, string>).lenient, 'leaked', 'its grace has not passed')
  t.notOk(connections[1]!.has('end') || connections[2]!.has('end'), 'nothing was done to the others')

  release()
  const late = await peer.connect({ port: strict.port })
  late.do({ do: 'write', text: upgradeRequest('/late') })
  await answered(late, 101)
  t.equal(
    (await entryWhere(guard, ({ owner }) => owner.site === 'upgrade /late', 'it is seen')).owner.label,
    null,
  )
})

void t.test(
  'a socket that the application hands in lives by the settings of the server it is given to',
  async (t) => {
    for (const early of [true, false]) {
      for (const secure of [false, true]) {
        const guard = guarded(t, { graceMs: 60_000, sweepMs: 50 })
        const inner = (
          secure ? forgetful(https.createServer(CERTIFICATE)) : forgetful(http.createServer())
        ) as http.Server
        guardServer(inner, { graceMs: 150, label: 'inner' })
        const { server, port } = await serve(
          t,
          net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
            // At once, or after the guard has taken it for one of the front end's.
            if (early) handIn(socket)
            else setTimeout(handIn, 20, socket)
          }),
        )
        function handIn(socket: net.Socket): void {
          inner.emit('connection', socket)
          socket.resume()
        }
        const connection = await peer.connect({ port, tls: secure })
        connection.do({ do: 'write', text: upgradeRequest('/handed') })
        await answered(connection, 101)
        connection.do({ do: 'end', ...(secure && { text: 'unread' }) })
        const entry = await entryWhere(guard, leaked, `it leaks (early: ${early}, secure: ${secure})`)
        t.equal(entry.owner.label, 'inner')
        t.equal(entry.direction, 'inbound')
        t.equal(entry.owner.site, 'upgrade /handed')
        t.equal(inbound(guard).length, 1)
        t.equal(guard.adapter.socketsOf(inner).length, 1)
        for (const socket of guard.adapter.socketsOf(inner)) socket.destroy()
        server.close()
        guard.uninstall()
      }
    }
  },
)

void t.test(
  'an upgrade whose body is not complete yet is owned, whatever stream the handler gets',
  async (t) => {
    // Node 26 hands over a stream of its own until the body is complete, others the socket.
    const guard = guarded(t)
    const { server, port } = await serve(t, http.createServer())
    guardServer(server)
    const upgraded = once(server, 'upgrade') as Promise<[http.IncomingMessage, Duplex]>
    const connection = await peer.connect({ port })
    connection.do({ do: 'write', text: `${upgradeRequest('/early?x', 'content-length: 100\r\n')}0123456789` })
    const [, stream] = await upgraded
    const entry = await entryWhere(guard, ({ kind }) => kind === 'upgrade', 'it is owned')
    t.equal(entry.owner.site, 'upgrade /early')
    stream.destroy()
    await until(() => inbound(guard).length === 0, 'it is gone')
  },
)

void t.test(
  'with pipelining, the end of one response does not take the name of the next request',
  async (t) => {
    const guard = guarded(t)
    const waiting: http.ServerResponse[] = []
    const { server, port } = await serve(
      t,
      http.createServer((_request, response) => void waiting.push(response)),
    )
    guardServer(server)
    const connection = await peer.connect({ port })
    connection.do({
      do: 'write',
      text: 'GET /first HTTP/1.1\r\nhost: x\r\n\r\nGET /second HTTP/1.1\r\nhost: x\r\n\r\n',
    })
    await until(() => waiting.length === 2, 'both have come')
    const [socket] = guard.adapter.socketsOf(server)
    waiting[0]!.end('one')
    await once(waiting[0]!, 'close')
    t.equal(guard.adapter.useOf(socket!)?.request, waiting[1]!.req)
    waiting[1]!.end('two')
    await once(waiting[1]!, 'close')
    t.equal(guard.adapter.useOf(socket!)?.request, null, 'nothing is kept of a request that is over')
    t.equal(guard.adapter.useOf(socket!)?.response, null)
    t.equal(inbound(guard)[0]?.owner.site, `listener :${port}`)
  },
)

void t.test('the report can be mounted in a plain server', async (t) => {
  const report = reportHandler({ basePath: '/leaks', allow: () => true })
  const { port } = await serve(
    t,
    http.createServer((request, response) => {
      if (request.url?.startsWith('/leaks')) report(request, response)
      else response.end('the application')
    }),
  )
  const get = async (path: string): Promise<[number, string]> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`)
    return [response.status, await response.text()]
  }
  t.match(await get('/leaks'), [503, /^socket-leak-guard is not installed/])
  guarded(t)
  t.match(await get('/leaks'), [200, /"schema": ?"socket-leak-guard\/report\/v1"/])
  t.match(await get('/leaks/metrics'), [200, /^# HELP socket_leak_guard/])
  t.match(await get('/other'), [200, 'the application'])
  t.throws(() => reportHandler({ basePath: 'leaks' }), {
    message: /^basePath must be a path that begins with a slash/,
  })
})

void t.test('after uninstall() a guarded server goes on as if nothing had been', async (t) => {
  const guard = install(FAST)
  const { server, port } = await serve(
    t,
    http.createServer((_request, response) => response.end('ok')),
  )
  const { release } = guardServer(server)
  guard.uninstall()
  const connection = await peer.connect({ port })
  connection.do({ do: 'write', text: 'GET / HTTP/1.1\r\nhost: x\r\n\r\n' })
  await answered(connection, 200)
  t.doesNotThrow(release)
})
