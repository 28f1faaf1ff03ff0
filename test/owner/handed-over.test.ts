/** What became of an upgrade or a CONNECT, on either side, once HTTP has let go of the socket. */
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import t, { type Test } from 'tap'
import { install } from '../../src/index.js'
import { listen } from '../support/events.js'
import { until } from '../support/until.js'

async function serve(t: Test, server: net.Server): Promise<number> {
  const sockets = new Set<net.Socket>()
  server.on('connection', (socket) => sockets.add(socket.on('error', () => {})))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return listen(server)
}

t.test('a tunnel that a proxy has refused is named by its target', async (t) => {
  using guard = install({ context: 'off', graceMs: 60_000 })
  const port = await serve(
    t,
    net.createServer((socket) => {
      socket.once('data', () => socket.write('HTTP/1.1 502 Bad Gateway\r\nContent-Length: 500\r\n\r\n'))
    }),
  )
  const request = http.request({
    port,
    host: '127.0.0.1',
    method: 'CONNECT',
    path: '10.0.0.7:443',
    agent: false,
  })
  const [response, socket] = (await once(request.on('error', () => {}).end(), 'connect')) as [
    http.IncomingMessage,
    net.Socket,
  ]
  t.teardown(() => socket.destroy())
  t.equal(response.statusCode, 502)
  t.match(guard.adapter.describe(socket)?.owner, {
    site: `CONNECT 10.0.0.7:443 → 127.0.0.1:${port}`,
    request: { method: 'CONNECT', path: '10.0.0.7:443' },
  })
})

t.test('an upgrade is unanswered until something is written', async (t) => {
  using guard = install({ context: 'off', graceMs: 60_000 })
  const server = http.createServer((_request, response) => response.end('page'))
  let upgraded: net.Socket | undefined
  server.on('upgrade', function onUpgrade(_request, socket: net.Socket) {
    upgraded = socket
  })
  server.on('upgrade', () => {})
  const client = net.connect(await serve(t, server), '127.0.0.1')
  t.teardown(() => client.destroy())
  // What was answered on the same connection before does not count.
  client.write('GET /page HTTP/1.1\r\nHost: a\r\n\r\n')
  await once(client, 'data')
  client.write('GET /old HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n')
  await until(() => upgraded !== undefined, 'it is handed over')
  const entry = () => guard.adapter.describe(upgraded!)!
  t.same(entry().owner.context, { upgrade: 'unanswered' })
  t.match(
    entry().diagnosis,
    /^Connection of upgrade \/old from .*: open, and nobody has answered its upgrade for \d+ ms \(listeners: onUpgrade, \(anonymous\)\)\.$/,
  )
  upgraded!.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n')
  t.same(entry().owner.context, {})
  t.match(entry().diagnosis, /^Upgraded connection of \/old from /)
})

t.test('nothing is called the last that never was', async (t) => {
  using guard = install({ context: 'off', graceMs: 60_000 })
  if (guard.snapshot().kernel.probe !== 'ffi') return t.comment('only ffi knows ages')
  const port = await serve(
    t,
    net.createServer({ allowHalfOpen: true }, (socket) => socket.resume()),
  )
  const talks = net.connect(port, '127.0.0.1').resume()
  const mute = net.connect(port, '127.0.0.1').resume()
  t.teardown(() => [talks, mute].forEach((socket) => socket.destroy()))
  await Promise.all([once(talks, 'connect'), once(mute, 'connect')])
  talks.end('a question')
  mute.end()
  const evidenceOf = (client: net.Socket) => {
    const entry = guard
      .sweep({ all: true, unsettled: true })
      .sockets.find(({ direction, remote }) => direction === 'inbound' && remote?.port === client.localPort)
    return entry?.kernelState === 'CLOSE_WAIT' ? entry.evidence : null
  }
  await until(() => evidenceOf(talks) !== null && evidenceOf(mute) !== null, 'the kernel is asked')
  t.type(evidenceOf(talks)?.lastDataReceivedMs, 'number')
  t.match(
    [evidenceOf(talks), evidenceOf(mute)],
    [{ lastDataSentMs: null }, { lastDataSentMs: null, lastDataReceivedMs: null }],
  )
})
