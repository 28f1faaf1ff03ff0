/** Without an async hook, a request is known for as long as its handler runs without a break, and not a moment longer. */
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import t, { type Test } from 'tap'
import { install } from '../../../src/index.js'
import { usesAsyncContextFrame } from '../../../src/observe/context/async-context-frame.js'
import { whileHandlerRuns } from '../../../src/observe/context/handler-run.js'
import type { ServedRequest } from '../../../src/observe/context/served-request.js'
import { listen } from '../../support/events.js'

t.test('one request within another, and a handler that throws', async (t) => {
  const source = whileHandlerRuns()
  const told: ServedRequest[] = []
  const serve = (url: string, fn: () => void): void =>
    source.serve!({ method: 'GET', url }, fn, (served) => void told.push(served))
  const name = (): string | null => (source.current() as ServedRequest | null)?.name() ?? null
  t.equal(name(), null)
  serve('/quiet', () => {})
  t.same(told, [], 'a request that opens nothing leaves nothing')
  serve('/outer', () => {
    t.equal(name(), 'GET /outer')
    t.equal(source.current(), source.current(), 'always the same')
    t.throws(
      () =>
        serve('/inner', () => {
          t.equal(name(), 'GET /inner')
          throw new Error('handler')
        }),
      /handler/,
    )
    t.equal(name(), 'GET /outer')
  })
  t.equal(name(), null)
  t.equal(told.length, 2)
})

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
