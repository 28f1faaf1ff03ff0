/** A graceful stop of HTTP servers, with clients in another process that do what clients do. */
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import t, { type Test } from 'tap'
import { guardServer, reportHandler } from '../../adapters/http/index.js'
import { install, type Guard } from '../../src/index.js'
import { CERTIFICATE } from '../support/certificate.js'
import { statesOf } from '../support/descriptors.js'
import { listen } from '../support/events.js'
import { Peer, type PeerConnection } from '../support/peer.js'
import { until } from '../support/until.js'

const peer = new Peer()
t.teardown(() => peer.kill())

/** Longer than any of these tests takes when all is well. */
const AMPLE_MS = 15_000

const BIG = 20_000_000

interface Scene {
  readonly guard: Guard
  readonly server: http.Server
  readonly port: number
  /** Responses that the handler of `/wait` has not ended. */
  readonly waiting: http.ServerResponse[]
}

async function scene(t: Test, secure = false): Promise<Scene> {
  const guard = install({ graceMs: 60_000 })
  const waiting: http.ServerResponse[] = []
  function onRequest(request: http.IncomingMessage, response: http.ServerResponse): void {
    switch (request.url) {
      case '/big':
        response.end(Buffer.alloc(BIG))
        return
      case '/stream':
        response.write('begun ')
        waiting.push(response)
        return
      case '/wait':
        waiting.push(response)
        return
      case '/never':
        return
      default:
        response.end('ok')
    }
  }
  const server = (
    secure ? https.createServer(CERTIFICATE, onRequest) : http.createServer(onRequest)
  ) as http.Server
  server.keepAliveTimeout = 60_000
  server.on('upgrade', (_request, socket: net.Socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: test\r\n\r\n')
  })
  server.on('connect', (_request, socket: net.Socket) => {
    socket.write('HTTP/1.1 200 OK\r\n\r\n')
  })
  const port = await listen(server)
  t.teardown(() => {
    for (const socket of guard.adapter.socketsOf(server)) socket.destroy()
    server.close()
    guard.uninstall()
  })
  return { guard, server, port, waiting }
}

interface AskOptions {
  readonly paused?: boolean
  readonly tls?: boolean
}

async function ask(port: number, text: string, options: AskOptions = {}): Promise<PeerConnection> {
  const connection = await peer.connect({ port, ...options })
  if (text !== '') connection.do({ do: 'write', text })
  return connection
}

function get(port: number, path: string, options?: AskOptions): Promise<PeerConnection> {
  return ask(port, `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`, options)
}

function upgrade(port: number, options?: AskOptions): Promise<PeerConnection> {
  return ask(port, 'GET /up HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: test\r\n\r\n', options)
}

async function answered(connection: PeerConnection, status: number): Promise<void> {
  await connection.saw('data', ({ text }) => text?.startsWith(`HTTP/1.1 ${status}`) === true)
}

function textOf(connection: PeerConnection): string {
  return connection.seen.map(({ text }) => text ?? '').join('')
}

function bytesOf(connection: PeerConnection): number {
  return Math.max(0, ...connection.seen.map(({ bytes }) => bytes ?? 0))
}

/** Ends in turn: closes its side as soon as the other has closed its own. */
function closeInTurn(connection: PeerConnection): void {
  void connection.saw('end').then(() => connection.do({ do: 'end' }))
}

for (const secure of [false, true]) {
  const tls = secure
  void t.test(`everything that can finish does (${secure ? 'https' : 'http'})`, async (t) => {
    const { guard, server, port, waiting } = await scene(t, secure)
    const { drain } = guardServer(server)
    const idle = await get(port, '/', { tls })
    await answered(idle, 200)
    const silent = await ask(port, '', { tls })
    const upgraded = await upgrade(port, { tls })
    await answered(upgraded, 101)
    const tunnel = await ask(port, 'CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n', { tls })
    await answered(tunnel, 200)
    const inFlight = await get(port, '/wait', { tls })
    const streaming = await get(port, '/stream', { tls })
    await until(() => waiting.length === 2, 'both requests are being served')
    const slow = await get(port, '/big', { tls, paused: true })
    await until(
      () => guard.adapter.socketsOf(server).some((socket) => socket.writableLength > 1_000_000),
      'the response does not fit into the kernel',
    )
    const all = [idle, silent, upgraded, tunnel, inFlight, streaming, slow]
    for (const connection of all) closeInTurn(connection)
    t.equal(guard.adapter.socketsOf(server).length, all.length)
    let closed = false
    server.once('close', () => (closed = true))

    const drained = drain({ timeoutMs: AMPLE_MS })
    t.notOk(server.listening)
    await idle.saw('end')
    await upgraded.saw('end')
    await tunnel.saw('end')
    t.notOk(inFlight.has('end') || streaming.has('end'), 'requests in flight go on')
    waiting[0]!.end(waiting[0]!.req.url === '/wait' ? 'done' : 'and done')
    waiting[1]!.end(waiting[1]!.req.url === '/wait' ? 'done' : 'and done')
    slow.do({ do: 'resume' })

    const result = await drained
    t.match(result, { ended: all.length, destroyed: 0, remaining: 0 })
    t.ok(closed, "the server has emitted 'close'")
    await Promise.all(all.map((connection) => connection.saw('close')))
    t.match(textOf(inFlight), /connection: close\r\n/i, 'the client is told')
    t.match(textOf(inFlight), /done$/)
    t.match(textOf(streaming), /and done\r\n0\r\n\r\n$/)
    t.ok(bytesOf(slow) > BIG, 'the response that was still being sent is whole')
    t.notOk(
      all.some((connection) => connection.has('error')),
      'nobody was reset',
    )
    t.equal(server.listenerCount('close'), 0)
  })
}

void t.test('what does not finish is closed by force, and counted', async (t) => {
  const { guard, server, port } = await scene(t)
  const { drain } = guardServer(server)
  const never = await get(port, '/never')
  const stuck = await get(port, '/big', { paused: true })
  const upgraded = await upgrade(port)
  await answered(upgraded, 101)
  const idle = await get(port, '/')
  await answered(idle, 200)
  closeInTurn(idle)
  await until(
    () => guard.adapter.socketsOf(server).some((socket) => socket.writableLength > 0),
    'output is blocked',
  )
  const { port: stuckPort } = await stuck.saw('connected')

  const result = await drain({ timeoutMs: 300 })
  t.match(result, { ended: 1, destroyed: 3, remaining: 0 })
  t.ok(result.elapsedMs >= 300)
  t.same(guard.adapter.socketsOf(server), [])
  t.same(
    statesOf(port, stuckPort!),
    [],
    'reset: the kernel keeps no orphan of the one whose output was blocked',
  )
  await never.saw('end')
  await upgraded.saw('end')
})

void t.test('timeoutMs 0 closes everything at once', async (t) => {
  const { server, port } = await scene(t)
  const { drain } = guardServer(server)
  await get(port, '/never')
  await answered(await upgrade(port), 101)
  await answered(await get(port, '/'), 200)
  t.match(await drain({ timeoutMs: 0 }), { ended: 1, destroyed: 2, remaining: 0 }, 'the idle one ended')
})

void t.test('a second drain with less time ends the first one, and both tell the truth', async (t) => {
  const { server, port, waiting } = await scene(t)
  const { drain } = guardServer(server)
  await get(port, '/never')
  const inFlight = await get(port, '/wait')
  await until(() => waiting.length === 1, 'it is being served')
  const first = drain({ timeoutMs: AMPLE_MS })
  const second = drain({ timeoutMs: 400 })
  waiting[0]!.end('done')
  closeInTurn(inFlight)
  t.match(await second, { ended: 1, destroyed: 1, remaining: 0 })
  t.match(await first, { ended: 1, destroyed: 1, remaining: 0 })
  t.match(await drain(), { ended: 0, destroyed: 0, remaining: 0 }, 'and a third has nothing to do')
})

void t.test(
  'a request that comes while the server drains is answered, and ends its connection',
  async (t) => {
    const { server, port, waiting } = await scene(t)
    const { drain } = guardServer(server)
    const early = await ask(port, '')
    const busy = await get(port, '/wait')
    await until(() => waiting.length === 1, 'it is being served')
    const drained = drain({ timeoutMs: AMPLE_MS })
    early.do({ do: 'write', text: 'GET /late HTTP/1.1\r\nhost: x\r\n\r\n' })
    // Pipelined behind the one in flight, whose response has announced the end: not answered, as HTTP allows.
    busy.do({ do: 'write', text: 'GET /wait HTTP/1.1\r\nhost: x\r\n\r\n' })
    closeInTurn(early)
    closeInTurn(busy)
    await early.saw('end')
    t.match(textOf(early), /^HTTP\/1\.1 200[^]*connection: close[^]*ok$/i)
    await until(() => waiting.length === 2, 'the second has come')
    for (const response of waiting) response.end('done')
    t.match(await drained, { ended: 2, destroyed: 0, remaining: 0 })
    await busy.saw('data', ({ text }) => text?.endsWith('done') === true)
  },
)

void t.test('a socket that is handed in while the server drains is drained too', async (t) => {
  const { guard, server, port, waiting } = await scene(t)
  const { drain } = guardServer(server)
  const front = net.createServer({ allowHalfOpen: true }, (socket) => {
    server.emit('connection', socket)
  })
  const frontPort = await listen(front)
  t.teardown(() => front.close())
  const busy = await get(port, '/wait')
  await until(() => waiting.length === 1, 'it is being served')
  const drained = drain({ timeoutMs: AMPLE_MS })
  const late = await get(frontPort, '/')
  closeInTurn(late)
  await late.saw('end')
  t.match(textOf(late), /connection: close/i)
  const silent = await ask(frontPort, '')
  await until(() => guard.adapter.socketsOf(server).length === 2, 'it is there')
  for (const connection of [busy, silent]) closeInTurn(connection)
  waiting[0]!.end('done')
  t.match(await drained, { ended: 3, destroyed: 0, remaining: 0 })
})

void t.test('a socket that is upgraded only while the server drains is ended too', async (t) => {
  const { guard, server, port } = await scene(t)
  const { drain } = guardServer(server)
  const late = await ask(port, '')
  await until(() => guard.adapter.socketsOf(server).length === 1, 'it is accepted')
  const drained = drain({ timeoutMs: AMPLE_MS })
  late.do({
    do: 'write',
    text: 'GET /up HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: test\r\n\r\n',
  })
  closeInTurn(late)
  await answered(late, 101)
  t.match(await drained, { ended: 1, destroyed: 0, remaining: 0 })
})

void t.test('a response that is done before its request is waits for the rest of the request', async (t) => {
  const { server, port } = await scene(t)
  const { drain } = guardServer(server)
  const upload = await ask(port, 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 20\r\n\r\n0123456789')
  await answered(upload, 200)
  const drained = drain({ timeoutMs: AMPLE_MS })
  t.notOk(upload.has('end') || upload.has('error'))
  upload.do({ do: 'write', text: '0123456789' })
  await upload.saw('end')
  upload.do({ do: 'end' })
  t.match(await drained, { ended: 1, destroyed: 0, remaining: 0 })
  t.notOk(upload.has('error'))
})

void t.test('connections from before the guard are waited for, and closed in the end', async (t) => {
  const server = http.createServer(() => {})
  const port = await listen(server)
  const accepted = once(server, 'connection') as Promise<[net.Socket]>
  const connection = await ask(port, 'GET / HTTP/1.1\r\nhost')
  const [socket] = await accepted
  await until(() => socket.bytesRead > 0, 'the beginning of a request has come')
  const guard = install({ graceMs: 60_000 })
  t.teardown(() => guard.uninstall())
  const { drain } = guardServer(server)
  t.same(guard.adapter.socketsOf(server), [socket], 'the guard has found it')
  const result = await drain({ timeoutMs: 200 })
  t.match(result, { ended: 0, destroyed: 1, remaining: 0 })
  t.ok(result.elapsedMs >= 200, 'it had its time')
  await connection.saw('end')
})

void t.test('a server that was never started, or is closed already, drains as well', async (t) => {
  const { guard, server, port, waiting } = await scene(t)
  const never = guardServer(http.createServer())
  t.match(await never.drain(), { ended: 0, destroyed: 0, remaining: 0 })
  const { drain } = guardServer(server)
  const inFlight = await get(port, '/wait')
  await until(() => waiting.length === 1, 'it is being served')
  server.close()
  closeInTurn(inFlight)
  setTimeout(() => waiting[0]!.end('done'), 50)
  t.match(await drain({ timeoutMs: AMPLE_MS }), { ended: 1, destroyed: 0, remaining: 0 })
  t.same(guard.adapter.socketsOf(server), [])
})

void t.test("an application's own close() is called, once", async (t) => {
  const { server } = await scene(t)
  let calls = 0
  const close = server.close.bind(server)
  server.close = (callback) => {
    calls += 1
    return close(callback)
  }
  const { drain } = guardServer(server)
  await Promise.all([drain(), drain()])
  await drain()
  t.equal(calls, 1)
})

void t.test('a page that follows the events of a mounted report does not hold a drain up', async (t) => {
  const guard = install({ graceMs: 60_000 })
  t.teardown(() => guard.uninstall())
  const server = http.createServer(reportHandler({ allow: () => true }))
  const port = await listen(server)
  const { drain } = guardServer(server)
  const page = await ask(port, 'GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await answered(page, 200)
  closeInTurn(page)
  t.match(await drain({ timeoutMs: AMPLE_MS }), { ended: 1, destroyed: 0 })
})
