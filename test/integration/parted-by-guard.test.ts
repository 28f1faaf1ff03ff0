/** One of a pair is closed by the guard itself, or leaves by itself and nobody acts: the other is followed up and told. */
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import t, { type Test } from 'tap'
import { install, type Guard, type GuardEvent, type InstallOptions } from '../../src/index.js'
import { closeAfter } from '../support/close-after.js'
import { listen, nextEvent } from '../support/events.js'
import { Peer, type PeerConnection } from '../support/peer.js'
import { sweepFor } from '../support/report.js'
import { until } from '../support/until.js'

const peer = new Peer()
t.teardown(() => peer.kill())

const HEAD = 'HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nx'
const UPGRADE = 'GET /live/7 HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'

interface Watched {
  readonly guard: Guard
  readonly events: GuardEvent[]
  readonly lines: string[]
}

function watch(t: Test, options: InstallOptions): Watched {
  const lines: string[] = []
  const guard = install({ graceMs: 300, sweepMs: 50, log: (line) => lines.push(line), ...options })
  t.teardown(() => {
    for (const { id } of guard.snapshot({ all: true }).sockets) guard.reclaim(id, 'destroy')
    guard.uninstall()
  })
  const events: GuardEvent[] = []
  guard.subscribe((event) => void events.push(event))
  return { guard, events, lines }
}

async function target(): Promise<{ connection: PeerConnection; port: number }> {
  const connection = peer.open().do({ do: 'listen' })
  return { connection, port: (await connection.saw('listening')).port! }
}

async function serve<S extends net.Server>(t: Test, server: S): Promise<number> {
  server.on('connection', (socket) => socket.on('error', () => {}))
  return listen(closeAfter(t, server))
}

async function request(port: number, text: string): Promise<PeerConnection> {
  return (await peer.connect({ port })).do({ do: 'write', text })
}

type Join = (client: net.Socket, upstream: net.Socket) => void

/** A proxy for CONNECT, in which nobody passes the end of the client on. */
async function tunnel(t: Test, join: Join) {
  const upstream = await target()
  const proxy = http.createServer()
  const opened = new Promise<[net.Socket, net.Socket]>((resolve) => {
    proxy.on('connect', ({ url }, client: net.Socket) => {
      const [host, port] = url!.split(':')
      const outgoing = net.connect({ host: host!, port: Number(port) }).on('error', () => {})
      outgoing.on('connect', () => {
        client.write('HTTP/1.1 200 OK\r\n\r\n')
        join(client, outgoing)
        resolve([client, outgoing])
      })
    })
  })
  const name = `127.0.0.1:${upstream.port}`
  const connection = await request(await serve(t, proxy), `CONNECT ${name} HTTP/1.1\r\nHost: ${name}\r\n\r\n`)
  await connection.saw('data')
  const [client, outgoing] = await opened
  return { connection, upstream: upstream.connection, client, outgoing, name: `CONNECT ${name}` }
}

const JOINS: Record<string, Join> = {
  'piped in one direction'(client, upstream) {
    upstream.pipe(client)
    client.on('data', (data) => upstream.write(data))
  },
  'copied by hand'(client, upstream) {
    upstream.on('data', (data) => client.write(data))
    client.on('data', (data) => upstream.write(data))
  },
}

for (const [how, join] of Object.entries(JOINS)) {
  t.test(`a tunnel whose client the guard has closed, ${how}`, async (t) => {
    const { events } = watch(t, { action: 'destroy', escalateMs: 100 })
    const { connection, upstream, client, name } = await tunnel(t, join)
    const talk = setInterval(() => upstream.do({ do: 'write', text: 'for nobody' }), 30)
    t.teardown(() => clearInterval(talk))
    connection.do({ do: 'end', text: 'hello' })
    await once(client, 'end')
    clearInterval(talk)
    await until(() => events.filter(({ type }) => type === 'reclaimed').length === 2, 'both are closed')
    t.match(
      events.filter(({ type }) => type === 'leaked').map(({ socket }) => socket),
      [
        { direction: 'inbound', condition: 'eof-ignored', owner: { site: name } },
        { direction: 'outbound', condition: 'abandoned', partner: { state: 'closed' } },
      ],
    )
    t.match(events.at(-1)!.socket.owner.site, `${name} → `, 'both sides have one name')
    await upstream.saw('end')
  })

  t.test(`a tunnel whose upstream the guard has closed, ${how}`, async (t) => {
    const { guard } = watch(t, { action: 'report' })
    const { outgoing } = await tunnel(t, join)
    const leaked = nextEvent(guard, 'leaked')
    const { id } = guard.adapter.describe(outgoing)!
    guard.reclaim(id, 'destroy')
    t.match((await leaked).socket, { direction: 'inbound', condition: 'abandoned', partner: { id } })
  })

  t.test(`a tunnel that was ended in good order, ${how}`, async (t) => {
    const { guard, events, lines } = watch(t, { action: 'destroy' })
    const { connection, upstream } = await tunnel(t, (client, outgoing) => {
      join(client, outgoing)
      client.on('end', () => outgoing.end())
      outgoing.on('end', () => client.end())
    })
    connection.do({ do: 'end' })
    await upstream.saw('end')
    upstream.do({ do: 'end' })
    await connection.saw('close')
    await sweepFor(guard, 700)
    t.same([events, lines], [[], []])
  })
}

t.test('what the application does with the answer of an upstream is its own affair', async (t) => {
  const { guard, events } = watch(t, { context: 'async-local-storage' })
  const upstream = await target()
  const server = http.createServer((_request, response) => {
    const outgoing = http.get({ port: upstream.port, host: '127.0.0.1', agent: false }, (answer) => {
      answer.on('data', () => {})
      response.write('working')
    })
    outgoing.on('error', () => {})
  })
  const client = await request(await serve(t, server), 'GET /job HTTP/1.1\r\nHost: a\r\n\r\n')
  await upstream.connection.saw('data')
  upstream.connection.do({ do: 'write', text: HEAD })
  await client.saw('data')
  const { sockets } = guard.snapshot({ all: true })
  const streaming = setInterval(() => upstream.connection.do({ do: 'write', bytes: 1000 }), 20)
  guard.reclaim(sockets.find(({ direction }) => direction === 'inbound')!.id, 'destroy')
  await sweepFor(guard, 900)
  t.same(
    events.map(({ type }) => type),
    ['reclaimed'],
    'it is used while it moves',
  )
  const leaked = nextEvent(guard, 'leaked')
  clearInterval(streaming)
  t.match((await leaked).socket, { direction: 'outbound', condition: 'abandoned' })
})

t.test('what others use too, or is exempt, does not follow', async (t) => {
  const { guard, events } = watch(t, { action: 'destroy' })
  const upstream = await target()
  const broker = net.connect(upstream.port, '127.0.0.1').on('error', () => {})
  t.teardown(() => broker.destroy())
  const clients: net.Socket[] = []
  const port = await serve(
    t,
    net.createServer((client) => {
      clients.push(client)
      client.pipe(broker, { end: false })
    }),
  )
  await request(port, 'one')
  await upstream.connection.saw('data')
  const { client, outgoing } = await tunnel(t, JOINS['copied by hand']!)
  guard.exempt(outgoing)
  for (const socket of [clients[0]!, client]) guard.reclaim(guard.adapter.describe(socket)!.id, 'destroy')
  await sweepFor(guard, 900)
  t.same(
    events.map(({ type }) => type),
    ['reclaimed', 'reclaimed'],
  )
  t.notOk(broker.destroyed || outgoing.destroyed)
})

t.test('a parted pair gets one line, when a grace has passed', async (t) => {
  const { guard, events, lines } = watch(t, { context: 'async-local-storage' })
  const upstream = await target()
  const server = http.createServer((_request, response) => {
    const outgoing = http.get({ port: upstream.port, host: '127.0.0.1', agent: false }, (answer) => {
      answer.pipe(response)
      // Somebody else reads on.
      answer.on('data', () => {})
    })
    outgoing.on('error', () => {})
  })
  const client = await request(await serve(t, server), 'GET /feed/7 HTTP/1.1\r\nHost: a\r\n\r\n')
  await upstream.connection.saw('data')
  upstream.connection.do({ do: 'write', text: HEAD })
  await client.saw('data')
  const streaming = setInterval(() => upstream.connection.do({ do: 'write', bytes: 1000 }), 20)
  t.teardown(() => clearInterval(streaming))
  client.do({ do: 'reset' })
  await until(() => lines.length > 0, 'it is told')
  t.match(lines[0], /^socket-leak-guard: parted at GET \/feed\/:id: .* left .* still .* Destroy both ends/)
  await sweepFor(guard, 400)
  t.equal(lines.length, 1)
  t.same(events, [])
  t.equal(guard.snapshot().totals.leaked, 0)
})

for (const event of ['upgrade', 'connect'] as const) {
  t.test(
    `the upstream that the handler of '${event}' has asked is its partner until it answers`,
    async (t) => {
      const { guard, lines } = watch(t, { context: 'async-local-storage' })
      const upstream = await target()
      const proxy = http.createServer()
      proxy.on(event, ({ method, url, headers }, client: net.Socket) => {
        const options = { port: upstream.port, host: '127.0.0.1', method, path: url, headers, agent: false }
        http
          .request(options)
          .on(event, (_answer, outgoing: net.Socket) => client.write(outgoing.read() ?? ''))
          .on('error', () => {})
          .end()
      })
      const text =
        event === 'upgrade' ? UPGRADE : 'CONNECT bank.example:443 HTTP/1.1\r\nHost: bank.example:443\r\n\r\n'
      const client = await request(await serve(t, proxy), text)
      await upstream.connection.saw('data')
      t.match(guard.snapshot({ all: true }).pairs, [{ by: 'context' }])
      const [waiting] = guard.snapshot({ all: true }).sockets
      t.match(waiting!.diagnosis, `(nor has its upstream 127.0.0.1:${upstream.port})`)
      client.do({ do: 'reset' })
      await until(() => lines.length > 0, 'it is told')
      const site = event === 'upgrade' ? 'upgrade /live/:id' : 'CONNECT bank.example:443'
      t.match(lines, [`parted at ${site}: The client left`])
      t.match(lines, ["Destroy the upstream on the client's 'close'."])
      t.match(guard.snapshot().pairs, [{ sides: [{ site }, { site: `${site} → ` }] }])
    },
  )
}
