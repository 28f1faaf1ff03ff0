/** One of a pair leaves, and the other is right to go on: nothing is shown, suspected or closed, though all that is asked for. */
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { PassThrough } from 'node:stream'
import t, { type Test } from 'tap'
import { install, installedGuard, type Guard, type GuardEvent } from '../../src/index.js'
import { closeAfter } from '../support/close-after.js'
import { listen } from '../support/events.js'
import { Peer, type PeerConnection } from '../support/peer.js'
import { sweepFor } from '../support/report.js'
import { until } from '../support/until.js'

const peer = new Peer()
t.teardown(() => peer.kill())

const GET = 'GET /feed HTTP/1.1\r\nHost: feeds.example\r\n\r\n'
const UPLOAD = 'POST /upload HTTP/1.1\r\nHost: feeds.example\r\nContent-Length: 1000000\r\n\r\nfirst'
const HEAD = 'HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nx'

interface Target {
  readonly connection: PeerConnection
  readonly port: number
}

async function target(): Promise<Target> {
  const connection = peer.open().do({ do: 'listen' })
  return { connection, port: (await connection.saw('listening')).port! }
}

/** @returns the port of a server that goes with the test */
async function serve<S extends net.Server>(t: Test, server: S): Promise<number> {
  server.on('connection', (socket) => socket.on('error', () => {}))
  return listen(closeAfter(t, server))
}

function connect(t: Test, port: number, options: net.SocketConstructorOpts = {}): net.Socket {
  const socket = new net.Socket(options).on('error', () => {})
  t.teardown(() => socket.destroy())
  return socket.connect(port, '127.0.0.1')
}

async function request(port: number, text: string): Promise<PeerConnection> {
  return (await peer.connect({ port })).do({ do: 'write', text })
}

/** One upstream for two clients, both of which have got something. */
async function tee(
  t: Test,
): Promise<{ clients: [PeerConnection, PeerConnection]; responses: http.ServerResponse[] }> {
  const upstream = await target()
  const responses: http.ServerResponse[] = []
  const port = await serve(
    t,
    http.createServer((_request, response) => {
      responses.push(response)
      if (responses.length < 2) return
      const outgoing = http.get({ port: upstream.port, host: '127.0.0.1', agent: false }, (answer) => {
        for (const each of responses) answer.pipe(each)
      })
      outgoing.on('error', () => {})
    }),
  )
  const clients: [PeerConnection, PeerConnection] = [await request(port, GET), await request(port, GET)]
  await upstream.connection.saw('data')
  upstream.connection.do({ do: 'write', text: HEAD })
  for (const client of clients) await client.saw('data')
  return { clients, responses }
}

/** Each lets one of a pair leave. */
const SCENES: Record<string, (t: Test) => Promise<unknown>> = {
  async 'one of two clients of a tee leaves'(t) {
    const { clients, responses } = await tee(t)
    clients[0].do({ do: 'reset' })
    await once(responses[0]!, 'close')
  },

  async 'an upload into a connection that many share breaks off'(t) {
    const upstream = await target()
    const broker = connect(t, upstream.port)
    await once(broker, 'connect')
    const port = await serve(
      t,
      http.createServer((request) => void request.pipe(broker, { end: false })),
    )
    const client = await request(port, UPLOAD)
    await upstream.connection.saw('data')
    client.do({ do: 'reset' })
  },

  async 'a listener of a feed that was there before it leaves'(t) {
    const upstream = await target()
    const feed = connect(t, upstream.port)
    await once(feed, 'connect')
    const isOld = () =>
      installedGuard()!
        .sweep({ all: true })
        .sockets.some(({ remote, sinceMs }) => remote?.port === upstream.port && sinceMs >= 1100)
    await until(isOld, 'the feed is older than its listeners')
    const port = await serve(
      t,
      http.createServer((_request, response) => void feed.pipe(response)),
    )
    const client = await request(port, GET)
    upstream.connection.do({ do: 'write', text: 'news' })
    await client.saw('data')
    client.do({ do: 'reset' })
  },

  async 'a guest leaves a room that all talk through'(t) {
    const room = new PassThrough()
    const port = await serve(
      t,
      net.createServer((guest) => {
        room.pipe(guest)
        guest.pipe(room, { end: false })
      }),
    )
    const guests: PeerConnection[] = []
    for (const text of ['one', 'two', 'three']) {
      guests.push(await request(port, text))
      await guests[0]!.saw('data', (event) => event.text?.includes(text) === true)
    }
    guests[1]!.do({ do: 'reset' })
  },

  async 'an upload in one direction is over, and its last bytes are on the way'(t) {
    const upstream = await target()
    const port = await serve(
      t,
      net.createServer((client) => void client.pipe(connect(t, upstream.port, { allowHalfOpen: true }))),
    )
    const client = await request(port, 'first')
    await upstream.connection.saw('data')
    client.do({ do: 'end' })
    await upstream.connection.saw('end')
  },

  async 'the upstream of a tunnel has ended, and the client takes its time'(t) {
    const upstream = await target()
    const front = http.createServer()
    front.on('connect', (_request, client: net.Socket) => {
      const outgoing = connect(t, upstream.port)
      client.write('HTTP/1.1 200 OK\r\n\r\n')
      client.pipe(outgoing).pipe(client)
    })
    const client = await request(await serve(t, front), 'CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n')
    await client.saw('data')
    upstream.connection.do({ do: 'write', bytes: 200_000 })
    client.do({ do: 'pause' })
    upstream.connection.do({ do: 'end' })
  },

  async 'a listener of a shared feed ends its side'(t) {
    const upstream = await target()
    const port = await serve(
      t,
      net.createServer({ allowHalfOpen: true }, (client) => {
        connect(t, upstream.port).pipe(client.resume(), { end: false })
      }),
    )
    const client = await peer.connect({ port })
    client.do({ do: 'end' })
  },

  async 'an upload is tried again at another upstream'(t) {
    const [broken, whole] = [await target(), await target()]
    const port = await serve(
      t,
      http.createServer((request, response) => {
        const options = { host: '127.0.0.1', method: 'POST', agent: false }
        const first = http.request({ ...options, port: broken.port })
        first.on('error', () => {
          const second = http.request({ ...options, port: whole.port }, (answer) => answer.pipe(response))
          second.on('error', () => {})
          second.end('all that was kept')
        })
        request.pipe(first)
      }),
    )
    await request(port, UPLOAD)
    await broken.connection.saw('data')
    broken.connection.do({ do: 'reset' })
    await whole.connection.saw('data')
  },

  async 'the answer goes on from another upstream'(t) {
    const [broken, whole] = [await target(), await target()]
    const port = await serve(
      t,
      http.createServer((_request, response) => {
        const first = http.get({ port: broken.port, host: '127.0.0.1', agent: false }, (answer) => {
          answer.pipe(response, { end: false })
          answer.on('error', () => {
            const second = http.get({ port: whole.port, host: '127.0.0.1', agent: false }, (rest) => {
              rest.pipe(response)
            })
            second.on('error', () => {})
          })
        })
        first.on('error', () => {})
      }),
    )
    const client = await request(port, GET)
    await broken.connection.saw('data')
    broken.connection.do({ do: 'write', text: HEAD })
    await client.saw('data')
    broken.connection.do({ do: 'reset' })
    await whole.connection.saw('data')
    whole.connection.do({ do: 'write', text: HEAD })
    await client.saw('data', ({ text }) => text === '1\r\nx\r\n')
  },
}

/** So that what is said of it comes from its pair. */
function isBlamedOnPartner({ socket: { condition, partner } }: GuardEvent): boolean {
  return condition === 'abandoned' || partner?.state === 'closed'
}

function guardAll(t: Test): { guard: Guard; blamed(): string[] } {
  const guard = install({
    graceMs: 600,
    sweepMs: 50,
    action: 'report',
    propagateAbort: 'pipe',
    context: 'off',
  })
  t.teardown(() => guard.uninstall())
  const events: GuardEvent[] = []
  guard.subscribe((event) => void events.push(event))
  return {
    guard,
    blamed: () => events.filter(isBlamedOnPartner).map(({ type, socket }) => `${type}: ${socket.diagnosis}`),
  }
}

for (const [name, scene] of Object.entries(SCENES)) {
  t.test(name, async (t) => {
    const { guard, blamed } = guardAll(t)
    await scene(t)
    await sweepFor(guard, 1300)
    t.same(blamed(), [])
    t.notMatch(
      guard
        .report()
        .pairs.map(({ line }) => line)
        .join('\n'),
      'Destroy both ends',
    )
  })
}

t.test('a client whose upstream has died is served on from elsewhere', async (t) => {
  const { guard, blamed } = guardAll(t)
  const upstream = await target()
  const port = await serve(
    t,
    http.createServer((_request, response) => {
      const outgoing = http.get({ port: upstream.port, host: '127.0.0.1', agent: false }, (answer) => {
        answer.pipe(response, { end: false })
        answer.on('error', () => {
          const writing = setInterval(() => response.write('from a cache'), 20)
          t.teardown(() => clearInterval(writing))
        })
      })
      outgoing.on('error', () => {})
    }),
  )
  const client = await request(port, GET)
  await upstream.connection.saw('data')
  upstream.connection.do({ do: 'write', text: HEAD })
  await client.saw('data')
  upstream.connection.do({ do: 'reset' })
  await sweepFor(guard, 1300)
  t.same(blamed(), [])
})

t.test('the last client of a tee leaves: now nobody waits any more', async (t) => {
  const { blamed } = guardAll(t)
  const { clients } = await tee(t)
  for (const client of clients) client.do({ do: 'reset' })
  const isBlamed = () => blamed().some((told) => told.startsWith('leaked: Outgoing HTTP connection'))
  await until(isBlamed, 'the upstream is leaked')
})
