/** Settings of one net or tls server, and its graceful stop. */
import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import t, { type Test } from 'tap'
import { guardServer } from '../../adapters/net/index.js'
import { install, type Guard } from '../../src/index.js'
import { CERTIFICATE } from '../support/certificate.js'
import { statesOf } from '../support/descriptors.js'
import { listen } from '../support/events.js'
import { Peer } from '../support/peer.js'
import { entryWhere, inbound } from '../support/report.js'
import { until } from '../support/until.js'

const peer = new Peer()
t.teardown(() => peer.kill())

function guarded(t: Test): Guard {
  const guard = install({ graceMs: 60_000, sweepMs: 50 })
  t.teardown(() => guard.uninstall())
  return guard
}

function closed(t: Test, server: net.Server): void {
  const sockets = new Set<net.Socket>()
  server.on('connection', (socket) => sockets.add(socket))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
}

void t.test('the settings of a server hold for its sockets, the open ones included', async (t) => {
  const guard = guarded(t)
  const server = net.createServer({ allowHalfOpen: true }, (socket) => socket.resume())
  closed(t, server)
  const port = await listen(server)
  const connection = await peer.connect({ port })
  await until(() => guard.adapter.socketsOf(server).length === 1, 'it is accepted')
  const { release } = guardServer(server, { graceMs: 150, label: 'ingest' })
  connection.do({ do: 'end' })
  const entry = await entryWhere(guard, ({ verdict }) => verdict === 'leaked', 'it leaks')
  t.equal(entry.owner.label, 'ingest')
  t.equal(entry.owner.site, `listener :${port}`)
  release()
  t.equal(inbound(guard)[0]?.owner.label, null)
})

void t.test('a drain ends what can be ended and closes the rest by force', async (t) => {
  const guard = guarded(t)
  const accepted: net.Socket[] = []
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    accepted.push(socket)
    if (accepted.length === 3) socket.write(Buffer.alloc(20_000_000))
    if (accepted.length === 4) socket.write('still to be sent')
  })
  closed(t, server)
  const port = await listen(server)
  const { drain } = guardServer(server)
  const chatty = await peer.connect({ port })
  chatty.do({ do: 'write', text: 'what nobody reads' })
  const stubborn = await peer.connect({ port })
  const stuck = await peer.connect({ port, paused: true })
  const polite = await peer.connect({ port })
  for (const connection of [chatty, polite]) {
    void connection.saw('end').then(() => connection.do({ do: 'end' }))
  }
  await until(() => accepted.length === 4, 'all are accepted')
  await until(() => accepted[0]!.readableLength > 0, 'what nobody reads is here')
  const { port: stuckPort } = await stuck.saw('connected')

  const result = await drain({ timeoutMs: 400 })
  t.match(result, { ended: 2, destroyed: 2, remaining: 0 })
  t.match(await polite.saw('data'), { text: 'still to be sent' })
  await stubborn.saw('end')
  t.same(statesOf(port, stuckPort!), [], 'no orphan is left in the kernel')
  t.notOk(server.listening)
  t.same(guard.adapter.socketsOf(server), [])
})

void t.test('a tls server drains as well, and each connection counts once', async (t) => {
  const guard = guarded(t)
  const server = tls.createServer(CERTIFICATE)
  closed(t, server)
  const port = await listen(server)
  const { drain } = guardServer(server, { label: 'secure' })
  const secured = once(server, 'secureConnection') as Promise<[tls.TLSSocket]>
  const connection = await peer.connect({ port, tls: true })
  const [socket] = await secured
  connection.do({ do: 'write', text: 'hello' })
  await until(() => socket.readableLength > 0, 'something has come')
  // In the middle of its handshake: nothing of TLS is said.
  await peer.connect({ port })
  await until(() => guard.adapter.socketsOf(server).length === 2, 'both are there')
  void connection.saw('end').then(() => connection.do({ do: 'end' }))
  const result = await drain({ timeoutMs: 400 })
  t.match(result, { ended: 1, destroyed: 1, remaining: 0 })
  await connection.saw('end')
  t.equal(server.listenerCount('secureConnection'), 0)
})

void t.test('a TLS handshake under way is finished, and its connection counts once', async (t) => {
  const guard = guarded(t)
  const server = tls.createServer(CERTIFICATE)
  closed(t, server)
  const port = await listen(server)
  const { drain } = guardServer(server)
  const raw = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  t.teardown(() => raw.destroy())
  await until(() => guard.adapter.socketsOf(server).length === 1, 'it is accepted')
  const [before] = guard.adapter.socketsOf(server)
  const drained = drain({ timeoutMs: 15_000 })
  const client = tls.connect({
    socket: raw,
    rejectUnauthorized: false,
    allowHalfOpen: true,
  } as tls.ConnectionOptions)
  client.resume()
  await once(client, 'end')
  t.not(guard.adapter.socketsOf(server)[0], before, 'the TLSSocket has taken the place of the raw socket')
  // Long enough for a drain to look again.
  setTimeout(() => client.end(), 300)
  t.match(await drained, { ended: 1, destroyed: 0, remaining: 0 })
})

void t.test('a socket that is handed in to a tls server lives by the settings of that', async (t) => {
  const guard = guarded(t)
  const inner = tls.createServer(CERTIFICATE)
  inner.on('secureConnection', (socket) => socket.once('readable', () => {}))
  guardServer(inner, { graceMs: 150, label: 'inner' })
  const front = net.createServer({ allowHalfOpen: true }, (socket) => inner.emit('connection', socket))
  closed(t, front)
  guardServer(front, { label: 'front' })
  const connection = await peer.connect({ port: await listen(front), tls: true })
  connection.do({ do: 'end', text: 'unread' })
  const entry = await entryWhere(guard, ({ verdict }) => verdict === 'leaked', 'it leaks')
  t.equal(entry.owner.label, 'inner')
})

void t.test(
  'connections from before the guard are drained as well, and nobody waits for them without end',
  async (t) => {
    const server = net.createServer({ allowHalfOpen: true }, () => {})
    closed(t, server)
    const port = await listen(server)
    const accepted = once(server, 'connection')
    const silent = await peer.connect({ port })
    await accepted
    guarded(t)
    const { drain } = guardServer(server)
    const result = await drain({ timeoutMs: 200 })
    t.match(result, { ended: 0, destroyed: 1, remaining: 0 })
    t.ok(result.elapsedMs >= 200, 'it had its time')
    silent.do({ do: 'end' })
  },
)
