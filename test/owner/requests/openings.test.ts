/** A connection that a request opened is its own, until somebody else may have used it. No sweep helps: all of it is looked up. */
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import t, { type Test } from 'tap'
import { install, type Guard } from '../../../src/index.js'
import { listen } from '../../support/events.js'

interface Backend {
  readonly port: number
  siteIn(guard: Guard): string
}

/** Answers every word with a word. */
async function startBackend(t: Test): Promise<Backend> {
  const server = net.createServer((socket) => {
    socket.on('error', () => {}).on('data', () => socket.write('answer'))
  })
  t.teardown(() => server.close())
  const port = await listen(server)
  return {
    port,
    siteIn(guard) {
      const { sockets } = guard.snapshot({ all: true })
      return sockets.find(({ direction, remote }) => direction === 'outbound' && remote?.port === port)!.owner
        .site
    },
  }
}

async function serve(t: Test, server: http.Server): Promise<number> {
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return listen(server)
}

async function get(port: number, path: string): Promise<void> {
  const [response] = (await once(http.get({ port, host: '127.0.0.1', path, agent: false }), 'response')) as [
    http.IncomingMessage,
  ]
  await once(response.resume(), 'end')
}

function open(t: Test, port: number): net.Socket {
  const socket = net.connect(port, '127.0.0.1').on('error', () => {})
  t.teardown(() => socket.destroy())
  return socket
}

t.test('it keeps the name of the request that used and forgot it', async (t) => {
  using guard = install({ context: 'async-local-storage', sweepMs: 60_000 })
  const backend = await startBackend(t)
  const port = await serve(
    t,
    http.createServer((_request, response) => {
      const socket = open(t, backend.port)
      socket.write('question')
      socket.once('data', (data) => response.end(data))
    }),
  )
  await get(port, '/forgets')
  t.equal(backend.siteIn(guard), `GET /forgets → 127.0.0.1:${backend.port}`)
})

t.test('once it moves bytes after that, it is nobody’s', async (t) => {
  using guard = install({ context: 'async-local-storage', sweepMs: 60_000 })
  const backend = await startBackend(t)
  let shared: net.Socket | null = null
  const port = await serve(
    t,
    http.createServer((_request, response) => {
      shared ??= open(t, backend.port)
      shared.write('question')
      shared.once('data', (data) => response.end(data))
    }),
  )
  await get(port, '/first')
  t.equal(backend.siteIn(guard), `GET /first → 127.0.0.1:${backend.port}`)
  await get(port, '/second')
  t.equal(backend.siteIn(guard), `to 127.0.0.1:${backend.port}`)
})

t.test('a client that leaves ends its request as well', async (t) => {
  using guard = install({ context: 'async-local-storage', sweepMs: 60_000 })
  const backend = await startBackend(t)
  let shared: net.Socket | null = null
  const server = http.createServer((_request, response) => {
    shared = open(t, backend.port)
    response.write('begun')
  })
  const gone = new Promise<void>((resolve) => {
    server.once('request', ({ socket }: http.IncomingMessage) => socket.once('close', () => resolve()))
  })
  const client = open(t, await serve(t, server))
  client.write('GET /left HTTP/1.1\r\nHost: a\r\n\r\n')
  await once(client, 'data')
  client.destroy()
  await gone
  t.equal(backend.siteIn(guard), `GET /left → 127.0.0.1:${backend.port}`)
  shared!.write('question')
  await once(shared!, 'data')
  t.equal(backend.siteIn(guard), `to 127.0.0.1:${backend.port}`)
})

t.test('of an upgrade it is for as long as the client stays', async (t) => {
  using guard = install({ context: 'async-local-storage', sweepMs: 60_000 })
  const backend = await startBackend(t)
  const server = http.createServer().on('upgrade', (_request, client: net.Socket) => {
    const socket = open(t, backend.port)
    client.on('error', () => {}).on('data', (data) => socket.write(data))
    socket.on('data', (data) => client.write(data))
    client.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n')
  })
  const client = open(t, await serve(t, server))
  client.write('GET /live HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n')
  await once(client, 'data')
  client.write('question')
  await once(client, 'data')
  t.equal(backend.siteIn(guard), `upgrade /live → 127.0.0.1:${backend.port}`)
  client.destroy()
})
