/** The linter on real servers: silent about what others ship as default, plain about what will leak. */
import http from 'node:http'
import net from 'node:net'
import express from 'express'
import Fastify from 'fastify'
import { join } from 'node:path'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { channel } from 'node:diagnostics_channel'
import { EventEmitter, once } from 'node:events'
import { Duplex, PassThrough, finished, pipeline } from 'node:stream'
import { install, installedGuard, type Guard } from '../../src/index.js'
import { lint, type LintFinding } from '../../src/lint/index.js'
import { closeAfter } from '../support/close-after.js'
import { listen, nextEvent } from '../support/events.js'
import { INDEX_URL, REGISTER } from '../support/package-root.js'
import { Peer } from '../support/peer.js'
import { runNode } from '../support/run-node.js'
import { until } from '../support/until.js'

const peer = new Peer()
t.teardown(() => peer.kill())

/** After a sweep, which sees what has moved. */
function findings(): LintFinding[] {
  installedGuard()!.sweep()
  return lint()
}

function rulesOf(): string[] {
  return findings().map(({ rule }) => rule)
}

/** The linter looks at a connection once it is silent; `meanwhile` runs at each poll. */
async function silence(guard: Guard, ms: number, meanwhile = () => {}): Promise<void> {
  await until(() => {
    meanwhile()
    const { sockets } = guard.sweep({ all: true })
    return sockets.length > 0 && sockets.every(({ idleMs }) => idleMs >= ms)
  }, `every connection is silent for ${ms} ms`)
}

t.test('Express and ws as they come are no finding', async (t) => {
  using guard = install()
  const app = express()
  app.get('/', (_request, response) => void response.send('hello'))
  const server = closeAfter(t, http.createServer(app)) as http.Server
  const webSockets = new WebSocketServer({ server })
  webSockets.on('connection', (webSocket) => webSocket.on('message', (data) => webSocket.send(data)))
  const port = await listen(server)
  await (await fetch(`http://127.0.0.1:${port}/`)).text()
  const client = new WebSocket(`ws://127.0.0.1:${port}`)
  t.teardown(() => client.terminate())
  await once(client, 'open')
  await silence(guard, 1100)
  t.same(lint(), [])
  t.same(
    lint({ loadBalancerIdleMs: 60_000 }).map(({ rule }) => rule),
    ['keep-alive-race'],
    'which needs to be told of the load balancer',
  )
})

t.test('allowHalfOpen without anybody listening for the end, before it leaks', async (t) => {
  using guard = install()
  const port = await listen(
    closeAfter(
      t,
      net.createServer({ allowHalfOpen: true }, (socket) => socket.resume()),
    ),
  )
  await peer.connect({ port })
  await until(() => rulesOf().includes('half-open-unheard'), 'it is found')
  await until(() => guard.snapshot().lint!.length > 0, 'a report can afford another look')
  const [finding] = guard.snapshot().lint!
  t.match(finding, { message: `the TCP server on port ${port} allows half-open`, where: /events\.[jt]s:\d+/ })
})

type Handler = (socket: net.Socket) => unknown

const later = new EventEmitter()

/** Every way to hear the end that Node offers, each on a half-open connection that stays and on one that ends. */
const HEARING: Readonly<Record<string, Handler>> = {
  'on end': (socket) => socket.resume().on('end', () => socket.end()),
  once: async (socket) => {
    await once(socket.resume(), 'end')
    socket.end()
  },
  pipe: (socket) => socket.pipe(socket),
  pipeline: (socket) => pipeline(socket, new PassThrough(), socket, () => {}),
  finished: (socket) => finished(socket.resume(), { writable: false }, () => socket.end()),
  'for await': async (socket) => {
    for await (const chunk of socket) void chunk
    socket.end()
  },
  'for await, a little later': async (socket) => {
    await once(later, 'read')
    for await (const chunk of socket) void chunk
    socket.end()
  },
  'readable and read() === null': (socket) =>
    socket.on('readable', () => {
      if (socket.read() === null) socket.end()
    }),
  'a web stream': async (socket) => {
    const { readable, writable } = Duplex.toWeb(socket)
    for await (const chunk of readable as AsyncIterable<unknown>) void chunk
    await writable.close()
  },
  'a time limit instead': (socket) => socket.resume().setTimeout(60_000, () => socket.destroy()),
  'its own end at once': (socket) => socket.resume().end('bye'),
}

const UPGRADE = 'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'
const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\n\r\n'

t.test('whoever hears the end in any way is none, at any time', async (t) => {
  using guard = install({ sweepMs: 60_000 })
  for (const handler of Object.values(HEARING)) {
    const listener = (socket: net.Socket) => {
      socket.on('error', () => {})
      // The test's end destroys what is still being read.
      void Promise.resolve(handler(socket)).catch(() => {})
    }
    const port = await listen(closeAfter(t, net.createServer({ allowHalfOpen: true }, listener)))
    await peer.connect({ port })
    const ending = await peer.connect({ port })
    ending.do({ do: 'end', text: 'hello' })
  }
  const queue: net.Socket[] = []
  const queueing = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) =>
    queue.push(socket),
  )
  await peer.connect({ port: await listen(closeAfter(t, queueing)) })
  const found: unknown[] = []
  const look = () => void found.push(...lint())
  await silence(guard, 1500, look)
  later.emit('read')
  await silence(guard, 2500, look)
  t.same(found, [])
})

t.test('an upgrade handler without a close path', async (t) => {
  using _guard = install()
  const handlers: readonly Handler[] = [
    (socket) => socket.on('data', () => {}).on('close', () => {}),
    () => {}, // attaches nothing at all, and is given more time for it
  ]
  for (const handler of handlers) {
    const server = closeAfter(t, http.createServer())
    server.on('upgrade', (_request, socket: net.Socket) => {
      socket.on('error', () => {}).write(SWITCH)
      handler(socket)
    })
    const port = await listen(server)
    const connection = await peer.connect({ port })
    connection.do({ do: 'write', text: UPGRADE })
    await connection.saw('data')
    const isFound = () =>
      findings().some(({ rule, message }) => rule === 'upgrade-unheld' && message.includes(`port ${port} `))
    await until(isFound, 'it is found')
  }
})

t.test('with stacks, the place is that of the handler', async (t) => {
  using _guard = install({ stacks: 'always' })
  const server = closeAfter(t, http.createServer())
  server.on('upgrade', (_request, socket) => socket.on('data', () => {}))
  const connection = await peer.connect({ port: await listen(server) })
  connection.do({ do: 'write', text: UPGRADE })
  await until(() => findings().length > 0, 'it is found')
  t.match(lint(), [{ rule: 'upgrade-unheld', where: /lint\.test\.[jt]s:\d+$/ }])
})

t.test('what the guard had to close is remembered', async (t) => {
  for (const action of ['destroy', 'end'] as const) {
    using guard = install({ graceMs: 50, sweepMs: 20, action })
    const server = net.createServer({ allowHalfOpen: true }, (socket) => socket.resume())
    const reclaimed = nextEvent(guard, 'reclaimed')
    const port = await listen(closeAfter(t, server))
    const connection = await peer.connect({ port })
    connection.do({ do: 'end' })
    await reclaimed
    await until(() => guard.snapshot().totals.tracked === 0, 'it is gone')
    t.match(lint(), [{ rule: 'half-open-unheard', message: `port ${port} ` }], action)
    server.close()
    await once(server, 'close')
    t.same(lint(), [], 'as long as the server is there')
  }
})

t.test('an upgrade of a connection that has served requests before is given its time', async (t) => {
  using guard = install()
  const server = http.createServer((_request, response) => void response.end())
  server.on('upgrade', (_request, socket) => socket.on('data', () => {}).write(SWITCH))
  const connection = await peer.connect({ port: await listen(closeAfter(t, server)) })
  connection.do({ do: 'write', text: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n' })
  await connection.saw('data')
  await silence(guard, 1100)
  const upgraded = once(server, 'upgrade')
  connection.do({ do: 'write', text: UPGRADE })
  await upgraded
  t.same(lint(), [])
  await until(() => rulesOf().includes('upgrade-unheld'), 'it is found')
})

t.test('its own report is none of the application', async (t) => {
  using guard = install({ report: '127.0.0.1:0' })
  await guard.listening
  t.same(lint({ loadBalancerIdleMs: 300_000 }), [])
})

t.test('what an application passes or publishes harms nobody', async (t) => {
  channel('tracing:net.server.listen:asyncStart').publish({ server: 'mine' })
  channel('socket-leak-guard:reclaimed').publish({})
  const port = await listen(closeAfter(t, net.createServer()))
  let reads = 0
  const options = {
    port,
    host: '127.0.0.1',
    get keepAlive() {
      // Node does not read it here.
      reads += 1
      throw new Error('mine')
    },
  }
  const socket = new net.Socket().connect(options as net.TcpNetConnectOpts)
  await once(socket, 'connect')
  socket.destroy()
  t.equal(reads, 1)
  t.same(lint(), [])
})

t.test('options are checked', async (t) => {
  t.throws(() => lint({ loadBalancerIdle: 1 } as object), { code: 'SLG_ERR_UNKNOWN_OPTION' })
  t.throws(() => lint({ loadBalancerIdleMs: '60 s' } as object), { code: 'SLG_ERR_INVALID_OPTION' })
})

t.test('loaded late, beside the guard of the preload', async (t) => {
  const file = join(
    t.testdir({
      'app.mjs': `
        import http from 'node:http'
        import net from 'node:net'
        import { once } from 'node:events'
        import { setTimeout as sleep } from 'node:timers/promises'
        import { installedGuard } from '${INDEX_URL}'
        const server = http.createServer({ requestTimeout: 0 }).listen(0)
        server.on('upgrade', (request, socket) => socket.on('data', () => {}).write('HTTP/1.1 101 Switching Protocols\\r\\n\\r\\n'))
        await once(server, 'listening')
        const client = net.connect(server.address().port)
        client.write('GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: Upgrade\\r\\nUpgrade: x\\r\\n\\r\\n')
        await once(client, 'data')
        const before = installedGuard().snapshot()
        const { lint } = await import(new URL('lint.js', '${INDEX_URL}'))
        while (!lint().some(({ rule }) => rule === 'upgrade-unheld')) await sleep(50)
        const { lint: findings } = installedGuard().snapshot()
        console.log('lint' in before, ...findings.map(({ rule, where }) => rule + ' ' + where))
        client.destroy()
        server.close()
      `,
    }),
    'app.mjs',
  )
  const outcome = await runNode(['--require', REGISTER, file])
  t.match(outcome, { code: 0, stdout: 'false upgrade-unheld null no-request-timeout null\n', stderr: '' })
})

t.test('keep-alive asked for in vain, one finding for all connections to one place', async (t) => {
  using _guard = install({ keepAlive: false, stacks: 'always' })
  const port = await listen(
    closeAfter(
      t,
      net.createServer((socket) => socket.resume()),
    ),
  )
  const sockets = [
    ...[1, 2].map(() => new net.Socket().connect({ port, host: '127.0.0.1', keepAlive: true })),
    net.connect({ port, host: '127.0.0.1', keepAlive: true }),
    new net.Socket().setKeepAlive(true, 5000).connect(port, '127.0.0.1'),
  ]
  t.teardown(() => sockets.forEach((socket) => socket.destroy()))
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  t.match(lint(), [
    {
      rule: 'keep-alive-lost',
      message: new RegExp(`on 2 connections to 127\\.0\\.0\\.1:${port}$`),
      where: /lint\.test\.[jt]s:\d+$/,
    },
  ])
  for (const socket of sockets) socket.setKeepAlive(true, 5000)
  t.same(lint(), [], 'the remedy helps')
})

t.test("Fastify's default is one finding, with the option of Fastify for it", async (t) => {
  using _guard = install()
  const app = Fastify()
  t.teardown(() => app.close())
  await app.listen({ port: 0, host: 'localhost' })
  t.match(lint(), [{ rule: 'no-request-timeout', remedy: /Fastify\(/, where: /lint\.test\.[jt]s:\d+$/ }])
  t.equal(lint().length, 1)
})

t.test('a request that is never given up', async (t) => {
  using _guard = install()
  const server = closeAfter(t, http.createServer({ requestTimeout: 0 })) as http.Server
  await listen(server)
  t.same(rulesOf(), ['no-request-timeout'])
  server.setTimeout(1000)
  t.same(rulesOf(), [], 'an idle timeout gives it up')
  server.setTimeout(0)
  server.close()
  await once(server, 'close')
  t.same(rulesOf(), [], 'a server that is gone is no finding')
})
