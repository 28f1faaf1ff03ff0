/** Without an async hook, a request is known for as long as its handler runs without a break, and not a moment longer. */
import { EventEmitter, once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import t, { type Test } from 'tap'
import { install } from '../../../src/index.js'
import { usesAsyncContextFrame } from '../../../src/owner/context/async-context-frame.js'
import { listen } from '../../support/events.js'

function close(t: Test, server: http.Server): void {
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
}

t.test('what a handler opens at once is named, what it opens later is nobody’s', async (t) => {
  if (usesAsyncContextFrame()) t.comment('auto knows more on this Node')
  using guard = install({ context: 'auto', stacks: 'off', sweepMs: 60_000 })
  const target = net.createServer((socket) => socket.on('error', () => {}).resume())
  const port = await listen(target)
  t.teardown(() => target.close())
  const opened: net.Socket[] = []
  t.teardown(() => opened.forEach((socket) => socket.destroy()))
  const open = (): net.Socket => {
    const socket = net.connect(port, '127.0.0.1')
    opened.push(socket)
    return socket
  }
  const server = http.createServer(async (request, response) => {
    if (request.url === '/later') await null
    await once(open(), 'connect')
    response.write('opened')
  })
  close(t, server)
  const serverPort = await listen(server)
  for (const path of ['/at-once', '/later']) {
    const client = http.get({ port: serverPort, host: '127.0.0.1', path, agent: false })
    await once(client, 'response')
  }
  const sites = guard
    .snapshot({ all: true })
    .sockets.filter(({ direction, remote }) => direction === 'outbound' && remote?.port === port)
    .map(({ owner }) => owner.site)
  const later = usesAsyncContextFrame() ? `GET /later → 127.0.0.1:${port}` : `to 127.0.0.1:${port}`
  t.same(sites, [`GET /at-once → 127.0.0.1:${port}`, later])
})

t.test('a handler within a handler, and one that throws', async (t) => {
  if (usesAsyncContextFrame()) t.comment('auto knows as much on this Node')
  using guard = install({ context: 'auto', stacks: 'off', sweepMs: 60_000 })
  const target = net.createServer((socket) => socket.on('error', () => {}).resume())
  const port = await listen(target)
  t.teardown(() => target.close())
  const opened: [name: string, socket: net.Socket][] = []
  t.teardown(() => opened.forEach(([, socket]) => socket.destroy()))
  const open = (name: string): void => void opened.push([name, net.connect(port, '127.0.0.1')])
  const server = http.createServer()
  const inner = http.createServer(() => {
    open('GET /inner')
    throw new Error('handler')
  })
  const handle = (url: string): void =>
    void inner.emit('request', { method: 'GET', url, socket: null }, new EventEmitter())
  server.on('request', () => {
    open('GET /outer')
    t.throws(() => handle('/inner'), /handler/)
    open('GET /outer')
  })
  server.emit('request', { method: 'GET', url: '/outer' }, new EventEmitter())
  open(`to 127.0.0.1:${port}`)
  for (const [name, socket] of opened) {
    await once(socket, 'connect')
    const { site } = guard.adapter.describe(socket)!.owner
    t.equal(site.replace(/ → .*/, ''), name)
  }
})
