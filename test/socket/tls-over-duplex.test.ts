/** TLS that a program makes over a stream of its own is one connection, and that is the socket under the stream. */
import { once } from 'node:events'
import net from 'node:net'
import { Duplex } from 'node:stream'
import t, { type Test } from 'tap'
import tls from 'node:tls'
import { install, type Guard } from '../../src/index.js'
import { listen } from '../support/events.js'

// With a shared key, TLS needs no certificate.
const KEY = Buffer.from('a shared key')
const SECURE = { ciphers: 'PSK', maxVersion: 'TLSv1.2' } as const
const CLIENT = {
  ...SECURE,
  pskCallback: () => ({ psk: KEY, identity: 'client' }),
  checkServerIdentity: () => undefined,
}

function through(raw: net.Socket): Duplex {
  const duplex = new Duplex({
    read: () => void raw.resume(),
    write: (chunk, _encoding, done) => void raw.write(chunk, done),
    final: (done) => void raw.end(done),
    destroy(error, done) {
      raw.destroy()
      done(error)
    },
  })
  raw.on('data', (chunk) => duplex.push(chunk) || raw.pause()).on('end', () => duplex.push(null))
  return duplex
}

function checkTracked(t: Test, guard: Guard): void {
  const { sockets } = guard.sweep({ all: true })
  t.same(sockets.map(({ direction }) => direction).sort(), ['inbound', 'outbound'])
}

t.test('accepted', async (t) => {
  using guard = install({ graceMs: 60_000 })
  let heard: (() => void) | null = null
  const arrival = new Promise<void>((resolve) => (heard = resolve))
  const server = net.createServer((raw) => {
    const options = { isServer: true, secureContext: tls.createSecureContext(SECURE), pskCallback: () => KEY }
    const socket = new tls.TLSSocket(through(raw.on('error', () => {})), options as tls.TLSSocketOptions)
    socket.on('error', () => {}).on('data', () => heard!())
  })
  const client = tls.connect({ ...CLIENT, port: await listen(server), host: '127.0.0.1' })
  t.teardown(() => {
    client.destroy()
    server.close()
  })
  client.on('error', () => {}).once('secureConnect', () => client.write('hello'))
  await arrival
  checkTracked(t, guard)
})

t.test('opened', async (t) => {
  using guard = install({ graceMs: 60_000 })
  const server = tls.createServer({ ...SECURE, pskCallback: () => KEY }, (socket) => {
    socket.on('error', () => {}).write('hello')
  })
  const raw = net.connect(await listen(server), '127.0.0.1').on('error', () => {})
  await once(raw, 'connect')
  const client = tls.connect({ ...CLIENT, socket: through(raw) }).on('error', () => {})
  t.teardown(() => {
    raw.destroy()
    server.close()
  })
  await once(client, 'data')
  checkTracked(t, guard)
})
