/** What the guard says and does about the WebSockets of a server, in every mode that ws has. */
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { guardServer as guardHttpServer } from '../../adapters/http/index.js'
import { guardServer, type WebSocketServerOptions } from '../../adapters/ws/index.js'
import { install, type Guard, type GuardEvent, type InstallOptions } from '../../src/index.js'
import { CERTIFICATE } from '../support/certificate.js'
import { listen } from '../support/events.js'
import { entryWhere, inbound } from '../support/report.js'
import { until } from '../support/until.js'

const FAST: InstallOptions = { graceMs: 200, sweepMs: 50 }

function guarded(t: Test, options: InstallOptions = FAST): Guard {
  const guard = install(options)
  t.teardown(() => guard.uninstall())
  return guard
}

interface Served {
  readonly wss: WebSocketServer
  readonly port: number
  /** The server's side of each WebSocket, in the order of arrival. */
  readonly accepted: WebSocket[]
}

type Mode = 'port' | 'port, untracked' | 'server' | 'noServer' | 'noServer, own handler'

const MODES: readonly Mode[] = ['port', 'port, untracked', 'server', 'noServer', 'noServer, own handler']

async function serve(t: Test, mode: Mode): Promise<Served> {
  const accepted: WebSocket[] = []
  const http_ = http.createServer()
  const wss = mode.startsWith('port')
    ? new WebSocketServer({ port: 0, host: '127.0.0.1', clientTracking: mode === 'port' })
    : new WebSocketServer(mode === 'server' ? { server: http_ } : { noServer: true })
  if (mode.startsWith('noServer')) {
    http_.on('upgrade', (request, socket, head) => {
      wss.handleUpgrade(request, socket, head, (webSocket) => {
        if (mode === 'noServer') wss.emit('connection', webSocket, request)
        else onConnection(webSocket)
      })
    })
  }
  function onConnection(webSocket: WebSocket): void {
    accepted.push(webSocket)
    // Of these clients some break off in the middle of things.
    webSocket.on('error', () => {})
  }
  wss.on('connection', onConnection)
  t.teardown(() => {
    for (const webSocket of accepted) webSocket.terminate()
    wss.close()
    http_.close()
  })
  if (!mode.startsWith('port')) return { wss, accepted, port: await listen(http_) }
  await once(wss, 'listening')
  return { wss, accepted, port: (wss.address() as net.AddressInfo).port }
}

/** A client that knows no more of WebSockets than the handshake. */
async function handshake(t: Test, port: number, path = '/'): Promise<net.Socket> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  socket.write(
    `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n` +
      'sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  )
  const [head] = (await once(socket, 'data')) as [Buffer]
  t.match(head.toString('latin1'), /^HTTP\/1\.1 101 /)
  return socket
}

/** A text frame as clients send it, with a mask of zeros (RFC 6455, section 5.2). */
function frame(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)])
}

async function firstOf(accepted: readonly WebSocket[]): Promise<WebSocket> {
  await until(() => accepted.length > 0, 'the WebSocket is open')
  return accepted[0]!
}

for (const mode of MODES) {
  void t.test(`{ ${mode} }: a WebSocket that is paused and forgotten is named`, async (t) => {
    const guard = guarded(t, { graceMs: 60_000, sweepMs: 50 })
    const { wss, port, accepted } = await serve(t, mode)
    guardServer(wss, { graceMs: 200, label: 'chat' })
    const client = await handshake(t, port, '/room/7?token=secret')
    const webSocket = await firstOf(accepted)
    await entryWhere(guard, ({ kind }) => kind === 'websocket', 'it is known')
    webSocket.pause()
    client.end(frame('unread'))
    const entry = await entryWhere(guard, ({ verdict }) => verdict === 'leaked', 'it leaks')
    t.equal(entry.condition, 'eof-unread')
    t.equal(entry.kind, 'websocket')
    t.equal(entry.owner.site, 'upgrade /room/:id')
    t.same(entry.owner.request, { method: 'GET', path: '/room/7' })
    t.equal(entry.owner.label, 'chat')
    await entryWhere(guard, ({ owner }) => owner.context.webSocket === 'paused', 'the report says so')
    t.match(guard.snapshot().sockets[0]?.diagnosis, 'WebSocket "chat" of /room/:id from 127.0.0.1:')
    t.match(
      guard.snapshot().sockets[0]?.diagnosis,
      'The application has paused it: call ws.resume(), or ws.terminate() to give it up.',
    )
    t.notMatch(JSON.stringify(guard.snapshot({ all: true })), /secret/)
    webSocket.resume()
    await until(() => inbound(guard).length === 0, 'it closes once it is read')
  })
}

void t.test('a WebSocketServer has settings of its own, whatever its HTTP server has', async (t) => {
  const guard = guarded(t, { graceMs: 60_000, sweepMs: 50 })
  const events: GuardEvent[] = []
  t.teardown(guard.subscribe((event) => events.push(event)))
  const { wss, port, accepted } = await serve(t, 'server')
  const server = (wss.options as { server: http.Server }).server
  const ws = guardServer(wss, { graceMs: 150, action: 'end', label: 'chat' })
  // Later than that of the WebSocketServer, and yet not stronger.
  guardHttpServer(server, { graceMs: 60_000, label: 'api' })
  const client = await handshake(t, port)
  ;(await firstOf(accepted)).pause()
  client.end(frame('unread'))
  await until(() => events.some(({ type }) => type === 'reclaimed'), 'it is reclaimed')
  t.ok(events.every(({ socket }) => socket.owner.label === 'chat'))

  await handshake(t, port, '/open')
  await entryWhere(guard, ({ kind, owner }) => kind === 'websocket' && owner.label === 'chat', 'it is known')
  ws.release()
  t.equal(inbound(guard)[0]?.owner.label, 'api', 'back to the settings of the HTTP server')
  t.equal(wss.listenerCount('connection'), 1, "only the test's own")
  t.equal(wss.listenerCount('headers'), 0)
  await handshake(t, port, '/later')
  const later = await entryWhere(guard, ({ owner }) => owner.site === 'upgrade /later', 'it is there')
  t.match(later, { kind: 'upgrade', owner: { label: 'api' } })
})

void t.test('a WebSocket over TLS is one entry', async (t) => {
  const guard = guarded(t)
  const server = https.createServer(CERTIFICATE)
  const wss = new WebSocketServer({ server })
  t.teardown(() => {
    for (const webSocket of wss.clients) webSocket.terminate()
    server.close()
  })
  const port = await listen(server)
  guardServer(wss, { label: 'secure chat' })
  const client = new WebSocket(`wss://127.0.0.1:${port}/secure`, { rejectUnauthorized: false })
  await once(client, 'open')
  const entries = inbound(guard)
  t.equal(entries.length, 1)
  t.match(entries[0], { kind: 'websocket', owner: { site: 'upgrade /secure', label: 'secure chat' } })
  t.equal(guard.adapter.socketsOf(wss).length, 1)
  client.terminate()
})

void t.test('WebSockets from before guardServer() are guarded', async (t) => {
  const guard = guarded(t)
  const { wss, port, accepted } = await serve(t, 'port')
  await handshake(t, port, '/early')
  await firstOf(accepted)
  guardServer(wss, { label: 'chat' })
  const [entry] = inbound(guard)
  t.match(entry, {
    kind: 'websocket',
    owner: { site: 'upgrade /early', label: 'chat', context: { webSocket: 'open' } },
  })
})

void t.test('guardServer() again takes the place of what was', async (t) => {
  const guard = guarded(t)
  const { wss, port, accepted } = await serve(t, 'port')
  const first = guardServer(wss, { label: 'first' })
  const second = guardServer(wss, { label: 'second' })
  t.equal(wss.listenerCount('headers'), 1)
  first.release()
  await handshake(t, port)
  await firstOf(accepted)
  t.equal(inbound(guard)[0]?.owner.label, 'second')
  second.release()
  t.equal(inbound(guard)[0]?.owner.label, null)
})

const STALLED: readonly {
  readonly name: string
  readonly stall: (webSocket: WebSocket, client: net.Socket) => Promise<void>
}[] = [
  {
    name: 'the peer ended and does not read what is still to be sent',
    async stall(webSocket, client) {
      client.pause()
      webSocket.send(Buffer.alloc(10_000_000))
      client.end()
      await until(() => webSocket.readyState === WebSocket.CLOSING, 'ws has noticed the end')
    },
  },
  {
    name: 'the same, and the application calls close(), for which ws arms no timer then',
    async stall(webSocket, client) {
      client.pause()
      webSocket.send(Buffer.alloc(10_000_000))
      client.end()
      await until(() => webSocket.readyState === WebSocket.CLOSING, 'ws has noticed the end')
      webSocket.close()
    },
  },
  {
    name: 'the peer never answers the close frame',
    async stall(webSocket) {
      webSocket.close()
    },
  },
]

for (const { name, stall } of STALLED) {
  void t.test(`closeTimeoutMs bounds a closing handshake: ${name}`, async (t) => {
    const guard = guarded(t, { graceMs: 60_000, sweepMs: 50 })
    const events: GuardEvent[] = []
    t.teardown(guard.subscribe((event) => events.push(event)))
    const { wss, port, accepted } = await serve(t, 'port')
    const options: WebSocketServerOptions = { closeTimeoutMs: 1500, label: 'chat' }
    guardServer(wss, options)
    const client = await handshake(t, port)
    const webSocket = await firstOf(accepted)
    const startedMs = performance.now()
    await stall(webSocket, client)
    const closed = once(webSocket, 'close')
    await closed
    t.ok(performance.now() - startedMs >= 1500, 'not before its time')
    t.match(
      events.filter(({ type }) => type === 'reclaimed').map(({ socket }) => socket.owner.label),
      ['chat'],
    )
    t.equal(guard.snapshot().totals.reclaimed, 1)
    t.equal(wss.clients.size, 0)
  })
}

void t.test('a closing WebSocket that still makes progress is left alone', async (t) => {
  const guard = guarded(t, { graceMs: 60_000, sweepMs: 50 })
  const { wss, port, accepted } = await serve(t, 'port')
  const closeTimeoutMs = 1000
  guardServer(wss, { closeTimeoutMs })
  const client = await handshake(t, port)
  const webSocket = await firstOf(accepted)
  const bytes = 80_000_000
  client.pause()
  webSocket.send(Buffer.alloc(bytes))
  client.end()
  await until(() => webSocket.readyState === WebSocket.CLOSING, 'it is closing')
  // In bursts of some megabytes, for several times as long as the limit.
  let received = 0
  client.on('data', (data) => {
    received += data.length
    if (received % 3_000_000 < data.length && received < bytes / 2) client.pause()
  })
  const startedMs = performance.now()
  const reading = setInterval(() => client.resume(), 100)
  t.teardown(() => clearInterval(reading))
  await until(() => client.readableEnded || client.destroyed, 'it has read to the end')
  t.ok(performance.now() - startedMs > closeTimeoutMs, 'longer than the limit')
  t.ok(received >= bytes, 'all of it has come')
  await until(() => wss.clients.size === 0, 'it is closed')
  t.equal(guard.snapshot().totals.reclaimed, 0)
})

void t.test('without closeTimeoutMs it stays, and is reported', async (t) => {
  const guard = guarded(t)
  const { wss, port, accepted } = await serve(t, 'port')
  guardServer(wss, { closeTimeoutMs: false })
  const client = await handshake(t, port)
  const webSocket = await firstOf(accepted)
  await STALLED[0]!.stall(webSocket, client)
  const entry = await entryWhere(guard, ({ verdict }) => verdict === 'leaked', 'it leaks')
  t.match(entry, {
    condition: 'write-stalled',
    kind: 'websocket',
    owner: { context: { webSocket: 'closing' } },
  })
  t.equal(webSocket.readyState, WebSocket.CLOSING)
})
