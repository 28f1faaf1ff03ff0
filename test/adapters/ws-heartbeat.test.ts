/** Who is pinged, who is terminated, and who must not be. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import type net from 'node:net'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { guardServer, type WebSocketServerOptions } from '../../adapters/ws/index.js'
import { install } from '../../src/index.js'
import { until } from '../support/until.js'

const BEAT = { intervalMs: 400, timeoutMs: 300 }

async function serve(
  t: Test,
  options: WebSocketServerOptions,
): Promise<{ wss: WebSocketServer; port: number; accepted: WebSocket[] }> {
  const guard = install({ graceMs: 60_000 })
  const accepted: WebSocket[] = []
  const wss = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  wss.on('connection', (webSocket) => {
    accepted.push(webSocket)
    webSocket.on('error', () => {})
  })
  t.teardown(() => {
    for (const webSocket of accepted) webSocket.terminate()
    wss.close()
    guard.uninstall()
  })
  await once(wss, 'listening')
  guardServer(wss, options)
  return { wss, port: (wss.address() as net.AddressInfo).port, accepted }
}

/** Shakes hands, and does not even know what a ping is. */
async function deafClient(t: Test, port: number): Promise<net.Socket> {
  const socket = connect({ port, host: '127.0.0.1' })
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  socket.write(
    'GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n' +
      'sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  )
  await once(socket, 'data')
  return socket
}

async function client(t: Test, port: number): Promise<WebSocket> {
  const webSocket = new WebSocket(`ws://127.0.0.1:${port}/`)
  t.teardown(() => webSocket.terminate())
  await once(webSocket, 'open')
  return webSocket
}

/** A healthy client counts the rounds of a server's heartbeat. */
async function rounds(t: Test, port: number, count: number, isOver = () => false): Promise<void> {
  const healthy = await client(t, port)
  let pings = 0
  healthy.on('ping', () => (pings += 1))
  await until(() => pings >= count || isOver(), `${count} rounds of pings`)
  healthy.terminate()
}

void t.test('who does not answer is terminated, who answers is not', async (t) => {
  const { port, accepted, wss } = await serve(t, { heartbeat: BEAT })
  const alive = await client(t, port)
  let pings = 0
  alive.on('ping', () => (pings += 1))
  const deaf = await deafClient(t, port)
  await until(() => accepted.length === 2, 'both are open')
  const startedMs = performance.now()
  const [code] = (await once(accepted[1]!, 'close')) as [number]
  t.equal(code, 1006)
  t.ok(performance.now() - startedMs >= BEAT.timeoutMs)
  await until(() => pings >= 3, 'the one that lives is pinged on')
  t.equal(accepted[0]!.readyState, WebSocket.OPEN)
  t.equal(accepted[0]!.listenerCount('pong'), 0, 'nobody listens on a healthy WebSocket')
  t.equal(wss.clients.size, 1)
  t.ok(deaf.destroyed || deaf.readableEnded || (await once(deaf, 'close')))
})

void t.test('who says anything at all lives', async (t) => {
  const { port, accepted } = await serve(t, { heartbeat: BEAT })
  const deaf = await deafClient(t, port)
  const talk = setInterval(() => deaf.write(Buffer.from([0x81, 0x80, 0, 0, 0, 0])), 50)
  t.teardown(() => clearInterval(talk))
  await rounds(t, port, 4)
  t.equal(accepted[0]!.readyState, WebSocket.OPEN)
})

void t.test('a WebSocket that the application has paused is left alone', async (t) => {
  const { port, accepted } = await serve(t, { heartbeat: BEAT })
  await deafClient(t, port)
  accepted[0]!.pause()
  await rounds(t, port, 4)
  t.equal(accepted[0]!.readyState, WebSocket.OPEN)
  accepted[0]!.resume()
  await once(accepted[0]!, 'close')
})

void t.test('a blocked event loop of ours is nobody else’s silence', async (t) => {
  const { port, accepted } = await serve(t, { heartbeat: BEAT })
  const child = fork(new URL('../support/ws-client-process.js', import.meta.url), [String(port)])
  t.teardown(() => child.kill())
  await once(child, 'message')
  let pongs = 0
  accepted[0]!.on('pong', () => (pongs += 1))
  while (pongs < 5 && accepted[0]!.readyState === WebSocket.OPEN) {
    // The answer comes while we are blocked, and its time is over when we look up.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BEAT.timeoutMs + 50)
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.equal(accepted[0]!.readyState, WebSocket.OPEN)
})

void t.test('a peer that reads slowly what was queued before the ping lives', async (t) => {
  const { port, accepted } = await serve(t, { heartbeat: { intervalMs: 800, timeoutMs: 300 } })
  const deaf = await deafClient(t, port)
  await until(() => accepted.length === 1, 'it is open')
  deaf.pause()
  const bytes = 150_000_000
  accepted[0]!.send(Buffer.alloc(bytes))
  let received = 0
  deaf.on('data', (data) => {
    received += data.length
    // In bursts of some megabytes, so that every one of them opens the window.
    if (received % 3_000_000 < data.length) deaf.pause()
  })
  const reading = setInterval(() => deaf.resume(), 100)
  t.teardown(() => clearInterval(reading))
  await rounds(t, port, 4, () => received >= bytes / 2)
  clearInterval(reading)
  deaf.pause()
  t.ok(received > 0 && received < bytes, `${received} bytes so far`)
  t.equal(accepted[0]!.readyState, WebSocket.OPEN)
  // And when it stops reading for good, it is found out.
  await once(accepted[0]!, 'close')
})

void t.test('there is none unless asked for', async (t) => {
  const { port, accepted } = await serve(t, {})
  const alive = await client(t, port)
  let pings = 0
  alive.on('ping', () => (pings += 1))
  const other = await serve(t, { heartbeat: BEAT })
  await rounds(t, other.port, 4)
  t.equal(pings, 0)
  t.equal(accepted[0]!.readyState, WebSocket.OPEN)
})
