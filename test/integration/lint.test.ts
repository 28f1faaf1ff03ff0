/** The linter on real servers: silent about what others ship as default, plain about what will leak. */
import http from 'node:http'
import net from 'node:net'
import express from 'express'
import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { once } from 'node:events'
import { install, type Guard } from '../../src/index.js'
import { listen } from '../support/events.js'
import { Peer } from '../support/peer.js'
import { until } from '../support/until.js'

const peer = new Peer()
t.teardown(() => peer.kill())

function closeAfter(t: Test, server: net.Server): net.Server {
  const sockets = new Set<net.Socket>()
  server.on('connection', (socket) => sockets.add(socket))
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return server
}

function rulesOf(guard: Guard): string[] {
  return guard.lint().map(({ rule }) => rule)
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
  await new Promise((resolve) => setTimeout(resolve, 1100))
  t.same(guard.lint(), [])
  t.same(
    guard.lint({ loadBalancerIdleMs: 60_000 }).map(({ rule }) => rule),
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
  await until(() => rulesOf(guard).includes('half-open-unheard'), 'it is found')
  const [finding] = guard.snapshot().lint
  t.match(finding, { message: `the TCP server on port ${port} allows half-open`, where: /events\.[jt]s:\d+/ })
})

t.test('one that listens for it is none', async (t) => {
  using guard = install()
  const server = net.createServer({ allowHalfOpen: true }, (socket) =>
    socket.resume().on('end', () => socket.end()),
  )
  const port = await listen(closeAfter(t, server))
  const connection = await peer.connect({ port })
  connection.do({ do: 'end' })
  await connection.saw('end')
  t.same(rulesOf(guard), [])
})

t.test('an upgrade handler without a close path', async (t) => {
  using guard = install()
  const server = closeAfter(t, http.createServer())
  server.on('upgrade', (_request, socket) => socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n'))
  const connection = await peer.connect({ port: await listen(server) })
  connection.do({
    do: 'write',
    text: 'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n',
  })
  await connection.saw('data')
  connection.do({ do: 'end' })
  await until(() => rulesOf(guard).includes('upgrade-unheld'), 'it is found')
})

t.test('a request that is never given up', async (t) => {
  using guard = install()
  const server = closeAfter(t, http.createServer({ requestTimeout: 0 }))
  await listen(server)
  t.same(rulesOf(guard), ['no-request-timeout'])
  server.close()
  await once(server, 'close')
  t.same(rulesOf(guard), [], 'a server that is gone is no finding')
})
