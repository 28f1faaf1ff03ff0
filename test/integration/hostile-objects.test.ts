/** Objects of the application's that throw when they are read cost the field that was read, and nothing else. */
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import t, { type Test } from 'tap'
import { install, type Guard, type SocketReport } from '../../src/index.js'
import { closeAfter } from '../support/close-after.js'
import { listen } from '../support/events.js'
import { until } from '../support/until.js'

/** What is read of a request, but for what Node reads of it as well. */
const READ_OF_A_REQUEST = ['url', 'originalUrl', 'baseUrl', 'route', 'app']

function refuse(object: object, ...keys: readonly string[]): void {
  for (const key of keys) {
    Object.defineProperty(object, key, {
      configurable: true,
      get() {
        throw new Error(`not ${key}`)
      },
    })
  }
}

/** Three requests that are never answered, of which the second is spoilt, and whose clients then end. */
async function serve(t: Test, spoil: (request: http.IncomingMessage, response: http.ServerResponse) => void) {
  const guard = install({ graceMs: 100, sweepMs: 10, kernel: 'off', action: 'destroy' })
  t.teardown(() => guard.uninstall())
  const served = new Map<string, net.Socket>()
  const server = closeAfter(
    t,
    http.createServer((request, response) => {
      const { socket, url } = request
      served.set(url!, socket)
      if (url === '/spoilt') spoil(request, response)
    }),
  )
  Object.assign(server, { httpAllowHalfOpen: true })
  const port = await listen(server)
  const clients: net.Socket[] = []
  for (const path of ['/first', '/spoilt', '/last']) {
    const client = net
      .connect({ port, host: '127.0.0.1', allowHalfOpen: true })
      .on('error', () => {})
      .resume()
    t.teardown(() => client.destroy())
    client.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    await until(() => served.has(path), `${path} is served`)
    clients.push(client)
  }
  return { guard, served, clients }
}

function inboundOf({ guard }: { readonly guard: Guard }): SocketReport[] {
  return guard.snapshot({ all: true }).sockets.filter(({ direction }) => direction === 'inbound')
}

for (const key of READ_OF_A_REQUEST) {
  t.test(`a request whose ${key} throws`, async (t) => {
    const scene = await serve(t, (request) => refuse(request, key))
    const paths = inboundOf(scene).map(({ owner }) => owner.request?.path)
    t.ok(paths.includes('/first') && paths.includes('/last'), 'the others are reported')
    t.equal(paths.length, 3, 'and so is the spoilt one')
    t.doesNotThrow(() => scene.guard.sweep({ all: true }))
    for (const client of scene.clients) client.end()
    for (const socket of scene.served.values()) if (!socket.destroyed) await once(socket, 'close')
  })
}

t.test('what can not be read is called so', async (t) => {
  const scene = await serve(t, (request) => refuse(request, 'originalUrl'))
  const paths = inboundOf(scene).map(({ owner }) => owner.request?.path)
  t.same(paths.sort(), ['/first', '/last', 'unreadable'])
})

t.test('a socket', async (t) => {
  const { guard, served, clients } = await serve(t, ({ socket }) => refuse(socket, 'readableLength'))
  t.equal(inboundOf({ guard }).length, 3)
  for (const client of clients) client.end()
  for (const path of ['/first', '/last']) {
    const socket = served.get(path)!
    if (!socket.destroyed) await once(socket, 'close')
  }
  t.pass('the others are looked after')
})

t.test('what an adapter has told', async (t) => {
  const { guard, served } = await serve(t, () => {})
  const webSocket = new Proxy({} as { isPaused: boolean; readyState: number; close(): void }, {
    get() {
      throw new Error('no')
    },
  })
  guard.adapter.attribute(served.get('/spoilt')!, {
    kind: 'websocket',
    webSocket,
    request: webSocket as object,
  })
  const told = inboundOf({ guard }).find(({ kind }) => kind === 'websocket')
  t.match(told?.owner, {
    context: { webSocket: 'unreadable' },
    request: { method: 'unreadable', path: 'unreadable' },
  })
})
