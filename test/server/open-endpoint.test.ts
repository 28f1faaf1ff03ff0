/** The endpoint as install() opens it, beside a real leak. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, type Socket, connect, createServer } from 'node:net'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import t from 'tap'
import type { SocketReport } from '../../src/core/report.js'
import { install } from '../../src/install.js'
import { exchange, openEvents, readUntil, request } from './raw-request.js'

const packageRoot = join(import.meta.dirname, '..', '..', '..')
const schema = JSON.parse(readFileSync(join(packageRoot, 'report.schema.json'), 'utf8'))
const validate = new Ajv2020({ allErrors: true, allowUnionTypes: true }).compile(schema)

t.test('the report of a guard is read over HTTP and fits its schema', async (t) => {
  const guard = install({ graceMs: 200, sweepMs: 50, report: '127.0.0.1:0' })
  t.teardown(() => guard.uninstall())
  const { url } = (await guard.listening) ?? { url: '' }
  const port = Number(new URL(url).port)

  const healthy = await request(port, 'GET /?all=1')
  validate(JSON.parse(healthy.body))
  t.same(validate.errors, null)
  const listed: SocketReport[] = JSON.parse(healthy.body).sockets
  t.ok(
    listed.some(({ remote }) => remote?.port === port),
    'our own client is a socket of this process',
  )
  t.notOk(
    listed.some(({ local }) => local?.port === port),
    'the connection that the endpoint accepted is not',
  )

  const events = openEvents(port)
  const received = { text: '' }
  await readUntil(events, received, 'retry')
  const server = createServer({ allowHalfOpen: true }, (socket) => socket.resume()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'connection')
  const client = connect({
    port: (server.address() as AddressInfo).port,
    host: '127.0.0.1',
    allowHalfOpen: true,
  })
  const [leak] = (await accepted) as [Socket]
  client.end()
  // The other end of it is in this process too, and waits as long.
  await readUntil(events, received, /^data: \{"type":"leaked".*"direction":"inbound"/m)

  const leaky = await request(port, 'GET /')
  validate(JSON.parse(leaky.body))
  t.same(validate.errors, null)
  const sockets: SocketReport[] = JSON.parse(leaky.body).sockets
  const id = sockets.find(({ direction, verdict }) => direction === 'inbound' && verdict === 'leaked')?.id
  t.match((await request(port, 'GET /?format=text')).body, new RegExp(`^#${id} leaked: `, 'm'))
  t.match((await request(port, 'GET /?format=html')).body, '<span class="badge leaked">leaked</span>')
  t.match((await request(port, 'GET /metrics')).body, '{condition="eof-ignored",verdict="leaked"} 1')

  leak.destroy()
  client.destroy()
  server.close()
  const closed = once(events.resume(), 'close')
  guard.uninstall()
  await closed
  await t.rejects(exchange({ port, host: '127.0.0.1' }, ''), { code: 'ECONNREFUSED' })
})

t.test('an address that others reach is an error of install()', async (t) => {
  t.throws(() => install({ report: '0.0.0.0:0' }), { code: 'SLG_ERR_REPORT_NEEDS_TOKEN' })
  t.throws(() => install({ report: 'somewhere' }), { code: 'SLG_ERR_INVALID_OPTION' })
})
