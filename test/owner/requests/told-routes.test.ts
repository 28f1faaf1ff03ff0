/** The route of a request as an adapter tells it: `guard.adapter.nameRoute()`. */
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import t, { type Test } from 'tap'
import { install, type Guard, type ToldRoute } from '../../../src/index.js'
import { listen } from '../../support/events.js'
import { entryWhere, inbound } from '../../support/report.js'
import { until } from '../../support/until.js'

interface Scene {
  readonly guard: Guard
  readonly server: http.Server
  readonly client: net.Socket
  readonly response: http.ServerResponse
}

/** One request that is being served, whose route the handler has told. */
async function serve(t: Test, tell: (guard: Guard, request: http.IncomingMessage) => void): Promise<Scene> {
  const guard = install({ graceMs: 60_000, context: 'off' })
  const server = http.createServer()
  const port = await listen(server)
  const client = net.connect({ port, host: '127.0.0.1' })
  t.teardown(() => {
    client.destroy()
    server.close()
    guard.uninstall()
  })
  const served = once(server, 'request') as Promise<[http.IncomingMessage, http.ServerResponse]>
  client.write('GET /users/7?token=secret HTTP/1.1\r\nhost: x\r\n\r\n')
  const [request, response] = await served
  tell(guard, request)
  return { guard, server, client, response }
}

async function finish({ guard, server, client, response }: Scene): Promise<void> {
  response.end('done')
  await once(client, 'data')
  await until(
    () => guard.adapter.useOf(guard.adapter.socketsOf(server)[0]!)?.request === null,
    'the request is over',
  )
}

const siteOf = (guard: Guard): string | undefined => inbound(guard)[0]?.owner.site

const TOLD: readonly (readonly [what: string, route: ToldRoute, site: string])[] = [
  ['a string', '/users/:user', 'GET /users/:user'],
  ['a function', () => '/users/:user', 'GET /users/:user'],
  ['an empty string', '', 'GET /users/:id'],
  ['a function that does not know', () => undefined, 'GET /users/:id'],
  ['a function that knows there is none', () => null, 'GET /users/:id'],
  ['a function that returns something else', (() => 42) as never, 'GET /users/:id'],
  [
    'a function that throws',
    () => {
      throw new Error('broken on purpose')
    },
    'GET /users/:id',
  ],
]

for (const [what, route, site] of TOLD) {
  t.test(`${what}, for as long as the request takes`, async (t) => {
    const scene = await serve(t, (guard, request) => guard.adapter.nameRoute(request, route))
    t.equal(siteOf(scene.guard), site)
    t.equal(inbound(scene.guard)[0]?.owner.request?.path, '/users/7', 'the real path stands beside it')
    await finish(scene)
    t.match(siteOf(scene.guard), /^listener :/)
    t.equal(inbound(scene.guard)[0]?.owner.request, null)
  })
}

t.test('a function is asked when a report is made, and not when the request is over', async (t) => {
  let route = '/first'
  let asked = 0
  const scene = await serve(t, (guard, request) => {
    guard.adapter.nameRoute(request, () => {
      asked += 1
      return route
    })
  })
  t.equal(asked, 0, 'nobody asked yet')
  t.equal(siteOf(scene.guard), 'GET /first')
  route = '/second'
  t.equal(siteOf(scene.guard), 'GET /second')
  const before = asked
  await finish(scene)
  t.match(siteOf(scene.guard), /^listener :/)
  t.equal(asked, before)
})

t.test('what was told last counts', async (t) => {
  const { guard } = await serve(t, (guard, request) => {
    guard.adapter.nameRoute(request, '/first')
    guard.adapter.nameRoute(request, '/second')
  })
  t.equal(siteOf(guard), 'GET /second')
})

t.test('the next request on the connection has no route of the one before', async (t) => {
  const scene = await serve(t, (guard, request) => guard.adapter.nameRoute(request, '/users/:user'))
  await finish(scene)
  scene.client.write('GET /other HTTP/1.1\r\nhost: x\r\n\r\n')
  const entry = await entryWhere(scene.guard, ({ owner }) => owner.request?.path === '/other', 'it is there')
  t.equal(entry.owner.site, 'GET /other')
})

t.test("Node's request is not written to", async (t) => {
  await serve(t, (guard, request) => {
    const before = Reflect.ownKeys(request)
    guard.adapter.nameRoute(request, '/users/:user')
    t.same(Reflect.ownKeys(request), before)
  })
})

t.test('mistakes are told at once', async (t) => {
  const guard = install()
  for (const request of [null, undefined, '/users/7', 7]) {
    t.throws(() => guard.adapter.nameRoute(request as never, '/users/:user'), {
      code: 'SLG_ERR_INVALID_OPTION',
      message: /^request must be an http\.IncomingMessage, got /,
    })
  }
  for (const route of [null, undefined, 7, /users/, {}]) {
    t.throws(() => guard.adapter.nameRoute({}, route as never), {
      code: 'SLG_ERR_INVALID_OPTION',
      message: /^route must be a string or a function that returns one, got /,
    })
  }
  guard.uninstall()
  t.throws(() => guard.adapter.nameRoute({}, '/users/:user'), { code: 'SLG_ERR_UNINSTALLED' })
})
