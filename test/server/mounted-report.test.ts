/** The report in the application's own server: to whom it shows itself. */
import t from 'tap'
import { install, reportHandler } from '../../src/index.js'
import { exchange, parseResponse, request, serve } from './raw-request.js'

const TOKEN = 'a-long-enough-token'
const authorization = `Bearer ${TOKEN}`

t.test('without a token and a function that allows it is refused at once', async (t) => {
  t.throws(() => reportHandler({ token: null }), {
    code: 'SLG_ERR_REPORT_NEEDS_TOKEN',
    message: /token.*allow/,
  })
  t.throws(() => reportHandler({ allow: true } as never), { code: 'SLG_ERR_INVALID_OPTION' })
  using guard = install()
  t.throws(() => reportHandler(), { code: 'SLG_ERR_REPORT_NEEDS_TOKEN' })
  t.doesNotThrow(() => reportHandler({ allow: () => true }))
  t.equal(guard.options.reportToken, null)
})

t.test('what a proxy without headers of its own sends is shown nothing', async (t) => {
  // Made before the guard, which has no token either.
  const port = await serve(t, reportHandler())
  using guard = install()
  const proxied = await exchange(
    { port, host: '127.0.0.1' },
    `GET / HTTP/1.0\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`,
  )
  const { status, body } = parseResponse(proxied)
  t.equal(status, 403)
  t.match(body, /^a report in your own server needs a token/)
  t.equal(guard.snapshot().schema, 'socket-leak-guard/report/v1')
})

t.test('the token of the guard, of the call, and a function besides', async (t) => {
  using guard = install({ reportToken: TOKEN })
  const asked: (string | undefined)[] = []
  const plain = await serve(t, reportHandler())
  const own = await serve(t, reportHandler({ token: 'another-token' }))
  const both = await serve(
    t,
    reportHandler({
      allow({ headers }) {
        asked.push(headers['x-user'] as string | undefined)
        return headers['x-user'] === 'admin'
      },
    }),
  )
  const statusOf = async (port: number, headers = {}): Promise<number> =>
    (await request(port, 'GET /metrics', headers)).status
  t.equal(await statusOf(plain), 401)
  t.equal(await statusOf(plain, { authorization }), 200)
  t.equal(await statusOf(own, { authorization }), 401)
  t.equal(await statusOf(own, { authorization: 'Bearer another-token' }), 200)
  t.equal(await statusOf(both, { 'x-user': 'admin' }), 401)
  t.equal(await statusOf(both, { authorization, 'x-user': 'guest' }), 403)
  t.equal(await statusOf(both, { authorization, 'x-user': 'admin' }), 200)
  t.same(asked, ['guest', 'admin'], 'whoever has no token is not asked further')
  t.equal(guard.options.reportToken, TOKEN)
})

t.test('a function that throws allows nothing', async (t) => {
  using guard = install()
  function allow(): never {
    throw new Error('no session')
  }
  const port = await serve(t, reportHandler({ allow }))
  const { status, body } = await request(port, 'GET /')
  t.equal(status, 500)
  t.notMatch(body, 'sockets')
  t.equal(guard.snapshot().totals.leaked, 0)
})
