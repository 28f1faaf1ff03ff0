/**
 * Fastify 4 and 5: leaks are grouped by route pattern, the report can be mounted, and the instance behaves as it does without
 * a guard.
 */
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import dns from 'node:dns'
import { once } from 'node:events'
import http from 'node:http'
import { createRequire } from 'node:module'
import net from 'node:net'
import t, { type Test } from 'tap'
import { guardServer, reportHandler } from '../../adapters/fastify/index.js'
import { install, installedGuard, type Guard } from '../../src/index.js'
import { CERTIFICATE } from '../support/certificate.js'
import { entryWhere, inbound } from '../support/report.js'
import { until } from '../support/until.js'

type Make = (options?: FastifyServerOptions) => FastifyInstance

const require = createRequire(import.meta.url)

const VERSIONS = [
  { version: 4, fastify: require('fastify4') as Make },
  { version: 5, fastify: require('fastify') as Make },
] as const

function guarded(t: Test): Guard {
  // The names come without any context.
  const guard = install({ graceMs: 60_000, context: 'off' })
  t.teardown(() => guard.uninstall())
  return guard
}

async function listen(t: Test, instance: FastifyInstance, host = '127.0.0.1'): Promise<number> {
  t.teardown(async () => {
    instance.server.closeAllConnections()
    await instance.close()
  })
  await instance.listen({ port: 0, host })
  return (instance.server.address() as net.AddressInfo).port
}

function request(t: Test, port: number, target: string, more = '', host = '127.0.0.1'): net.Socket {
  const socket = net.connect({ port, host })
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  socket.write(`${target} HTTP/1.1\r\nhost: localhost\r\n${more}\r\n`)
  return socket
}

/** As it has with IPv6; Fastify then makes a server for each. */
function giveLocalhostTwoAddresses(t: Test): void {
  const { lookup } = dns
  dns.lookup = ((host: string, options: dns.LookupOptions, done: (...args: unknown[]) => void) => {
    if (host !== 'localhost' || options.all !== true) return lookup(host, options as object, done)
    process.nextTick(done, null, [
      { address: '127.0.0.1', family: 4 },
      { address: '127.0.0.2', family: 4 },
    ])
  }) as typeof lookup
  t.teardown(() => (dns.lookup = lookup))
}

const never = (): Promise<never> => new Promise(() => {})

/** Everything that never answers, in every way that Fastify knows. */
function addHangingRoutes(instance: FastifyInstance, onHang: () => void): void {
  async function hang(): Promise<never> {
    onHang()
    return never()
  }
  instance.get('/plain/:a', hang)
  instance.get('/files/*', hang)
  instance.get('/constrained/:id(^\\d+)', hang)
  instance.get('/pair/:from-:to', hang)
  instance.post('/upload/:name', hang)
  instance.addContentTypeParser('application/octet-stream', (_request, _payload, done) => done(null))
  void instance.register(
    async (users) => {
      users.get('/', hang)
      users.get('/photos/:n', hang)
      await users.register(async (deep) => void deep.get('/leaf/:z', hang), { prefix: '/deep/:d' })
    },
    { prefix: '/users/:id' },
  )
  void instance.register(async (held) => {
    held.addHook('preHandler', hang)
    held.get('/held/:up', async () => 'never comes here')
  })
  instance.setNotFoundHandler(hang)
}

const SITES: readonly (readonly [target: string, site: string, more?: string])[] = [
  ['GET /plain/42?token=secret', 'GET /plain/:a'],
  ['GET /users/42', 'GET /users/:id'],
  ['GET /users/42/photos/7', 'GET /users/:id/photos/:n'],
  ['GET /users/1/deep/2/leaf/3', 'GET /users/:id/deep/:d/leaf/:z'],
  ['GET /files/a/b/c', 'GET /files/*'],
  ['GET /constrained/12', 'GET /constrained/:id(^\\d+)'],
  ['GET /pair/lhr-jfk', 'GET /pair/:from-:to'],
  ['GET /held/5', 'GET /held/:up'],
  [
    'POST /upload/a.mov',
    'POST /upload/:name',
    'content-type: application/octet-stream\r\ncontent-length: 1000000\r\n',
  ],
  ['HEAD /plain/9', 'HEAD /plain/:a'],
  // No pattern is known, so that the path is all there is to say.
  ['GET /unknown/1', 'GET /unknown/:id'],
]

for (const { version, fastify } of VERSIONS) {
  void t.test(`Fastify ${version}: a request is grouped by the pattern of its route`, async (t) => {
    const guard = guarded(t)
    const instance = fastify()
    guardServer(instance, { label: 'api', graceMs: 1234 })
    let hanging = 0
    addHangingRoutes(instance, () => (hanging += 1))
    const port = await listen(t, instance)
    for (const [target, site, more] of SITES) {
      const before = hanging
      const socket = request(t, port, target, more)
      await until(() => hanging > before, `${target} hangs`)
      const [entry] = inbound(guard)
      t.equal(entry?.owner.site, site, target)
      t.equal(entry?.owner.label, 'api')
      t.equal(entry?.owner.request?.path, target.split(/[ ?]/)[1], 'the real path stands beside it')
      t.equal(entry?.kind, 'http')
      socket.destroy()
      await until(() => inbound(guard).length === 0, 'it is gone')
    }
  })

  void t.test(`Fastify ${version}: an upload that nobody reads leaks under its route`, async (t) => {
    const guard = install({ graceMs: 60_000, sweepMs: 50, context: 'off' })
    t.teardown(() => guard.uninstall())
    const instance = fastify()
    guardServer(instance, { graceMs: 200 })
    addHangingRoutes(instance, () => {})
    const port = await listen(t, instance)
    const headers = 'content-type: application/octet-stream\r\ncontent-length: 1000000\r\n'
    const socket = request(t, port, 'POST /upload/a.mov', headers)
    socket.end(Buffer.alloc(100_000))
    const entry = await entryWhere(guard, ({ verdict }) => verdict === 'leaked', 'it leaks')
    t.equal(entry.owner.site, 'POST /upload/:name')
    t.match(entry.condition, /eof-unread|fin-unseen|window-closed/)
  })

  void t.test(`Fastify ${version}: once its request is over, a connection is nobody's`, async (t) => {
    const guard = guarded(t)
    const instance = fastify()
    guardServer(instance)
    instance.get('/done/:n', async () => 'done')
    const port = await listen(t, instance)
    const socket = request(t, port, 'GET /done/7')
    await once(socket, 'data')
    await until(
      () => guard.adapter.useOf(guard.adapter.socketsOf(instance.server)[0]!)?.request === null,
      'it is over',
    )
    t.equal(inbound(guard)[0]?.owner.site, `listener :${port}`)
  })

  const skip = process.platform !== 'linux' && 'there is no 127.0.0.2'
  void t.test(
    `Fastify ${version}: every address of localhost is guarded and drained`,
    { skip },
    async (t) => {
      giveLocalhostTwoAddresses(t)
      const guard = guarded(t)
      const instance = fastify()
      const { drain } = guardServer(instance, { label: 'api' })
      instance.get('/wait/:n', never)
      const port = await listen(t, instance, 'localhost')
      const addresses = (instance.addresses() as net.AddressInfo[]).map(({ address }) => address)
      t.same(addresses.sort(), ['127.0.0.1', '127.0.0.2'])
      for (const address of addresses) request(t, port, `GET /wait/7`, '', address)
      await until(() => inbound(guard).length === 2, 'both are served')
      await until(() => inbound(guard).every(({ owner }) => owner.request !== null), 'both are named')
      for (const { owner } of inbound(guard)) t.match(owner, { site: 'GET /wait/:n', label: 'api' })
      t.match(await drain({ timeoutMs: 50 }), { ended: 0, destroyed: 2, remaining: 0 })
    },
  )

  void t.test(
    `Fastify ${version}: what is in flight finishes, what was upgraded ends, close() is done at once`,
    async (t) => {
      for (const options of [
        {},
        { forceCloseConnections: true },
        { forceCloseConnections: 'idle' as const },
      ]) {
        const guard = guarded(t)
        const instance = fastify(options)
        const { drain, release } = guardServer(instance, { label: 'api' })
        const closed: string[] = []
        instance.addHook('onClose', async () => void closed.push('onClose'))
        const answers: (() => void)[] = []
        instance.get('/wait', () => new Promise((resolve) => answers.push(() => resolve('done'))))
        const port = await listen(t, instance)
        instance.server.on('upgrade', (_request, socket: net.Socket) => {
          socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n')
          socket.resume()
        })
        const upgraded = request(t, port, 'GET /up', 'connection: upgrade\r\nupgrade: echo\r\n')
        await once(upgraded, 'data')
        const agent = new http.Agent({ keepAlive: true })
        const idle = http.get({ port, host: '127.0.0.1', path: '/nowhere', agent })
        const [response] = (await once(idle, 'response')) as [http.IncomingMessage]
        response.resume()
        const answer = fetch(`http://127.0.0.1:${port}/wait`)
        await until(() => answers.length === 1, 'it is being served')
        const ended = once(upgraded, 'end')
        const drained = drain({ timeoutMs: 15_000 })
        await ended
        answers[0]!()
        t.equal((await answer).headers.get('connection'), 'close')
        t.match(await drained, { destroyed: 0, remaining: 0 })
        await instance.close()
        t.same(closed, ['onClose'])
        t.match(
          await drain({ timeoutMs: 50 }),
          { ended: 0, destroyed: 0, remaining: 0 },
          'nothing is left to do',
        )
        release()
        agent.destroy()
        guard.uninstall()
      }
    },
  )

  void t.test(`Fastify ${version}: too late, it says what to do, and does nothing`, async (t) => {
    const instance = fastify()
    await instance.ready()
    t.teardown(() => instance.close())
    t.throws(() => guardServer(instance), {
      code: 'SLG_ERR_WRONG_SERVER',
      message:
        /^server must be a Fastify instance that has not started; call guardServer\(\) before listen\(\) or ready\(\), or guard fastify\.server with "socket-leak-guard\/http"/,
    })
    t.equal(installedGuard(), null)
  })

  void t.test(`Fastify ${version}: a refused call leaves the instance as it was`, async (t) => {
    const guard = guarded(t)
    const instance = fastify()
    t.throws(() => guardServer(instance, { grace: 1 } as never), { message: /did you mean "graceMs"/ })
    t.throws(() => guardServer(instance, { graceMs: -1 }), { code: 'SLG_ERR_INVALID_OPTION' })
    instance.get('/wait/:n', never)
    const port = await listen(t, instance)
    request(t, port, 'GET /wait/7')
    await entryWhere(guard, ({ owner }) => owner.site === 'GET /wait/:id', 'it is named by its path')
  })

  void t.test(
    `Fastify ${version}: release() takes the names and settings back, once more brings them`,
    async (t) => {
      const guard = guarded(t)
      const instance = fastify()
      const first = guardServer(instance, { label: 'first' })
      const second = guardServer(instance, { label: 'second' })
      instance.get('/wait/:n', never)
      const port = await listen(t, instance)
      first.release()
      request(t, port, 'GET /wait/1')
      const named = await entryWhere(guard, ({ owner }) => owner.request?.path === '/wait/1', 'it is there')
      t.match(named.owner, { site: 'GET /wait/:n', label: 'second' })
      second.release()
      request(t, port, 'GET /wait/2')
      const bare = await entryWhere(guard, ({ owner }) => owner.request?.path === '/wait/2', 'it is there')
      t.match(bare.owner, { site: 'GET /wait/:id', label: null })
      guardServer(instance, { label: 'third' })
      request(t, port, 'GET /wait/3')
      const again = await entryWhere(guard, ({ owner }) => owner.request?.path === '/wait/3', 'it is there')
      t.match(again.owner, { site: 'GET /wait/:n', label: 'third' }, 'the hook is there already')
      guard.uninstall()
      t.equal((await instance.inject('/nowhere')).statusCode, 404, 'without a guard the hook does nothing')
    },
  )

  void t.test(`Fastify ${version}: the report can be mounted`, async (t) => {
    const instance = fastify()
    guardServer(instance)
    const report = reportHandler({ allow: () => true })
    instance.get('/leaks', report)
    instance.get('/leaks/*', report)
    void instance.register(
      async (admin) => void admin.get('/*', reportHandler({ token: 'a-long-enough-token' })),
      { prefix: '/admin/:tenant' },
    )
    instance.get('/only/metrics', reportHandler({ basePath: '/only', allow: () => true }))
    const port = await listen(t, instance)
    const get = (path: string, headers = {}): Promise<Response> =>
      fetch(`http://127.0.0.1:${port}${path}`, { headers })

    installedGuard()?.uninstall()
    t.equal((await get('/leaks')).status, 503)
    guarded(t)
    for (const path of ['/leaks', '/leaks/', '/leaks?limit=5']) {
      t.match(await (await get(path)).json(), { schema: 'socket-leak-guard/report/v1' }, path)
    }
    t.match((await get('/leaks?limit=none')).status, 400, 'the query reaches it')
    t.match(await (await get('/leaks/metrics')).text(), /^# HELP socket_leak_guard/)
    t.match(await (await get('/only/metrics')).text(), /^# HELP socket_leak_guard/)
    t.match((await get('/leaks', { accept: 'text/html' })).headers.get('content-type'), 'text/html')
    t.equal((await get('/leaks/nothing')).status, 404)
    t.equal((await fetch(`http://127.0.0.1:${port}/leaks`, { method: 'HEAD' })).status, 200)
    t.equal((await get('/admin/7/metrics')).status, 401)
    const authorization = 'Bearer a-long-enough-token'
    t.equal((await get('/admin/7/metrics', { authorization })).status, 200)
    const events = await get('/leaks/events')
    t.match(events.headers.get('content-type'), 'text/event-stream')
    const reader = events.body!.getReader()
    await reader.read()
    t.match(
      await guardServer(instance).drain({ timeoutMs: 15_000 }),
      { destroyed: 0, remaining: 0 },
      'the stream is ended',
    )
    await reader.cancel()
    t.throws(() => reportHandler({ token: 'a b' }), { code: 'SLG_ERR_INVALID_OPTION' })
    t.throws(() => reportHandler({ tokn: 'x' } as never), { message: /did you mean "token"/ })
  })

  void t.test(`Fastify ${version}: the same with and without`, async (t) => {
    async function exchange(isGuarded: boolean): Promise<unknown> {
      const guard = isGuarded ? install({ sweepMs: 20 }) : null
      const instance = fastify()
      const seen: unknown[] = []
      if (isGuarded) guardServer(instance)
      for (const name of ['onRequest', 'preParsing', 'preValidation', 'preHandler', 'onResponse'] as const) {
        instance.addHook(name as 'onRequest', (request, _reply, done) => {
          seen.push(name, Object.keys(request), Object.keys(request.raw).sort())
          done()
        })
      }
      instance.get('/a/:n', async ({ params }) => ({ params }))
      instance.post('/echo', async ({ body }) => body)
      instance.get('/broken', async () => {
        throw new Error('broken on purpose')
      })
      const port = await listen(t, instance)
      const answers: unknown[] = []
      for (const [path, init] of [
        ['/a/1'],
        ['/echo', { method: 'POST', body: '{"a":1}', headers: { 'content-type': 'application/json' } }],
        ['/broken'],
        ['/nowhere'],
        ['/bad%'],
      ] as const) {
        const response = await fetch(`http://127.0.0.1:${port}${path}`, init)
        const headers = [...response.headers].filter(([name]) => name !== 'date')
        answers.push([response.status, headers, await response.text()])
      }
      await until(() => seen.filter((name) => name === 'onResponse').length >= 4, 'all hooks have run')
      guard?.uninstall()
      return { seen, answers, routes: instance.printRoutes() }
    }
    t.same(await exchange(true), await exchange(false))
  })
}

void t.test('over http2 it is refused, and told what can be done; over TLS it is guarded', async (t) => {
  const [, { fastify }] = VERSIONS
  t.throws(() => guardServer(fastify({ http2: true } as FastifyServerOptions)), {
    code: 'SLG_ERR_WRONG_SERVER',
    message:
      /HTTP\/1\.1, got one with another server \(http2\); guard fastify\.server with "socket-leak-guard\/net"/,
  })
  const guard = guarded(t)
  const instance = fastify({ https: CERTIFICATE } as FastifyServerOptions)
  guardServer(instance, { label: 'secure' })
  instance.get('/wait/:n', never)
  const port = await listen(t, instance)
  const { default: https } = await import('node:https')
  const client = https.get({ port, host: '127.0.0.1', path: '/wait/7', rejectUnauthorized: false })
  t.teardown(() => client.destroy())
  client.on('error', () => {})
  const entry = await entryWhere(guard, ({ owner }) => owner.site === 'GET /wait/:n', 'it is named')
  t.equal(entry.owner.label, 'secure')
})
