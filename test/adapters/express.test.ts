/**
 * Express 4 and 5: leaks are grouped by route pattern, the report can be mounted, and the application behaves as it does
 * without a guard.
 */
import express5 from 'express'
import { once } from 'node:events'
import http from 'node:http'
import { createRequire } from 'node:module'
import net from 'node:net'
import t, { type Test } from 'tap'
import { guardServer, reportHandler } from '../../adapters/express/index.js'
import { install, type Guard } from '../../src/index.js'
import { listen } from '../support/events.js'
import { inbound } from '../support/report.js'
import { until } from '../support/until.js'

type Express = typeof express5
type Application = ReturnType<Express>

const express4 = createRequire(import.meta.url)('express4') as Express

const VERSIONS = [
  { version: 4, express: express4 },
  { version: 5, express: express5 },
] as const

function guarded(t: Test): Guard {
  const guard = install({ graceMs: 60_000 })
  t.teardown(() => guard.uninstall())
  return guard
}

async function serve(t: Test, app: Application): Promise<{ server: http.Server; port: number }> {
  const server = http.createServer(app)
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return { server, port: await listen(server) }
}

interface LayerFields {
  readonly params?: unknown
  readonly path?: unknown
  readonly keys?: unknown
}

/** What is mounted on an application or a router; Express 4 keeps an application's router in `_router`. */
function layersOf(mounted: unknown): readonly LayerFields[] {
  const { stack, _router } = mounted as { stack?: LayerFields[]; _router?: { stack: LayerFields[] } }
  return stack ?? _router?.stack ?? (mounted as { router: { stack: LayerFields[] } }).router.stack
}

function request(t: Test, port: number, target: string, more = ''): net.Socket {
  const socket = net.connect({ port, host: '127.0.0.1' })
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  socket.write(`${target} HTTP/1.1\r\nhost: localhost\r\n${more}\r\n`)
  return socket
}

/** Everything that never answers, mounted in every way that Express knows. */
function hangingApp(express: Express, version: 4 | 5, onHang: () => void): Application {
  const hang = (): void => onHang()
  const app = express()
  app.use((_request, _response, next) => next())
  app.get('/plain/:a', hang)
  const photos = express.Router()
  photos.get('/photos/:n', hang)
  photos.get('/', hang)
  const deep = express.Router({ mergeParams: true })
  deep.get('/leaf/:z', hang)
  photos.use('/deep/:d', deep)
  app.use('/users/:id', photos)
  app.use('/same/:same', photos)
  const root = express.Router()
  root.get('/rooted/:r', hang)
  app.use(root)
  const sub = express()
  sub.get('/thing/:t', hang)
  const inSub = express.Router()
  inSub.get('/q/:q', hang)
  sub.use('/sr/:s', inSub)
  app.use('/sub/:m', sub)
  app.get(['/list/one/:x', '/list/two/:y'], hang)
  app.get(/^\/regexp\/(\d+)$/, hang)
  const inner = express.Router()
  inner.get('/in/:i', hang)
  app.use(/^\/mounted\/(\d+)/, inner)
  app.use(['/ma/:a1', '/mb/:b1'], inner)
  app.use('/closure/:c', (request, response, next) => photos(request, response, next))
  app.use('/middleware/:who', hang)
  app.route('/route/:rid').post(hang).get(hang)
  app.get('/file-:name.:ext', hang)
  app.get('/next/:k', (_request, _response, next) => next('route'))
  app.get('/next/:j', hang)
  if (version === 4) {
    const constrained = express.Router()
    constrained.get('/e/:e', hang)
    app.use('/constrained/:id(\\d+)', constrained)
    app.get('/star/*', hang)
  } else {
    const wild = express.Router()
    wild.get('/end', hang)
    app.use('/wild/*w/z', wild)
    app.get('/star/*splat', hang)
  }
  app.use(hang)
  return app
}

const SITES: readonly (readonly [target: string, site: string, only?: 4 | 5])[] = [
  ['GET /plain/42?token=secret', 'GET /plain/:a'],
  ['GET /users/42/photos/7', 'GET /users/:id/photos/:n'],
  ['GET /users/42', 'GET /users/:id'],
  ['GET /users/42/', 'GET /users/:id'],
  // Where a value equals a word of the pattern.
  ['GET /users/users/photos/photos', 'GET /users/:id/photos/:n'],
  ['GET /same/same/photos/9', 'GET /same/:same/photos/:n'],
  ['GET /users/a%20b/photos/%C3%BC', 'GET /users/:id/photos/:n'],
  ['GET /users/1/deep/2/leaf/3', 'GET /users/:id/deep/:d/leaf/:z'],
  ['GET /rooted/5', 'GET /rooted/:r'],
  ['GET /sub/8/thing/9', 'GET /sub/:m/thing/:t'],
  ['GET /sub/8/sr/1/q/2', 'GET /sub/:m/sr/:s/q/:q'],
  ['GET /list/two/2', 'GET /list/two/:y'],
  ['GET /regexp/55', 'GET /regexp/:0'],
  ['GET /mounted/55/in/6', 'GET /mounted/:0/in/:i'],
  ['GET /ma/1/in/2', 'GET /ma/:a1/in/:i'],
  ['GET /mb/1/in/2', 'GET /mb/:b1/in/:i'],
  // The router is hidden in a function of the application's own: the mount is still known by its path.
  ['GET /closure/4/photos/5', 'GET /closure/:c/photos/:n'],
  // Middleware has it, no route was chosen.
  ['GET /middleware/77/some/thing', 'GET /middleware/:who/*'],
  ['GET /middleware/77', 'GET /middleware/:who'],
  ['POST /route/3', 'POST /route/:rid'],
  ['GET /file-report.pdf', 'GET /file-:name.:ext'],
  ['GET /next/1', 'GET /next/:j'],
  ['GET /constrained/12/e/3', 'GET /constrained/:id/e/:e', 4],
  ['GET /star/a/b/c', 'GET /star/*', 4],
  ['GET /star/a/b/c', 'GET /star/*splat', 5],
  ['GET /wild/q/r/z/end', 'GET /wild/*w/z/end', 5],
  // No pattern is known, so that the path is all there is to say.
  ['GET /unknown/1', 'GET /unknown/:id'],
]

for (const { version, express } of VERSIONS) {
  void t.test(`Express ${version}: a request is grouped by the pattern of its route`, async (t) => {
    const guard = guarded(t)
    let hanging = 0
    const { server, port } = await serve(
      t,
      hangingApp(express, version, () => (hanging += 1)),
    )
    guardServer(server, { label: 'api' })
    for (const [target, site, only] of SITES) {
      if (only !== undefined && only !== version) continue
      const before = hanging
      const socket = request(t, port, target)
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

  void t.test(`Express ${version}: naming a route leaves no trace in the router`, async (t) => {
    const guard = guarded(t)
    const app = express()
    let reports = 0
    // Reports are made at every step, while other requests are in the same layers.
    const look = (): void => {
      reports += guard.snapshot({ all: true }).sockets.length
    }
    app.param('id', (_request, _response, next) => {
      look()
      setImmediate(next)
    })
    const users = express.Router({ mergeParams: true })
    users.param('n', (_request, _response, next) => {
      look()
      setImmediate(next)
    })
    users.get('/photos/:n', (request, response) => {
      look()
      response.json({ params: request.params, baseUrl: request.baseUrl, url: request.url })
    })
    app.use('/users/:id', users)
    const { server, port } = await serve(t, app)
    guardServer(server)

    // In the middle of a request: what the layers hold is the router's own.
    app.use('/users/:id', (_request, response) => {
      const before = layersNow()
      look()
      // The very same objects, not only equal ones.
      t.ok(layersNow().every((field, i) => field === before[i]))
      response.end()
    })
    function layersNow(): unknown[] {
      return [app, users].flatMap(layersOf).flatMap(({ params, path, keys }) => [params, path, keys])
    }
    await fetch(`http://127.0.0.1:${port}/users/7/elsewhere`)

    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const response = await fetch(`http://127.0.0.1:${port}/users/${i}/photos/${i * 10}`)
        return await response.json()
      }),
    )
    t.ok(reports > 0)
    t.same(
      answers,
      Array.from({ length: 20 }, (_, i) => ({
        params: { id: String(i), n: String(i * 10) },
        baseUrl: `/users/${i}`,
        url: `/photos/${i * 10}`,
      })),
    )
  })

  void t.test(`Express ${version}: the report can be mounted`, async (t) => {
    const app = express()
    app.use('/leaks', reportHandler({ allow: () => true }))
    app.use('/secret', reportHandler({ token: 'a-long-enough-token' }))
    const { server, port } = await serve(t, app)
    const get = (path: string, headers = {}): Promise<Response> =>
      fetch(`http://127.0.0.1:${port}${path}`, { headers })

    const early = await get('/leaks')
    t.equal(early.status, 503)
    t.match(await early.text(), 'socket-leak-guard is not installed')

    const guard = guarded(t)
    guardServer(server)
    const response = await get('/leaks')
    t.equal(response.status, 200)
    t.match(await response.json(), { schema: 'socket-leak-guard/report/v1', process: { pid: process.pid } })
    t.match(await (await get('/leaks/metrics')).text(), /^# HELP socket_leak_guard/)
    t.match((await get('/leaks', { accept: 'text/html' })).headers.get('content-type'), 'text/html')
    t.equal((await get('/secret')).status, 401)
    t.equal((await get('/secret', { authorization: 'Bearer a-long-enough-token' })).status, 200)
    t.throws(() => reportHandler({ token: 'a b' }), { code: 'SLG_ERR_INVALID_OPTION' })
    t.throws(() => reportHandler({ tokn: 'x' } as never), { message: /did you mean "token"/ })

    guard.uninstall()
    t.equal((await get('/leaks')).status, 503)
    const strict = install({ reportToken: 'another-long-token' })
    t.teardown(() => strict.uninstall())
    t.equal((await get('/leaks')).status, 401, "without a token of its own it takes the guard's")
    t.equal((await get('/leaks', { authorization: 'Bearer another-long-token' })).status, 200)
    t.equal((await get('/secret', { authorization: 'Bearer a-long-enough-token' })).status, 200)
  })

  void t.test(`Express ${version}: what app.listen() returns can be guarded and drained`, async (t) => {
    guarded(t)
    const app = express()
    const waiting: http.ServerResponse[] = []
    app.get('/wait', (_request, response) => void waiting.push(response))
    const server = app.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { drain } = guardServer(server, { label: 'api' })
    const answer = fetch(`http://127.0.0.1:${(server.address() as net.AddressInfo).port}/wait`)
    await until(() => waiting.length === 1, 'it is being served')
    const drained = drain({ timeoutMs: 15_000 })
    waiting[0]!.end('done')
    const response = await answer
    t.equal(response.headers.get('connection'), 'close')
    t.equal(await response.text(), 'done')
    t.match(await drained, { ended: 1, destroyed: 0, remaining: 0 })
  })
}

void t.test('without an application above it, a router is named as far as it can be', async (t) => {
  const guard = guarded(t)
  const router = express5.Router()
  let hanging = 0
  const hang = (): void => void (hanging += 1)
  router.get('/direct/:a', hang)
  const nested = express5.Router()
  nested.get('/photos/:n', hang)
  router.use('/users/:id', nested)
  const server = http.createServer((request, response) => {
    router(request as never, response as never, () => {})
  })
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  const port = await listen(server)
  for (const [target, site] of [
    ['GET /direct/1', 'GET /direct/:a'],
    ['GET /users/42/photos/7', 'GET /users/42/photos/:n'],
  ] as const) {
    const before = hanging
    const socket = request(t, port, target)
    await until(() => hanging > before, `${target} hangs`)
    t.equal(inbound(guard)[0]?.owner.site, site)
    socket.destroy()
    await until(() => inbound(guard).length === 0, 'it is gone')
  }
})
