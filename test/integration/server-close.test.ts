/** After `server.close()`: what keeps the server open is named, and what keeps the process alive when nothing listens any more. */
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { install, type Guard, type Report } from '../../src/index.js'
import { closeAfter } from '../support/close-after.js'
import { listen } from '../support/events.js'
import { HELLO } from '../support/http2-frames.js'
import { REGISTER } from '../support/package-root.js'
import { runNode } from '../support/run-node.js'
import { until } from '../support/until.js'

const QUICK = { graceMs: 300, sweepMs: 50, logIntervalMs: 0 } as const

type Closing = Report['closing'][number]

interface Kind {
  readonly server: () => net.Server
  readonly says: string | Buffer
  readonly ends?: boolean
  readonly how: Closing['holders'][number]['how']
  readonly site: RegExp
  readonly line: RegExp
}

const take = (_request: unknown, socket: net.Socket): void => {
  socket
    .on('error', () => {})
    .resume()
    .write('HTTP/1.1 200 OK\r\n\r\n')
}

const KINDS: Readonly<Record<string, Kind>> = {
  upgraded: {
    server: () => http.createServer().on('upgrade', take),
    says: 'GET /feed HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: feed\r\n\r\n',
    how: 'upgrade',
    site: /^upgrade \/feed$/,
    line: /2 upgraded \(upgrade \/feed\)\. Destroy them/,
  },
  CONNECT: {
    server: () => http.createServer().on('connect', take),
    says: 'CONNECT db.test:5432 HTTP/1.1\r\nHost: db.test:5432\r\n\r\n',
    how: 'connect',
    site: /^CONNECT db\.test:5432$/,
    line: /2 CONNECT \(CONNECT db\.test:5432\)\. Destroy them/,
  },
  'half-open': {
    server: () =>
      net.createServer({ allowHalfOpen: true }, (socket) => socket.on('error', () => {}).resume()),
    says: 'hello',
    ends: true,
    how: 'half-open',
    site: /^listener :\d+$/,
    line: /2 half-open\. Destroy them/,
  },
  'HTTP/2': {
    server: () => http2.createServer(),
    says: HELLO,
    how: 'h2',
    site: /^listener :\d+$/,
    line: /2 HTTP\/2\. Call session\.close\(\) for each session/,
  },
  unanswered: {
    server: () => http.createServer(() => {}),
    says: 'GET /never/7 HTTP/1.1\r\nHost: a\r\n\r\n',
    how: 'unanswered',
    site: /^GET \/never\/:id$/,
    line: /2 unanswered \(GET \/never\/:id\)\. Call server\.closeAllConnections\(\)/,
  },
  open: {
    server: () => net.createServer((socket) => socket.on('error', () => {}).resume()),
    says: 'hello',
    how: 'open',
    site: /^listener :\d+$/,
    line: /2 open\. Destroy them/,
  },
}

async function visit(t: Test, guard: Guard, port: number, { says, ends = false }: Kind): Promise<net.Socket> {
  const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  t.teardown(() => client.destroy())
  client.on('error', () => {}).resume()
  guard.exempt(client)
  client.write(says)
  if (ends) client.end()
  await once(client, 'connect')
  return client
}

for (const [name, kind] of Object.entries(KINDS)) {
  t.test(`${name} connections keep a closed server open`, async (t) => {
    const lines: string[] = []
    using guard = install({ ...QUICK, log: (line) => lines.push(line) })
    const server = closeAfter(t, kind.server())
    const port = await listen(server)
    const clients = [await visit(t, guard, port, kind), await visit(t, guard, port, kind)]
    const arrived = (): number =>
      guard
        .snapshot({ all: true })
        .sockets.filter(({ direction, owner }) => direction === 'inbound' && kind.site.test(owner.site))
        .length
    await until(() => arrived() === 2, 'both are there')
    t.same(guard.snapshot().closing, [], 'nothing is said of a server that listens')
    server.close()
    t.same(guard.snapshot().closing, [], 'nor before the grace is over')
    const told = (): Closing | undefined =>
      guard.snapshot().closing.find((closing) => closing.server !== null)
    await until(() => told() !== undefined, 'it is told')
    const closing = told()!
    t.match(closing, {
      server: `listener :${port}`,
      connections: 2,
      holders: [{ how: kind.how, site: kind.site, count: 2 }],
      line: kind.line,
    })
    t.ok(closing.sinceMs >= QUICK.graceMs)
    const said = (): string[] => lines.filter((line) => line.includes(`closing at listener :${port}: `))
    await until(() => said().length > 0, 'it is logged')
    guard.sweep()
    t.equal(said().length, 1, 'once')
    for (const client of clients) client.destroy()
    for (const { id, direction } of guard.snapshot({ all: true }).sockets)
      if (direction === 'inbound') guard.reclaim(id, 'destroy')
    await once(server, 'close')
    t.same(guard.snapshot().closing, [])
  })
}

t.test('a server that never listened, and takes connections from another, is not closed', async (t) => {
  using guard = install(QUICK)
  const inner = http.createServer(() => {})
  const front = closeAfter(
    t,
    net.createServer((socket) => inner.emit('connection', socket)),
  )
  await visit(t, guard, await listen(front), KINDS['unanswered']!)
  await once(inner, 'request')
  guard.sweep()
  t.same(guard.snapshot().closing, [])
})

t.test('what keeps the process alive after its last listener', async (t) => {
  const far = closeAfter(
    t,
    net.createServer((socket) => socket.on('error', () => {}).resume()),
  )
  const port = await listen(far)
  // Two outgoing connections, one of which keeps nothing alive; the only client of the server goes, and so does the server.
  const program = `
    const net = require('node:net')
    const write = process.stderr.write.bind(process.stderr)
    process.stderr.write = (text) => write(text, () => process.exit())
    net.connect(${port}, '127.0.0.1')
    net.connect(${port}, '127.0.0.1').unref()
    const server = net.createServer((socket) => socket.resume()).listen(0, '127.0.0.1', () => {
      setTimeout(() => server.close(), 200)
    })`
  const { stderr } = await runNode(['--require', REGISTER, '--eval', program], {
    env: {
      SOCKET_LEAK_GUARD_GRACE_MS: '300',
      SOCKET_LEAK_GUARD_SWEEP_MS: '50',
      SOCKET_LEAK_GUARD_LOG: 'stderr',
    },
  })
  t.match(
    stderr,
    /closing at the process: nothing has listened for \d+ ms, and 1 connection keeps the process alive: /,
  )
  t.match(stderr, `1 open (to 127.0.0.1:${port})`)
})

t.test('in the worker of a cluster, where the primary listens', async (t) => {
  const program = `
    const cluster = require('node:cluster')
    const net = require('node:net')
    if (cluster.isPrimary) {
      const worker = cluster.fork().on('exit', () => process.exit())
      worker.on('message', (port) => net.connect(port, '127.0.0.1').on('error', () => {}).resume())
    } else {
      const write = process.stderr.write.bind(process.stderr)
      process.stderr.write = (text) => write('worker: ' + text, () => text.includes('closing at') && process.exit())
      const server = net.createServer((socket) => {
        // Two graces in which the worker has a connection, and no handle that listens.
        setTimeout(() => server.close(), 600)
      })
      server.listen(0, '127.0.0.1', () => process.send(server.address().port))
    }`
  const path = join(t.testdir({ 'cluster.cjs': program }), 'cluster.cjs')
  const { stderr } = await runNode(['--require', REGISTER, path], {
    env: {
      SOCKET_LEAK_GUARD_GRACE_MS: '300',
      SOCKET_LEAK_GUARD_SWEEP_MS: '50',
      SOCKET_LEAK_GUARD_LOG: 'stderr',
    },
  })
  const told = stderr.split('\n').filter((line) => line.startsWith('worker: '))
  t.equal(told.length, 1, stderr)
  t.match(told[0], /closing at listener :\d+: .*1 connection.*1 open/)
})
