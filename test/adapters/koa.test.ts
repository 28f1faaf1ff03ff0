/**
 * Koa 2 and 3: leaks are grouped by the route of @koa/router, the report can be mounted, and the application behaves as it does
 * without a guard.
 */
import Router from '@koa/router'
import Koa3 from 'koa'
import { once } from 'node:events'
import http from 'node:http'
import { createRequire } from 'node:module'
import net from 'node:net'
import t, { type Test } from 'tap'
import { guardServer, reportHandler } from '../../adapters/koa/index.js'
import { install, installedGuard, type Guard } from '../../src/index.js'
import { entryWhere, inbound } from '../support/report.js'
import { until } from '../support/until.js'

const VERSIONS = [
  { version: 2, Koa: createRequire(import.meta.url)('koa2') as typeof Koa3 },
  { version: 3, Koa: Koa3 },
] as const

function guarded(t: Test): Guard {
  // The names come without any context.
  const guard = install({ graceMs: 60_000, context: 'off' })
  t.teardown(() => guard.uninstall())
  return guard
}

async function serve(t: Test, app: Koa3): Promise<{ server: http.Server; port: number }> {
  const server = app.listen(0, '127.0.0.1')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  await once(server, 'listening')
  return { server, port: (server.address() as net.AddressInfo).port }
}

function request(t: Test, port: number, target: string, more = ''): net.Socket {
  const socket = net.connect({ port, host: '127.0.0.1' })
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  socket.write(`${target} HTTP/1.1\r\nhost: localhost\r\n${more}\r\n`)
  return socket
}

const never = (): Promise<never> => new Promise(() => {})

/** What koa-mount does: the path is taken off while the mounted middleware runs. */
function mount(prefix: string, middleware: Koa3.Middleware): Koa3.Middleware {
  return async function mounted(context, next) {
    const { path } = context
    if (!path.startsWith(prefix)) return next()
    context.path = path.slice(prefix.length) || '/'
    await middleware(context, async () => {
      context.path = path
      await next()
      context.path = path.slice(prefix.length) || '/'
    })
    context.path = path
  }
}

/** Everything that never answers, in every way that the router knows. */
function hangingApp(Koa: typeof Koa3, onHang: () => void): Koa3 {
  async function hang(): Promise<never> {
    onHang()
    return never()
  }
  const app = new Koa()
  app.silent = true
  app.use(async (_context, next) => next())
  const router = new Router()
  router.get('/plain/:a', hang)
  router.get(['/one/:x', '/two/:y'], hang)
  router.get(/^\/regexp\/(\d+)$/, hang)
  router.get('/next/:k', async (_context, next) => next())
  router.get('/next/:j', hang)
  router.post('/upload/:name', hang)
  router.get('/files/{*rest}', hang)
  const photos = new Router({ prefix: '/users/:id' })
  photos.get('/', hang)
  photos.get('/photos/:n', hang)
  const deep = new Router()
  deep.get('/leaf/:z', hang)
  photos.use('/deep/:d', deep.routes())
  app.use(photos.routes())
  app.use(router.routes())
  const mounted = new Router()
  mounted.get('/thing/:t', hang)
  app.use(mount('/admin', mount('/v1', mounted.routes() as unknown as Koa3.Middleware)))
  app.use(hang)
  return app
}

const SITES: readonly (readonly [target: string, site: string, more?: string])[] = [
  ['GET /plain/42?token=secret', 'GET /plain/:a'],
  ['GET /two/2', 'GET /two/:y'],
  ['GET /regexp/55', 'GET /^\\/regexp\\/(\\d+)$/'],
  ['GET /next/1', 'GET /next/:j'],
  ['GET /files/a/b', 'GET /files/{*rest}'],
  ['GET /users/42', 'GET /users/:id'],
  ['GET /users/42/photos/7', 'GET /users/:id/photos/:n'],
  ['GET /users/1/deep/2/leaf/3', 'GET /users/:id/deep/:d/leaf/:z'],
  ['GET /admin/v1/thing/9', 'GET /admin/v1/thing/:t'],
  ['HEAD /plain/9', 'HEAD /plain/:a'],
  ['POST /upload/a.mov', 'POST /upload/:name', 'content-length: 1000000\r\n'],
  // No router has it, so that the path is all there is to say.
  ['GET /unknown/1', 'GET /unknown/:id'],
]

for (const { version, Koa } of VERSIONS) {
  void t.test(`Koa ${version}: a request is grouped by the pattern of its route`, async (t) => {
    const guard = guarded(t)
    let hanging = 0
    const app = hangingApp(Koa, () => (hanging += 1))
    const { server, port } = await serve(t, app)
    guardServer(server, { app, label: 'api' })
    for (const [target, site, more] of SITES) {
      const before = hanging
      const socket = request(t, port, target, more)
      await until(() => hanging > before, `${target} hangs`)
      const [entry] = inbound(guard)
      t.equal(entry?.owner.site, site, target)
      t.equal(entry?.owner.label, 'api')
      // Of a mounted request Koa leaves the rest of the path alone.
      const path = target.split(/[ ?]/)[1]!.replace('/admin/v1', '')
      t.equal(entry?.owner.request?.path, path, 'the real path stands beside it')
      socket.destroy()
      await until(() => inbound(guard).length === 0, 'it is gone')
    }
  })

  void t.test(`Koa ${version}: an upload that nobody reads leaks under its route`, async (t) => {
    const guard = install({ graceMs: 60_000, sweepMs: 50, context: 'off' })
    t.teardown(() => guard.uninstall())
    const app = hangingApp(Koa, () => {})
    const { server, port } = await serve(t, app)
    guardServer(server, { app, graceMs: 200 })
    const socket = request(t, port, 'POST /upload/a.mov', 'content-length: 1000000\r\n')
    socket.end(Buffer.alloc(100_000))
    const entry = await entryWhere(guard, ({ verdict }) => verdict === 'leaked', 'it leaks')
    t.equal(entry.owner.site, 'POST /upload/:name')
    t.match(entry.condition, /eof-unread|fin-unseen|window-closed/)
  })

  void t.test(`Koa ${version}: once its request is over, a connection is nobody's`, async (t) => {
    const guard = guarded(t)
    const app = new Koa()
    const router = new Router()
    router.get('/done/:n', (context) => void (context.body = 'done'))
    app.use(mount('/v1', router.routes() as unknown as Koa3.Middleware))
    const { server, port } = await serve(t, app)
    guardServer(server, { app })
    const socket = request(t, port, 'GET /v1/done/7')
    await once(socket, 'data')
    await until(
      () => guard.adapter.useOf(guard.adapter.socketsOf(server)[0]!)?.request === null,
      'it is over',
    )
    t.equal(inbound(guard)[0]?.owner.site, `listener :${port}`)
  })

  void t.test(
    `Koa ${version}: without the application, and after release(), the path stands in`,
    async (t) => {
      const guard = guarded(t)
      const app = hangingApp(Koa, () => {})
      const { server, port } = await serve(t, app)
      const other = http.createServer(app.callback())
      const siteOf = async (path: string): Promise<string> => {
        request(t, port, `GET ${path}`)
        const entry = await entryWhere(guard, ({ owner }) => owner.request?.path === path, 'it is there')
        return entry.owner.site
      }
      guardServer(server)
      t.equal(await siteOf('/plain/1'), 'GET /plain/:id')
      const first = guardServer(server, { app })
      const second = guardServer(other, { app })
      t.equal(await siteOf('/plain/2'), 'GET /plain/:a')
      first.release()
      first.release()
      t.equal(await siteOf('/plain/3'), 'GET /plain/:a', 'the other server still needs it')
      second.release()
      t.equal(await siteOf('/plain/4'), 'GET /plain/:id')
      t.notOk(Object.hasOwn(app, 'createContext'), 'nothing is left on the application')

      const third = guardServer(server, { app })
      const wrapped = app.createContext
      app.createContext = function theirs(this: Koa3, ...args: Parameters<typeof wrapped>) {
        return wrapped.apply(this, args)
      } as typeof wrapped
      const theirs = app.createContext
      third.release()
      t.equal(app.createContext, theirs, 'what somebody else put there stays')
      t.equal(await siteOf('/plain/5'), 'GET /plain/:id')
    },
  )

  void t.test(`Koa ${version}: what is no Koa application is refused`, async (t) => {
    const app = new Koa()
    const { server } = await serve(t, app)
    t.throws(() => guardServer(server, { app: {} }), {
      code: 'SLG_ERR_INVALID_OPTION',
      message: 'app must be a Koa application, got Object (object)',
    })
    t.throws(() => guardServer(app as never), {
      code: 'SLG_ERR_WRONG_SERVER',
      message: /got an application, which has no sockets; pass the server that app\.listen\(\) returns$/,
    })
    t.throws(() => guardServer(server, { app, grace: 1 } as never), { message: /did you mean "graceMs"/ })
    t.throws(() => guardServer(server, { app, graceMs: -1 }), { code: 'SLG_ERR_INVALID_OPTION' })
    t.notOk(Object.hasOwn(app, 'createContext'), 'a refused call leaves nothing behind')
    installedGuard()?.uninstall()
  })

  void t.test(`Koa ${version}: what is in flight finishes, what was upgraded ends`, async (t) => {
    guarded(t)
    const app = new Koa()
    const answers: (() => void)[] = []
    app.use(async (context) => {
      await new Promise<void>((resolve) => answers.push(resolve))
      context.body = 'done'
    })
    const { server, port } = await serve(t, app)
    server.on('upgrade', (_request, socket: net.Socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n')
      socket.resume()
    })
    const { drain } = guardServer(server, { app })
    const upgraded = request(t, port, 'GET /up', 'connection: upgrade\r\nupgrade: echo\r\n')
    await once(upgraded, 'data')
    const answer = fetch(`http://127.0.0.1:${port}/wait`)
    await until(() => answers.length === 1, 'it is being served')
    const ended = once(upgraded, 'end')
    const drained = drain({ timeoutMs: 15_000 })
    await ended
    answers[0]!()
    const response = await answer
    t.equal(response.headers.get('connection'), 'close')
    t.equal(await response.text(), 'done')
    t.match(await drained, { ended: 2, destroyed: 0, remaining: 0 })
  })

  void t.test(`Koa ${version}: the report can be mounted`, async (t) => {
    const app = new Koa()
    // Goes on after the report has answered, as logging and timing do.
    const failures: unknown[] = []
    app.on('error', (error) => failures.push(error))
    app.use(async (context, next) => {
      await next()
      context.set('x-late', 'yes')
    })
    app.use(reportHandler({ basePath: '/leaks', allow: () => true }))
    app.use(mount('/mounted', reportHandler({ allow: () => true })))
    const router = new Router({ prefix: '/router/:tenant' })
    router.get('/leaks', reportHandler({ allow: () => true }))
    router.get('/leaks/*rest', reportHandler({ allow: () => true }))
    router.get('/secret{/*rest}', reportHandler({ token: 'a-long-enough-token' }))
    app.use(router.routes())
    app.use((context) => void (context.body = 'the application'))
    const { server, port } = await serve(t, app)
    const get = (path: string, headers = {}): Promise<Response> =>
      fetch(`http://127.0.0.1:${port}${path}`, { headers })

    t.equal((await get('/leaks')).status, 503)
    guarded(t)
    const { drain } = guardServer(server, { app })
    const secret = { authorization: 'Bearer a-long-enough-token' }
    for (const [base, headers] of [
      ['/leaks', {}],
      ['/mounted', {}],
      ['/router/7/leaks', {}],
      ['/router/7/secret', secret],
    ] as const) {
      t.match(
        await (await get(`${base}?limit=5`, headers)).json(),
        { schema: 'socket-leak-guard/report/v1' },
        base,
      )
      t.equal((await get(`${base}?limit=none`, headers)).status, 400, 'the query reaches it')
      t.match(await (await get(`${base}/metrics`, headers)).text(), /^# HELP socket_leak_guard/, base)
      t.equal((await get(`${base}/nothing`, headers)).status, 404, base)
    }
    t.equal((await get('/router/7/secret/metrics')).status, 401)
    t.match((await get('/leaks', { accept: 'text/html' })).headers.get('content-type'), 'text/html')
    t.equal(await (await get('/leaksome')).text(), 'the application', 'what is not below it is passed on')
    const events = await get('/leaks/events')
    t.match(events.headers.get('content-type'), 'text/event-stream')
    const reader = events.body!.getReader()
    await reader.read()
    t.match(await drain({ timeoutMs: 15_000 }), { destroyed: 0, remaining: 0 }, 'the stream is ended')
    await reader.cancel()
    t.same(failures, [])
    t.throws(() => reportHandler({ token: 'a b' }), { code: 'SLG_ERR_INVALID_OPTION' })
    t.throws(() => reportHandler({ tokn: 'x' } as never), { message: /did you mean "token"/ })
  })

  void t.test(`Koa ${version}: the same with and without`, async (t) => {
    async function exchange(isGuarded: boolean): Promise<unknown> {
      const guard = isGuarded ? install({ sweepMs: 20 }) : null
      const app = new Koa()
      app.silent = true
      const seen: unknown[] = []
      app.use(async (context, next) => {
        seen.push(Object.keys(context), Object.keys(context.req).sort(), context.app === app)
        await next()
        seen.push(context.status)
      })
      const router = new Router()
      router.get('/a/:n', (context) => void (context.body = context.params))
      router.get('/broken', () => {
        throw new Error('broken on purpose')
      })
      app.use(router.routes()).use(router.allowedMethods())
      const { server, port } = await serve(t, app)
      const middleware = [...app.middleware]
      if (isGuarded) guardServer(server, { app })
      t.same(app.middleware, middleware)
      for (const [path, init] of [
        ['/a/1'],
        ['/a/2', { method: 'PUT' }],
        ['/broken'],
        ['/nowhere'],
      ] as const) {
        const response = await fetch(`http://127.0.0.1:${port}${path}`, init)
        const headers = [...response.headers].filter(([name]) => name !== 'date')
        seen.push([response.status, headers, await response.text()])
      }
      guard?.uninstall()
      return [seen, Object.keys(app), JSON.stringify(app)]
    }
    t.same(await exchange(true), await exchange(false))
  })
}
