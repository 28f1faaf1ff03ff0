/** Fifty pieces of work share a few connections: whoever has one at the moment is named, and nobody else ever. */
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { install, type ContextProvider, type Guard } from '../../../src/index.js'
import { listen } from '../../support/events.js'

const WORKERS = 50

interface Seen {
  readonly path: string
  readonly named: string | undefined
  readonly context: string | undefined
}

/** Looks at the connection while its request is being served at the other end. */
function witness(guard: Guard, seen: Seen[]): http.Server {
  return http.createServer(async (request, response) => {
    // An odd number of turns each, so that they overtake one another.
    for (let i = seen.length % 7; i > 0; i -= 1) await turn()
    const { owner } = guard
      .snapshot({ all: true, limit: 10_000 })
      .sockets.find(
        ({ direction, local }) => direction === 'outbound' && local?.port === request.socket.remotePort,
      )!
    seen.push({ path: request.url!, named: owner.request?.path, context: owner.context['request'] })
    response.end('x'.repeat(100))
  })
}

function close(t: Test, server: http.Server): void {
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
}

function check(t: Test, seen: readonly Seen[]): void {
  t.equal(seen.length, WORKERS * 2)
  t.same(
    seen.filter(({ path, named, context }) => named !== path || context !== `GET /work${path}`),
    [],
    'every owner is right',
  )
}

for (const client of ['an agent', 'fetch'] as const) {
  t.test(`over ${client}`, async (t) => {
    using guard = install({ context: 'async-local-storage', sweepMs: 60_000 })
    const seen: Seen[] = []
    const upstream = witness(guard, seen)
    close(t, upstream)
    const port = await listen(upstream)
    const agent = new http.Agent({ keepAlive: true, maxSockets: 5, scheduling: 'lifo' })
    t.teardown(() => agent.destroy())
    async function ask(path: string): Promise<void> {
      if (client === 'fetch') {
        await (await fetch(`http://127.0.0.1:${port}${path}`)).text()
        return
      }
      const request = http.get({ port, host: '127.0.0.1', path, agent })
      const [response] = (await once(request, 'response')) as [http.IncomingMessage]
      response.resume()
      await once(response, 'end')
    }
    const front = http.createServer(async (request, response) => {
      const number = request.url!.slice('/work/'.length)
      await turn()
      await ask(`/${number}`)
      await ask(`/${number}`)
      response.end()
    })
    close(t, front)
    const frontPort = await listen(front)
    const clients = Array.from({ length: 5 }, () => net.connect(frontPort, '127.0.0.1').resume())
    // Pipelined over kept connections: contexts must not bleed from one request to the next.
    for (let i = 0; i < WORKERS; i += 1) {
      clients[i % clients.length]!.write(`GET /work/${i} HTTP/1.1\r\nhost: x\r\n\r\n`)
    }
    while (seen.length < WORKERS * 2) await turn()
    for (const socket of clients) socket.destroy()
    check(t, seen)
  })
}

t.test('a connection that waits in the pool belongs to nobody', async (t) => {
  using guard = install({
    context: provider(() => ({ request: 'GET /somebody' })),
    stacks: 'always',
    sweepMs: 60_000,
  })
  const server = http.createServer((_request, response) => response.end('done'))
  close(t, server)
  const port = await listen(server)
  const agent = new http.Agent({ keepAlive: true })
  t.teardown(() => agent.destroy())
  const request = http.get({ port, host: '127.0.0.1', agent, path: '/a' })
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  const owner = (): unknown =>
    guard.snapshot({ all: true }).sockets.find(({ direction }) => direction === 'outbound')!.owner
  t.match(owner(), { request: { path: '/a' }, context: { request: 'GET /somebody' } })
  response.resume()
  await once(agent, 'free')
  await turn()
  t.match(owner(), { site: `to 127.0.0.1:${port}`, request: null, context: {}, stack: null })
})

t.test("a connection that works on after its request was answered is not that request's", async (t) => {
  using guard = install({ context: 'async-local-storage', sweepMs: 60_000 })
  const database = net.createServer((socket) => socket.on('data', () => socket.write('rows')))
  const port = await listen(database)
  let connection: net.Socket | null = null
  const front = http.createServer(async (_request, response) => {
    connection ??= net.connect(port, '127.0.0.1')
    connection.write('query')
    await once(connection, 'data')
    response.end()
  })
  close(t, front)
  const frontPort = await listen(front)
  t.teardown(() => {
    connection?.destroy()
    database.close()
  })
  const site = (): string =>
    guard.snapshot({ all: true }).sockets.find(({ remote }) => remote?.port === port)!.owner.site
  const client = net.connect(frontPort, '127.0.0.1')
  t.teardown(() => client.destroy())
  client.write('GET /first HTTP/1.1\r\nhost: x\r\n\r\n')
  await once(client, 'data')
  t.equal(site(), `GET /first → 127.0.0.1:${port}`, 'as long as nothing has moved')
  guard.sweep()
  client.write('GET /second HTTP/1.1\r\nhost: x\r\n\r\n')
  await once(client, 'data')
  t.equal(site(), `to 127.0.0.1:${port}`)
})

function provider(current: () => Record<string, string> | null): ContextProvider {
  return { name: 'test', current }
}
