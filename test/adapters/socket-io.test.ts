/** What the guard says and does about the clients of a Socket.IO server, over WebSockets and by long polling. */
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import t, { type Test } from 'tap'
import { Server, type Socket as ServerSocket } from 'socket.io'
import { io as connect, type Socket as ClientSocket } from 'socket.io-client'
import { guardServer as guardHttpServer } from '../../adapters/http/index.js'
import { guardServer } from '../../adapters/socket-io/index.js'
import { install, type Guard, type InstallOptions } from '../../src/index.js'
import { listen } from '../support/events.js'
import { entryWhere, inbound } from '../support/report.js'
import { until } from '../support/until.js'

const AMPLE_MS = 15_000

function guarded(t: Test, options: InstallOptions = {}): Guard {
  const guard = install({ graceMs: 60_000, sweepMs: 50, context: 'off', ...options })
  t.teardown(() => guard.uninstall())
  return guard
}

interface Served {
  readonly io: Server
  readonly server: http.Server
  readonly port: number
}

async function serve(t: Test, isListening = true): Promise<Served> {
  const server = http.createServer((_request, response) => response.end('hello'))
  const io = new Server(server)
  io.of('/room')
  t.teardown(async () => {
    await io.close()
    server.closeAllConnections()
  })
  return { io, server, port: isListening ? await listen(server) : 0 }
}

interface Client {
  readonly socket: ClientSocket
  /** Why it was disconnected, each time. */
  readonly reasons: string[]
}

async function open(
  t: Test,
  port: number,
  transports: readonly ('polling' | 'websocket')[],
  namespace = '/',
): Promise<Client> {
  const socket = connect(`http://127.0.0.1:${port}${namespace}`, {
    transports: [...transports],
    forceNew: true,
    reconnection: false,
  })
  t.teardown(() => socket.disconnect())
  const reasons: string[] = []
  socket.on('disconnect', (reason) => reasons.push(reason))
  await new Promise<void>((resolve, reject) => socket.on('connect', resolve).on('connect_error', reject))
  return { socket, reasons }
}

const isWebSocket = ({ kind }: { kind: string }): boolean => kind === 'websocket'

for (const transports of [['websocket'], ['polling', 'websocket']] as const) {
  void t.test(`${transports.join(', then ')}: its WebSockets are named and have its settings`, async (t) => {
    const guard = guarded(t)
    // Engine.IO makes its WebSocketServer anew when the HTTP server begins to listen.
    const { io, server } = await serve(t, false)
    const { release } = guardServer(io, { label: 'chat' })
    const port = await listen(server)
    await open(t, port, transports, '/room')
    const entry = await entryWhere(guard, isWebSocket, 'it is known')
    t.match(entry, {
      kind: 'websocket',
      owner: {
        site: 'upgrade /socket.io/',
        label: 'chat',
        request: { method: 'GET', path: '/socket.io/' },
      },
    })
    await entryWhere(guard, ({ owner }) => owner.context.webSocket === 'open', 'its state is known')
    t.equal(guard.adapter.socketsOf(io).length, 1)
    t.match(
      guard.adapter.describe(guard.adapter.socketsOf(io)[0]!)?.diagnosis,
      'WebSocket "chat" of /socket.io/ from 127.0.0.1:',
    )
    release()
    t.equal(inbound(guard).find(isWebSocket)?.owner.label, null, 'the settings are taken back')
    t.equal(io.engine.listenerCount('headers'), 0)
  })
}

void t.test('long polling stays with the HTTP server, whose connections serve others as well', async (t) => {
  const guard = guarded(t)
  const { io, server, port } = await serve(t)
  guardServer(io, { label: 'chat' })
  guardHttpServer(server, { label: 'api' })
  await open(t, port, ['polling'])
  const entry = await entryWhere(guard, ({ owner }) => owner.request?.method === 'GET', 'it polls')
  t.match(entry, { kind: 'http', owner: { site: 'GET /socket.io/', label: 'api' } })
  t.same(guard.adapter.socketsOf(io), [])
})

void t.test('a WebSocket that is paused and forgotten leaks under its name', async (t) => {
  const guard = guarded(t)
  const { io, port } = await serve(t)
  guardServer(io, { label: 'chat', graceMs: 200 })
  const client = await openDeaf(t, port)
  await entryWhere(guard, ({ owner }) => owner.context.webSocket === 'open', 'it is known')
  const [socket] = guard.adapter.socketsOf(io)
  const webSocket = guard.adapter.useOf(socket!)!.webSocket as unknown as { pause(): void; resume(): void }
  webSocket.pause()
  client.end(frame('unread'))
  const entry = await entryWhere(guard, ({ verdict }) => verdict === 'leaked', 'it leaks')
  t.match(entry, { kind: 'websocket', owner: { site: 'upgrade /socket.io/', label: 'chat' } })
  webSocket.resume()
  await until(() => guard.adapter.socketsOf(io).length === 0, 'it closes once it is read')
})

void t.test(
  'clients from before guardServer() are guarded; a second call takes the place of the first',
  async (t) => {
    const guard = guarded(t)
    const { io, port } = await serve(t)
    await open(t, port, ['websocket'])
    await open(t, port, ['polling'])
    const first = guardServer(io, { label: 'first' })
    t.match(inbound(guard).filter(isWebSocket), [
      { owner: { site: 'upgrade /socket.io/', label: 'first', context: { webSocket: 'open' } } },
    ])
    guardServer(io, { label: 'second' })
    first.release()
    t.equal(inbound(guard).find(isWebSocket)?.owner.label, 'second')
    t.equal(io.engine.listenerCount('headers'), 1)
  },
)

void t.test('drain: clients are told, requests in flight finish, everything ends', async (t) => {
  const guard = guarded(t)
  const { io, server, port } = await serve(t)
  const reasons: string[] = []
  for (const name of ['/', '/room']) {
    io.of(name).on('connection', (socket: ServerSocket) => {
      socket.on('disconnect', (reason) => reasons.push(reason))
    })
  }
  const waiting: http.ServerResponse[] = []
  server.removeAllListeners('request')
  server.on('request', (request, response) => {
    if (request.url === '/wait') waiting.push(response)
    else io.engine.handleRequest(request, response)
  })
  const { drain } = guardServer(io)
  const clients = [
    await open(t, port, ['websocket']),
    await open(t, port, ['websocket'], '/room'),
    await open(t, port, ['polling']),
  ]
  const answer = fetch(`http://127.0.0.1:${port}/wait`)
  await until(() => waiting.length === 1, 'it is being served')
  await until(() => io.engine.clientsCount === 3 && guard.adapter.socketsOf(io).length === 2, 'all are there')
  const drained = drain({ timeoutMs: AMPLE_MS })
  await until(() => clients.every((client) => client.reasons.length === 1), 'they are told')
  // After 'io server disconnect' they would not come back.
  t.same(new Set(clients.flatMap((client) => client.reasons)), new Set(['transport close']))
  t.same(reasons, Array(3).fill('server shutting down'))
  waiting[0]!.end('done')
  t.equal(await (await answer).text(), 'done')
  t.match(await drained, { destroyed: 0, remaining: 0 })
  t.notOk(server.listening)
  await t.rejects(fetch(`http://127.0.0.1:${port}/`))
  t.match(
    await drain({ timeoutMs: AMPLE_MS }),
    { ended: 0, destroyed: 0, remaining: 0 },
    'nothing is left to do',
  )
  await io.close()
})

void t.test('drain: who does not finish the closing handshake is closed by force', async (t) => {
  guarded(t)
  const { io, port } = await serve(t)
  const { drain } = guardServer(io)
  await openDeaf(t, port)
  await until(() => io.engine.clientsCount === 1, 'it is open')
  const result = await drain({ timeoutMs: 400 })
  t.match(result, { ended: 0, destroyed: 1, remaining: 0 })
  t.ok(result.elapsedMs >= 400)
})

void t.test('drain: an adapter that fails to say goodbye does not keep the others from it', async (t) => {
  guarded(t)
  const { io, port } = await serve(t)
  io.of('/').adapter.close = () => new Promise<never>(() => {})
  const { drain } = guardServer(io)
  await open(t, port, ['websocket'])
  t.match(await drain({ timeoutMs: AMPLE_MS }), { ended: 1, destroyed: 0, remaining: 0 })
  io.of('/').adapter.close = () => {}
})

void t.test('closeTimeoutMs bounds a closing where the peer ended first and reads nothing', async (t) => {
  const guard = guarded(t)
  const { io, port } = await serve(t)
  guardServer(io, { closeTimeoutMs: 500, label: 'chat' })
  const served = once(io, 'connection') as Promise<[ServerSocket]>
  const client = await openDeaf(t, port)
  // "40": join the main namespace.
  client.write(frame('40'))
  const [socket] = await served
  client.pause()
  socket.emit('much', 'x'.repeat(10_000_000))
  client.end()
  await until(() => guard.snapshot().totals.reclaimed === 1, 'it is reclaimed')
  t.same(guard.adapter.socketsOf(io), [])
})

void t.test('what can not be guarded is refused, and told what can be done', async (t) => {
  const guard = guarded(t)
  const detached = new Server()
  t.throws(() => guardServer(detached), {
    code: 'SLG_ERR_WRONG_SERVER',
    message: /got one that is not attached; call io\.attach\(\) or io\.listen\(\) first$/,
  })
  const { io } = await serve(t)
  t.throws(() => guardServer(io, { heartbeat: true } as never), { code: 'SLG_ERR_UNKNOWN_OPTION' })
  t.throws(() => guardServer(io, { closeTimeoutMs: 0 }), { code: 'SLG_ERR_INVALID_OPTION' })
  t.throws(() => guardServer(io, { graceMs: -1 }), { code: 'SLG_ERR_INVALID_OPTION' })
  t.equal(io.engine.listenerCount('headers'), 0, 'a refused call leaves nothing behind')
  const { drain } = guardServer(io)
  await t.rejects(drain({ timeout: 1 } as never), { message: /did you mean "timeoutMs"/ })
  guard.uninstall()
})

void t.test('the same with and without', async (t) => {
  async function talk(isGuarded: boolean): Promise<unknown> {
    const guard = isGuarded ? install({ sweepMs: 20 }) : null
    const { io, port } = await serve(t)
    const seen: unknown[] = []
    if (isGuarded) guardServer(io, { label: 'chat' })
    io.engine.on('connection', (socket: { request: http.IncomingMessage }) => {
      seen.push(Object.keys(socket.request).sort())
    })
    io.on('connection', (socket) => {
      seen.push('connection', socket.conn.transport.name)
      socket.onAny((...args) => seen.push(args))
      socket.on('echo', (value, done: (value: unknown) => void) => done(value))
      socket.on('disconnect', (reason) => seen.push(reason))
      socket.on('bye', () => socket.disconnect(true))
    })
    for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']] as const) {
      const { socket, reasons } = await open(t, port, transports)
      for (const value of ['one', Buffer.alloc(100_000, 1)]) {
        seen.push(await new Promise((resolve) => socket.emit('echo', value, resolve)))
      }
      if (transports.length === 2)
        await until(() => socket.io.engine.transport.name === 'websocket', 'upgraded')
      const before = seen.length
      if (transports[0] === 'websocket') socket.disconnect()
      else socket.emit('bye')
      await until(() => reasons.length === 1 && seen.length > before, 'both sides know')
      seen.push(reasons[0])
    }
    await io.close()
    guard?.uninstall()
    return seen
  }
  t.same(await talk(true), await talk(false))
})

/** Shakes hands and never answers a close frame. */
async function openDeaf(t: Test, port: number): Promise<net.Socket> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  socket.write(
    'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n' +
      'sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  )
  await once(socket, 'data')
  return socket
}

/** A text frame as clients send it, with a mask of zeros (RFC 6455, section 5.2). */
function frame(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)])
}
