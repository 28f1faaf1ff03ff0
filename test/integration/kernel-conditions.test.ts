/**
 * What only the kernel knows: sockets that nobody reads. Each scene with each view of the kernel; which neighbour of a
 * condition is seen depends on buffer sizes and Node's version, but it is never "healthy".
 */
import http from 'node:http'
import net from 'node:net'
import tls from 'node:tls'
import { Writable } from 'node:stream'
import t, { type Test } from 'tap'
import { WebSocketServer } from 'ws'
import { install, type Condition, type Guard, type GuardEvent } from '../../src/index.js'
import { CERTIFICATE } from '../support/certificate.js'
import { listen } from '../support/events.js'
import { Peer, type PeerConnection } from '../support/peer.js'

const UNREAD: readonly Condition[] = ['eof-unread', 'fin-unseen', 'window-closed']

interface Scene {
  readonly name: string
  readonly conditions: readonly Condition[]
  /** Starts a server (or a client) that stops reading. @returns where the peer connects to, if it does */
  start(t: Test, peer: Peer): Promise<number | null>
  play?(connection: PeerConnection): void
  readonly tls?: boolean
  /** Nothing but the kernel could tell. */
  readonly kernelOnly?: boolean
  /** The application has asked for what comes: as long as both sides are open, that is no leak. */
  readonly isAskedFor?: boolean
}

function served(t: Test, server: net.Server): Promise<number> {
  const sockets = new Set<net.Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return listen(server)
}

function post(bytes: number, sent = bytes): (connection: PeerConnection) => void {
  return (connection) => {
    connection.do({
      do: 'write',
      text: `POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: ${bytes}\r\n\r\n`,
    })
    connection.do({ do: 'write', bytes: sent })
    connection.do({ do: 'end' })
  }
}

/** The peer as an upstream: answers whatever comes with a body, then ends. */
async function upstream(peer: Peer, bodyBytes: number): Promise<number> {
  const connection = peer.open().do({ do: 'listen' })
  const { port } = await connection.saw('listening')
  void connection.saw('data').then(() => {
    connection.do({ do: 'write', text: `HTTP/1.1 200 OK\r\nContent-Length: ${bodyBytes}\r\n\r\n` })
    connection.do({ do: 'write', bytes: bodyBytes })
    connection.do({ do: 'end' })
  })
  return port!
}

const SCENES: readonly Scene[] = [
  {
    name: 'pauseOnConnect and forgotten',
    conditions: ['fin-unseen'],
    kernelOnly: true,
    start: (t) => served(t, net.createServer({ pauseOnConnect: true })),
    play: (connection) => connection.do({ do: 'end', text: 'hello' }),
  },
  {
    name: 'an HTTP request body of 150 KB that nobody reads',
    conditions: UNREAD,
    kernelOnly: true,
    start: (t) =>
      served(
        t,
        http.createServer(() => {}),
      ),
    play: post(150_000),
  },
  {
    name: 'an HTTP request body of 1 MB that nobody reads',
    conditions: UNREAD,
    kernelOnly: true,
    start: (t) =>
      served(
        t,
        http.createServer(() => {}),
      ),
    play: post(1_000_000),
  },
  {
    name: 'a pipe into something stuck',
    conditions: UNREAD,
    isAskedFor: true,
    kernelOnly: true,
    start: (t) =>
      served(
        t,
        net.createServer((socket) => socket.pipe(new Writable({ write() {} }))),
      ),
    play: (connection) => connection.do({ do: 'write', bytes: 8_000_000 }),
  },
  {
    name: 'a paused TLS socket',
    conditions: UNREAD,
    isAskedFor: true,
    kernelOnly: true,
    tls: true,
    start: (t) =>
      served(
        t,
        tls.createServer(CERTIFICATE, (socket) => socket.on('error', () => {}).pause()),
      ),
    play: (connection) => connection.do({ do: 'write', bytes: 2_000_000 }).do({ do: 'end' }),
  },
  {
    name: 'a paused WebSocket',
    conditions: UNREAD,
    isAskedFor: true,
    kernelOnly: true,
    start: async (t) => {
      const server = http.createServer()
      const webSockets = new WebSocketServer({ server })
      webSockets.on('connection', (webSocket) => webSocket.on('error', () => {}).pause())
      return served(t, server)
    },
    play: (connection) => {
      const key = 'dGhlIHNhbXBsZSBub25jZQ=='
      const head = `GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n\r\n`
      connection.do({ do: 'write', text: head })
      void connection.saw('data').then(() => connection.do({ do: 'write', bytes: 2_000_000 }))
    },
  },
  {
    name: 'an http.get() response that nobody reads',
    conditions: UNREAD,
    kernelOnly: true,
    start: async (t, peer) => {
      const request = http.get({ port: await upstream(peer, 8_000_000), host: '127.0.0.1' }, () => {})
      request.on('error', () => {})
      t.teardown(() => request.destroy())
      return null
    },
  },
  {
    name: 'a fetch() response that nobody reads',
    conditions: UNREAD,
    kernelOnly: true,
    start: async (t, peer) => {
      const abort = new AbortController()
      const port = await upstream(peer, 8_000_000)
      const response = fetch(`http://127.0.0.1:${port}/`, { signal: abort.signal })
      response.catch(() => {})
      t.teardown(async () => {
        const { body } = await response
        abort.abort()
        await body?.cancel().catch(() => {})
      })
      return null
    },
  },
  {
    name: 'a reset that nobody noticed',
    conditions: ['reset-unseen'],
    start: (t) => served(t, net.createServer({ pauseOnConnect: true })),
    play: (connection) => {
      connection.do({ do: 'write', text: 'hello' })
      void connection.saw('written').then(() => connection.do({ do: 'reset' }))
    },
  },
]

const peer = new Peer()
t.teardown(() => peer.kill())

function firstLeak(guard: Guard): Promise<GuardEvent> {
  return new Promise((resolve) => {
    guard.subscribe((event) => {
      if (event.type === 'leaked' || event.type === 'stalled') resolve(event)
    })
  })
}

for (const kernel of ['ffi', 'proc'] as const) {
  for (const { name, conditions, start, play, tls: usesTls, isAskedFor } of SCENES) {
    t.test(`${kernel}: ${name}`, async (t) => {
      using guard = install({ kernel, graceMs: 400, sweepMs: 50 })
      const leaked = firstLeak(guard)
      const port = await start(t, peer)
      if (port !== null) play?.(await peer.connect({ port, tls: usesTls ?? false }))
      const { type, socket } = await leaked
      const isStall = isAskedFor === true && socket.condition === 'window-closed'
      t.equal(type, isStall ? 'stalled' : 'leaked')
      t.ok(conditions.includes(socket.condition!), `${socket.condition} is one of ${conditions}`)
      t.equal(guard.snapshot().kernel.probe, kernel)
      if (socket.seenBy === 'kernel') {
        t.ok(socket.kernelState, `kernel state: ${socket.kernelState}`)
        t.match(socket.diagnosis, /read/)
      }
      t.match(guard.snapshot().totals, { reclaimed: 0, dead: 0 })
    })
  }
}

t.test('off: what only the kernel knows is not seen, and the report says so', async (t) => {
  using guard = install({ kernel: 'off', graceMs: 200, sweepMs: 50 })
  const [scene] = SCENES
  const connection = await peer.connect({ port: (await scene!.start(t, peer))! })
  scene!.play!(connection)
  const server = net.createServer({ allowHalfOpen: true }, (socket) => socket.resume())
  const other = await peer.connect({ port: await served(t, server) })
  other.do({ do: 'end' })
  // A later leak of another kind is seen, so there was time to see the first.
  t.equal((await firstLeak(guard)).socket.condition, 'eof-ignored')
  t.match(guard.snapshot(), { kernel: { probe: 'none', reason: /off/ }, totals: { leaked: 1 } })
})

t.test('a slow reader is no leak', async (t) => {
  using guard = install({ graceMs: 300, sweepMs: 30 })
  const total = 2_000_000
  let read = 0
  const done = new Promise<void>((resolve) => {
    const server = net.createServer((socket) => {
      socket.on('data', (chunk: Buffer) => {
        read += chunk.length
        if (read >= total) resolve()
        socket.pause()
        setTimeout(() => socket.resume(), 20)
      })
    })
    void served(t, server).then(async (port) => {
      ;(await peer.connect({ port })).do({ do: 'write', bytes: total })
    })
  })
  await done
  t.match(guard.sweep().totals, { leaked: 0, recovered: 0, reclaimed: 0, dead: 0 })
})
