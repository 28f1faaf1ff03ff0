/** TLS, however it comes about: one connection, its true direction, and a handshake that is not finished is told as that. */
import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import t, { type Test } from 'tap'
import { install, type Guard, type SocketReport } from '../../src/index.js'
import { closeAfter } from '../support/close-after.js'
import { listen, nextEvent } from '../support/events.js'

const QUICK = { graceMs: 400, sweepMs: 50 } as const
const psk = Buffer.from('a shared key')
/** With a shared key TLS needs no certificate. */
const SECURE = { ciphers: 'PSK', maxVersion: 'TLSv1.2' } as const
const CLIENT = {
  ...SECURE,
  pskCallback: () => ({ psk, identity: 'client' }),
  checkServerIdentity: () => undefined,
}
const SERVER = { ...SECURE, isServer: true, allowHalfOpen: true, pskCallback: () => psk } as const

function only(guard: Guard, direction: SocketReport['direction']): SocketReport {
  const found = guard.sweep({ all: true }).sockets.filter((socket) => socket.direction === direction)
  if (found.length !== 1) throw new Error(`${found.length} ${direction} connections`)
  return found[0]!
}

/** A peer that is none of the application's, and says nothing. */
async function mute(t: Test, guard: Guard, port: number): Promise<net.Socket> {
  const client = net.connect({ port, host: '127.0.0.1' }).on('error', () => {})
  t.teardown(() => client.destroy())
  guard.exempt(client)
  await once(client, 'connect')
  return client
}

t.test('a client that never begins the handshake', async (t) => {
  using guard = install(QUICK)
  const server = closeAfter(t, tls.createServer({ ...SECURE, pskCallback: () => psk }))
  const accepted = once(server, 'connection')
  await mute(t, guard, await listen(server))
  await accepted
  const entry = only(guard, 'inbound')
  t.match(entry, { kind: 'tls', verdict: 'none', evidence: { heldBack: 'handshake' } })
  t.match(entry.diagnosis, /^TLS connection of .*: its TLS handshake is not finished\. Bound the handshake: /)
})

t.test('a server that never answers the handshake', async (t) => {
  using guard = install(QUICK)
  const server = closeAfter(
    t,
    net.createServer((socket) => guard.exempt(socket.on('error', () => {}))),
  )
  const client = tls
    .connect({ ...CLIENT, port: await listen(server), host: '127.0.0.1' })
    .on('error', () => {})
  t.teardown(() => client.destroy())
  await once(client, 'connect')
  t.match(only(guard, 'outbound').diagnosis, /: its TLS handshake is not finished\. Bound the handshake: /)
  const next = nextEvent(guard, 'stalled')
  client.write('hello')
  const { socket } = await next
  t.match(socket, { kind: 'tls', condition: 'write-stalled', evidence: { heldBack: 'handshake' } })
  t.match(socket.diagnosis, /the TLS handshake was never finished: 5 B can't leave before that/)
})

t.test('tls.connect() over a socket of the application', async (t) => {
  using guard = install(QUICK)
  const mute = closeAfter(
    t,
    net.createServer((socket) => guard.exempt(socket.on('error', () => {}))),
  )
  const raw = net.connect({ port: await listen(mute), host: '127.0.0.1' }).on('error', () => {})
  t.teardown(() => raw.destroy())
  await once(raw, 'connect')
  t.match(only(guard, 'outbound'), { kind: 'tcp', evidence: { heldBack: null } })
  const errors: unknown[] = []
  const client = tls.connect({ ...CLIENT, socket: raw }).on('error', (error) => errors.push(error))
  t.match(only(guard, 'outbound'), { kind: 'tls', evidence: { heldBack: 'handshake' } })
  t.match(only(guard, 'outbound').diagnosis, /: its TLS handshake is not finished\. Bound the handshake: /)
  t.same(errors, [])
  const broken = new Promise((resolve) => client.on('close', resolve)) // `once()` would listen for 'error'
  raw.destroy(new Error('as ever'))
  await broken
  t.match(errors, [{ message: 'as ever' }], 'its errors still arrive')
})

t.test('a TLS connection that nobody has used since its handshake', async (t) => {
  using guard = install(QUICK)
  const server = closeAfter(t, tls.createServer({ ...SECURE, pskCallback: () => psk }))
  const port = await listen(server)
  const raw = net.connect({ port, host: '127.0.0.1' }).on('error', () => {})
  for (const over of [{ socket: raw }, { port, host: '127.0.0.1' }]) {
    const client = tls.connect({ ...CLIENT, ...over }).on('error', () => {})
    t.teardown(() => client.destroy())
    await once(client, 'secureConnect')
  }
  const told = guard.sweep({ all: true }).sockets.filter(({ direction }) => direction === 'outbound')
  t.match(told, [
    { kind: 'tls', evidence: { heldBack: null } },
    { kind: 'tls', evidence: { heldBack: null } },
  ])
  t.match(told[1]!.diagnosis, /nothing but its TLS handshake has ever moved on it/)
})

/** How a server comes to TLS on a connection that it has. */
const FORMS: Readonly<Record<string, { readonly asks: boolean; readonly options: tls.TLSSocketOptions }>> = {
  STARTTLS: { asks: true, options: { ...SERVER, secureContext: tls.createSecureContext(SECURE) } },
  'a TLSSocket without a secureContext': { asks: false, options: SERVER },
}

for (const [name, { asks, options }] of Object.entries(FORMS)) {
  t.test(`${name}: one connection on each side, and no handshake is blamed`, async (t) => {
    using guard = install(QUICK)
    const server = closeAfter(
      t,
      net.createServer({ allowHalfOpen: true }, async (raw) => {
        raw.on('error', () => {})
        if (asks) await once(raw, 'data')
        if (asks) raw.write('go')
        const secured = new tls.TLSSocket(raw, options)
        secured.on('error', () => {}).on('data', () => secured.write('heard'))
      }),
    )
    const raw = net.connect({ port: await listen(server), host: '127.0.0.1' }).on('error', () => {})
    t.teardown(() => raw.destroy())
    if (asks) {
      raw.write('STARTTLS')
      await once(raw, 'data')
    }
    const client = tls.connect({ ...CLIENT, socket: raw }).on('error', () => {})
    client.write('hello')
    await once(client, 'data')
    for (const direction of ['inbound', 'outbound'] as const)
      t.match(only(guard, direction), { kind: 'tls', verdict: 'none', evidence: { heldBack: null } })
    t.equal(guard.snapshot().totals.tracked, 2)
    client.end()
    while (guard.snapshot().totals.leaked < 2) await nextEvent(guard, 'leaked')
    t.match(only(guard, 'inbound'), { kind: 'tls', condition: 'eof-ignored', evidence: { heldBack: null } })
    t.match(only(guard, 'outbound'), { kind: 'tls', condition: 'fin-wait' })
  })
}
