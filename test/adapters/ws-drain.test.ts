/** A graceful stop of WebSocketServers: close frames first, force later. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { guardServer as guardHttpServer } from '../../adapters/http/index.js'
import { guardServer } from '../../adapters/ws/index.js'
import { install, type Guard } from '../../src/index.js'
import { listen } from '../support/events.js'
import { until } from '../support/until.js'

const AMPLE_MS = 15_000

interface Scene {
  readonly guard: Guard
  readonly wss: WebSocketServer
  readonly server: http.Server | null
  readonly port: number
}

async function scene(t: Test, mode: 'port' | 'server' | 'noServer'): Promise<Scene> {
  const guard = install({ graceMs: 60_000 })
  const server =
    mode === 'port' ? null : http.createServer((_request, response) => response.end('still here'))
  const wss =
    server === null
      ? new WebSocketServer({ port: 0, host: '127.0.0.1' })
      : new WebSocketServer(mode === 'server' ? { server } : { noServer: true })
  wss.on('connection', (webSocket) => {
    webSocket.on('error', () => {})
    webSocket.on('message', (data) => webSocket.send(data))
  })
  if (mode === 'noServer') {
    server!.on('upgrade', (request, socket, head) => {
      wss.handleUpgrade(request, socket, head, (webSocket) => wss.emit('connection', webSocket, request))
    })
  }
  t.teardown(() => {
    for (const webSocket of wss.clients) webSocket.terminate()
    wss.close()
    server?.close()
    server?.closeAllConnections()
    guard.uninstall()
  })
  if (server !== null) return { guard, wss, server, port: await listen(server) }
  await once(wss, 'listening')
  return { guard, wss, server, port: (wss.address() as net.AddressInfo).port }
}

async function open(t: Test, port: number): Promise<WebSocket> {
  const webSocket = new WebSocket(`ws://127.0.0.1:${port}/chat`)
  t.teardown(() => webSocket.terminate())
  webSocket.on('error', () => {})
  await once(webSocket, 'open')
  return webSocket
}

/** Shakes hands and never answers a close frame. */
async function openDeaf(t: Test, port: number): Promise<net.Socket> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  socket.write(
    'GET /deaf HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n' +
      'sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  )
  await once(socket, 'data')
  return socket
}

async function statusOf(port: number): Promise<number | string> {
  try {
    return (await fetch(`http://127.0.0.1:${port}/`)).status
  } catch (error) {
    return ((error as Error).cause as NodeJS.ErrnoException).code ?? 'failed'
  }
}

for (const mode of ['port', 'server', 'noServer'] as const) {
  void t.test(`{ ${mode} }: every client gets a close frame, and is waited for`, async (t) => {
    const { guard, wss, server, port } = await scene(t, mode)
    const { drain } = guardServer(wss)
    const clients = [await open(t, port), await open(t, port)]
    await until(() => wss.clients.size === 2, 'both are open')
    const farewells = Promise.all(clients.map((client) => once(client, 'close')))
    let closed = 0
    wss.on('close', () => (closed += 1))
    t.match(await drain({ timeoutMs: AMPLE_MS, reason: 'restarting' }), {
      ended: 2,
      destroyed: 0,
      remaining: 0,
    })
    t.equal(closed, 1, "the WebSocketServer has emitted 'close'")
    for (const [code, reason] of (await farewells) as [number, Buffer][]) {
      t.equal(code, 1001)
      t.equal(reason.toString(), 'restarting')
    }
    t.same(guard.adapter.socketsOf(wss), [])
    if (server === null) t.equal(await statusOf(port), 'ECONNREFUSED')
    else t.equal(await statusOf(port), 200, 'the HTTP server is not ours to stop')
    t.match(await drain(), { ended: 0, destroyed: 0 }, 'there is nothing left to do')
    t.equal(closed, 1)
  })
}

void t.test('who does not finish the closing handshake is closed by force', async (t) => {
  const { wss, port } = await scene(t, 'port')
  const { drain } = guardServer(wss)
  await open(t, port)
  await openDeaf(t, port)
  const stuck = await openDeaf(t, port)
  stuck.pause()
  // Never got past plain HTTP: nothing is to be waited for.
  const plain = net.connect({ port, host: '127.0.0.1' })
  t.teardown(() => plain.destroy())
  plain.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
  await once(plain, 'data')
  await until(() => wss.clients.size === 3, 'they are open')
  const [, , last] = wss.clients
  last!.send(Buffer.alloc(20_000_000))
  const result = await drain({ timeoutMs: 400, code: 4000 })
  t.match(result, { ended: 2, destroyed: 2, remaining: 0 })
  t.ok(result.elapsedMs >= 400)
  t.equal(wss.clients.size, 0)
})

void t.test('draining the HTTP server says goodbye to its WebSockets', async (t) => {
  const { server, wss, port } = await scene(t, 'server')
  guardServer(wss)
  const { drain } = guardHttpServer(server!)
  const client = await open(t, port)
  const farewell = once(client, 'close')
  t.match(await drain({ timeoutMs: AMPLE_MS }), { ended: 1, destroyed: 0, remaining: 0 })
  t.match(await farewell, [1001])
})

void t.test('WebSocketServer first, then its HTTP server: both end', async (t) => {
  const { server, wss, port } = await scene(t, 'server')
  const ws = guardServer(wss)
  const api = guardHttpServer(server!)
  const client = await open(t, port)
  client.on('close', () => {})
  t.match(await ws.drain({ timeoutMs: AMPLE_MS }), { ended: 1, destroyed: 0 })
  t.match(await api.drain({ timeoutMs: AMPLE_MS }), { ended: 0, destroyed: 0, remaining: 0 })
})

void t.test('after uninstall() a drain still says goodbye', async (t) => {
  const { guard, wss, port } = await scene(t, 'port')
  const { drain, release } = guardServer(wss, {
    heartbeat: { intervalMs: 20, timeoutMs: 10 },
    closeTimeoutMs: 10,
  })
  const early = await open(t, port)
  guard.uninstall()
  const late = await open(t, port)
  const farewells = Promise.all([once(early, 'close'), once(late, 'close')])
  t.match(await drain({ timeoutMs: AMPLE_MS }), { ended: 2, destroyed: 0, remaining: 0 })
  t.match(await farewells, [[1001], [1001]])
  release()
})

void t.test('a guarded WebSocketServer does not keep the process alive', async (t) => {
  const child = fork(new URL('../support/ws-exit-process.js', import.meta.url), { stdio: 'inherit' })
  const [code] = (await once(child, 'exit')) as [number]
  t.equal(code, 0)
})
