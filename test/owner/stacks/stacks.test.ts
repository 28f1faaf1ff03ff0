/** Stacks of last access: which of the application's lines has a socket last been in the hands of. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import { SourceMap, type SourceMapPayload } from 'node:module'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import { install, type Guard, type SocketReport } from '../../../src/index.js'
import { tellsRequestsMade } from '../../../src/socket/channels.js'
import { listen } from '../../support/events.js'
import { until } from '../../support/until.js'

const HERE = 'test/owner/stacks/stacks.test.ts'

/** The line of the caller in this file, as Node maps it. */
function line(): number {
  const [, compiledLine, column] = /stacks\.test\.js:(\d+):(\d+)/.exec(rawCaller())!
  const map = new SourceMap(
    JSON.parse(readFileSync(`${import.meta.filename}.map`, 'utf8')) as SourceMapPayload,
  )
  return (
    (map.findEntry(Number(compiledLine) - 1, Number(column) - 1) as { originalLine: number }).originalLine + 1
  )
}

/** Whoever formats stacks by himself gets them without source maps, whatever the flags. */
function rawCaller(): string {
  const { prepareStackTrace } = Error
  try {
    Error.prepareStackTrace = (_error, sites) => String(sites[2])
    return new Error().stack!
  } finally {
    Error.prepareStackTrace = prepareStackTrace
  }
}

function close(t: Test, server: net.Server, ...sockets: net.Socket[]): void {
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
}

function find(guard: Guard, direction: SocketReport['direction']): SocketReport {
  return guard
    .snapshot({ all: true })
    .sockets.filter((socket) => socket.direction === direction)
    .reduce((newest, socket) => (socket.id > newest.id ? socket : newest))
}

t.test('pauseOnConnect and a reader that never resumes', async (t) => {
  using guard = install({ stacks: 'always', sweepMs: 60_000 })
  let attached = 0
  const server = net.createServer({ pauseOnConnect: true }, (socket) => {
    t.teardown(() => socket.destroy())
    attached = line() + 1
    socket.on('data', () => {})
    socket.pause()
  })
  const port = await listen(server)
  const client = net.connect(port, '127.0.0.1')
  close(t, server, client)
  await once(client, 'connect')
  await until(() => attached > 0, 'the connection was accepted')
  const { owner } = find(guard, 'inbound')
  t.equal(owner.site, `${HERE}:${attached + 1}`, 'the last access names the site')
  t.match(owner.accesses!.reader![0], `${HERE}:${attached} - socket.on('data', `)
  t.match(owner.accesses!.paused![0], `${HERE}:${attached + 1} - socket.pause()`)
  t.equal(owner.accesses!.ended, null)
})

t.test('an upgrade handler that only attaches a reader, and one that ends', async (t) => {
  using guard = install({ stacks: 'always', context: 'off', sweepMs: 60_000 })
  let places: Record<string, number> = {}
  const server = http.createServer()
  server.on('upgrade', (request, socket) => {
    t.teardown(() => socket.destroy())
    const handler = handlers[request.url!]!
    places = { ...places, [request.url!]: handler(socket) }
  })
  const handlers: Record<string, (socket: Duplex) => number> = {
    '/read': (socket) => [socket.on('readable', () => {}), line()].pop() as number,
    '/end': (socket) => [socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n'), line()].pop() as number,
  }
  const port = await listen(server)
  close(t, server)
  for (const path of Object.keys(handlers)) {
    const client = net.connect(port, '127.0.0.1')
    t.teardown(() => client.destroy())
    client.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n`)
    await until(() => places[path] !== undefined, 'it was upgraded')
    const { owner } = find(guard, 'inbound')
    t.equal(owner.site, `upgrade ${path}`)
    t.ok(owner.stack![0]!.startsWith(`${HERE}:${places[path]} - `), owner.stack![0]!)
  }
})

t.test('what an earlier request on the same connection did is forgotten', async (t) => {
  using guard = install({ stacks: 'always', context: 'off', sweepMs: 60_000 })
  const server = http.createServer((request, response) => {
    if (request.url === '/first') response.end('first')
    else forgotten = true
  })
  let forgotten = false
  const port = await listen(server)
  const client = net.connect(port, '127.0.0.1').resume()
  close(t, server, client)
  client.write('GET /first HTTP/1.1\r\nhost: x\r\n\r\n')
  await once(client, 'data')
  t.match(find(guard, 'inbound').owner.stack![0], "response.end('first')")
  client.write('GET /second HTTP/1.1\r\nhost: x\r\n\r\n')
  await until(() => forgotten, 'the second request came')
  t.match(find(guard, 'inbound').owner, { request: { path: '/second' }, stack: null })
})

t.test('an accepted socket that nobody ever touched is named by where its server listens', async (t) => {
  using guard = install({ stacks: 'always', context: 'off', sweepMs: 60_000 })
  const server = net.createServer({ pauseOnConnect: true })
  const listening = line() + 1
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1')
  const [accepted] = (await once(server, 'connection')) as [net.Socket]
  close(t, server, client, accepted)
  const untouched = find(guard, 'inbound').owner
  t.equal(untouched.site, `${HERE}:${listening}`)
  t.match(untouched.stack![0], 'server.listen(0')
  accepted.pause()
  t.equal(find(guard, 'inbound').owner.site, `${HERE}:${line() - 1}`)
})

t.test('at most four stacks are kept of a socket: the opening and the latest', async (t) => {
  using guard = install({ stacks: 'always', context: 'off', sweepMs: 60_000 })
  const server = net.createServer((socket) => socket.resume())
  const client = net.connect(await listen(server), '127.0.0.1')
  close(t, server, client)
  await once(client, 'connect')
  client.on('data', () => {})
  client.pause()
  client.write('a')
  client.end()
  const { accesses } = find(guard, 'outbound').owner
  const kept = Object.entries(accesses!).filter(([, stack]) => stack !== null)
  t.same(
    kept.map(([kind]) => kind),
    ['created', 'paused', 'wrote', 'ended'],
  )
})

t.test('what a corked block writes is told by where it begins', async (t) => {
  using guard = install({ stacks: 'always', context: 'off', sweepMs: 60_000 })
  const server = net.createServer((socket) => socket.resume())
  const client = net.connect(await listen(server), '127.0.0.1')
  close(t, server, client)
  await once(client, 'connect')
  client.cork()
  client.write('head')
  client.write('body')
  client.uncork()
  t.match(find(guard, 'outbound').owner.accesses!.wrote![0], "client.write('head')")
  client.write('more')
  t.match(find(guard, 'outbound').owner.accesses!.wrote![0], "client.write('more')")
})

t.test('what has opened or used a connection of a pool is not held by it', async (t) => {
  using guard = install({ stacks: 'always', sweepMs: 60_000 })
  const server = http.createServer((_request, response) => response.end('ok'))
  const port = await listen(server)
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  close(t, server)
  t.teardown(() => agent.destroy())
  class Job {
    async get(): Promise<void> {
      const [response] = (await once(http.get({ port, host: '127.0.0.1', agent }), 'response')) as [
        http.IncomingMessage,
      ]
      await once(response.resume(), 'close')
    }
    async fetch(): Promise<void> {
      await (await fetch(`http://127.0.0.1:${port}`)).text()
    }
  }
  async function run(): Promise<WeakRef<Job>> {
    const job = new Job()
    await job.get()
    await job.fetch()
    return new WeakRef(job)
  }
  const jobs = [await run(), await run(), await run()]
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  await until(() => {
    collect()
    return jobs.every((job) => job.deref() === undefined)
  }, 'the jobs are collected')
  const pooled = guard
    .snapshot({ all: true })
    .sockets.find(({ owner }) => owner.stack === null && owner.accesses?.created != null)
  t.match(pooled?.owner.accesses!.created![0], 'http.get(', 'and yet the code is known')
})

t.test('a sample, and everything of a site that has leaked', async (t) => {
  using guard = install({ stacks: 'sampled', context: 'off', graceMs: 20, sweepMs: 10, kernel: 'off' })
  const server = net.createServer((socket) => {
    t.teardown(() => socket.destroy())
    socket.on('error', () => {}).end('bye')
  })
  const port = await listen(server)
  close(t, server)
  async function open(): Promise<net.Socket> {
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }).resume()
    t.teardown(() => socket.destroy())
    await once(socket, 'end')
    return socket
  }
  // The first sockets seen are the sample; these two come after it.
  await open()
  await open()
  const unsampled = guard.snapshot({ all: true }).sockets.filter(({ owner }) => owner.accesses === undefined)
  t.ok(unsampled.length >= 1, 'not everything is recorded')
  const hasLeaked = ({ direction, verdict }: SocketReport): boolean =>
    direction === 'outbound' && verdict === 'leaked'
  await until(() => guard.snapshot().sockets.some(hasLeaked), 'the site has leaked')
  await open()
  const last = find(guard, 'outbound')
  t.match(last.owner.stack?.[0], 'net.connect({ port')
  t.match(last.owner.site, `${HERE}:`)
})

t.test("the application's own stack depth and formatter are left alone", async (t) => {
  const { stackTraceLimit, prepareStackTrace } = Error
  t.teardown(() => Object.assign(Error, { stackTraceLimit, prepareStackTrace }))
  using guard = install({ stacks: 'always', sweepMs: 60_000 })
  Error.stackTraceLimit = 1
  Error.prepareStackTrace = (_error, sites) => sites
  const server = net.createServer()
  const port = await listen(server)
  const client = net.connect(port, '127.0.0.1')
  close(t, server, client)
  await once(client, 'connect')
  t.equal(Error.stackTraceLimit, 1)
  // Where source maps are not applied to a custom prepareStackTrace, it is the built file.
  t.match(find(guard, 'outbound').owner.stack?.[0], /test\/owner\/stacks\/stacks\.test\.[jt]s:/)
})

t.test('off patches nothing more', async (t) => {
  const { pause, write, on, addListener } = net.Socket.prototype
  const { onSocket } = http.ClientRequest.prototype
  {
    using guard = install({ stacks: 'off', context: 'off' })
    t.ok(guard)
    t.same({ pause, write, on, addListener }, pick(), 'the methods are as they were')
    t.equal(http.ClientRequest.prototype.onSocket, onSocket)
  }
  {
    using guard = install({ stacks: 'always', context: 'async-local-storage' })
    t.ok(guard)
    t.not(net.Socket.prototype.write, write)
    // Where a channel tells of each request, no method needs to.
    t.equal(http.ClientRequest.prototype.onSocket === onSocket, tellsRequestsMade())
  }
  t.equal(net.Socket.prototype.write, write, 'and are put back')
  t.equal(net.Socket.prototype.on, on)
  t.equal(http.ClientRequest.prototype.onSocket, onSocket)
  t.notOk(Object.hasOwn(http.Server.prototype, 'emit'))

  function pick(): object {
    const { pause, write, on, addListener } = net.Socket.prototype
    return { pause, write, on, addListener }
  }
})
