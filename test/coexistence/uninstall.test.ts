/** After `uninstall()` the process is as it was: every method, every channel, every socket. */
import diagnostics from 'node:diagnostics_channel'
import { EventEmitter, once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import net, { type AddressInfo } from 'node:net'
import stream from 'node:stream'
import tls from 'node:tls'
import t from 'tap'
import { install, installedGuard, type InstallOptions } from '../../src/index.js'
import { CERTIFICATE } from '../support/certificate.js'
import { withServer } from '../support/connection.js'

const PATCHABLE: readonly object[] = [
  net.Socket,
  net.Socket.prototype,
  net.Server.prototype,
  tls.TLSSocket.prototype,
  tls.Server.prototype,
  http.Server.prototype,
  https.Server.prototype,
  http.Agent.prototype,
  http.ClientRequest.prototype,
  http.IncomingMessage.prototype,
  http.OutgoingMessage.prototype,
  stream.Duplex.prototype,
  stream.Readable.prototype,
  stream.Writable.prototype,
  EventEmitter.prototype,
  net,
  tls,
  http,
  https,
]

const CHANNELS = [
  'net.server.socket',
  'net.client.socket',
  'http.server.request.start',
  'http.server.response.finish',
  'http.client.request.start',
  'undici:request:create',
  'undici:client:sendHeaders',
  'undici:request:trailers',
]

/** What more is patched when more is asked for. */
const MODES: readonly InstallOptions[] = [
  {},
  { stacks: 'always', context: 'async-local-storage', keepAlive: { when: 'always' }, kernel: 'off' },
]

/** Every property of every object, in order, with its value itself: whatever was replaced or moved is a difference. */
function everything(): unknown[] {
  return PATCHABLE.flatMap((object) =>
    Reflect.ownKeys(object).flatMap((key) => {
      const { value, get, set, writable, enumerable, configurable } = Object.getOwnPropertyDescriptor(
        object,
        key,
      )!
      return [object, key, value, get, set, writable, enumerable, configurable]
    }),
  )
}

function isSame(before: unknown[], after: unknown[]): boolean {
  return before.length === after.length && before.every((value, i) => Object.is(value, after[i]))
}

for (const options of MODES) {
  t.test(`every method and property is what it was: ${JSON.stringify(options)}`, async (t) => {
    const before = everything()
    const guard = install(options)
    t.notOk(isSame(before, everything()), 'something is patched')
    guard.uninstall()
    t.ok(isSame(before, everything()))
    for (const channel of CHANNELS) t.notOk(diagnostics.hasSubscribers(channel), channel)
    t.equal(installedGuard(), null)
    guard.uninstall()
    t.ok(isSame(before, everything()), 'twice is once')
  })
}

t.test('installed and taken out a hundred times, it leaves nothing', async (t) => {
  const before = everything()
  for (let i = 0; i < 100; i += 1) install({ ...MODES[i % 2], sweepMs: 10 }).uninstall()
  t.ok(isSame(before, everything()))
  for (const channel of CHANNELS) t.notOk(diagnostics.hasSubscribers(channel), channel)
})

t.test('a socket is as it was, but for one empty property that is not listed', async (t) => {
  const guard = install()
  await withServer({}, async ({ client, accepted }) => {
    t.equal(guard.snapshot({ all: true }).sockets.length, 2)
    guard.uninstall()
    t.equal(guard.snapshot({ all: true }).sockets.length, 0, 'nothing is held on to')
    for (const socket of [client, accepted]) {
      const ours = Object.getOwnPropertySymbols(socket).filter((symbol) =>
        symbol.description?.includes('socket-leak-guard'),
      )
      for (const symbol of ours) {
        t.match(Object.getOwnPropertyDescriptor(socket, symbol), { value: undefined, enumerable: false })
      }
    }
  })
})

t.test('the next guard knows the sockets that the last one knew', async (t) => {
  install().uninstall()
  await withServer({ allowHalfOpen: true }, async ({ client, accepted }) => {
    for (let round = 0; round < 3; round += 1) {
      const guard = install()
      client.write('a')
      await once(accepted, 'data')
      t.equal(guard.snapshot({ all: true }).sockets.length, 2)
      guard.uninstall()
    }
    const guard = install({ graceMs: 20, sweepMs: 10 })
    const leaked = new Promise<unknown>((resolve) => {
      guard.subscribe((event) => {
        if (event.type === 'leaked' && event.socket.condition === 'eof-ignored') resolve(event)
      })
    })
    client.end()
    t.ok(await leaked)
    guard.uninstall()
  })
})

t.test('connections that live on after it are not disturbed', async (t) => {
  const guard = install()
  const server = tls.createServer(CERTIFICATE, (socket) => socket.pipe(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = tls.connect({
    port: (server.address() as AddressInfo).port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
  })
  client.write('before')
  t.equal(String((await once(client, 'data'))[0]), 'before')
  guard.uninstall()
  client.write('after')
  t.equal(String((await once(client, 'data'))[0]), 'after')
  client.end()
  await once(client, 'close')
  server.close()
  await once(server, 'close')
})

t.test('using declares the end of it', async (t) => {
  const before = everything()
  install()[Symbol.dispose]()
  t.ok(isSame(before, everything()))
})
