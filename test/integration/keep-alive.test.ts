/** Keep-alive as the kernel really has it, read back from the descriptor. */
import { once } from 'node:events'
import http2 from 'node:http2'
import net from 'node:net'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import tls from 'node:tls'
import t, { type Test } from 'tap'
import { install, type Direction, type Guard } from '../../src/index.js'
import { descriptorOf } from '../../src/socket/fields.js'
import type { KeepAliveTimes } from '../../src/core/kernel-facts.js'
import { selectKernelProbe } from '../../src/kernel/select.js'
import { CERTIFICATE } from '../support/certificate.js'
import { listen, meet, nextEvent } from '../support/events.js'
import { NetworkNamespace, skippedBecause } from '../support/network-namespace.js'
import { Peer } from '../support/peer.js'
import { until } from '../support/until.js'

const peer = new Peer()
t.teardown(() => peer.kill())

const TIMES = { idleMs: 30_000, intervalMs: 5000, count: 4 }

function halfOpenServer(t: Test): net.Server {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.resume()
    t.teardown(() => socket.destroy())
  })
  t.teardown(() => server.close())
  return server
}

function timesOf(socket: net.Socket): KeepAliveTimes | null {
  const probe = selectKernelProbe('ffi')
  return probe.readKeepAlive!(descriptorOf(socket))
}

t.test(
  'a suspect has idle, interval and count, on every version of Node; a healthy socket has nothing',
  async (t) => {
    using guard = install({ kernel: 'ffi', graceMs: 60_000, sweepMs: 50 })
    const { socket, connection } = await meet(peer, halfOpenServer(t))
    guard.sweep()
    t.equal(timesOf(socket), null, 'off while healthy')
    connection.do({ do: 'end' })
    await nextEvent(guard, 'suspect')
    t.same(timesOf(socket), TIMES)
    t.equal(guard.snapshot().sockets[0]?.evidence.keepAlive, 'guard')
    // The application has its own idea now: it wins, and is noticed.
    socket.setKeepAlive(true, 120_000)
    t.match(timesOf(socket), { idleMs: 120_000 })
    t.equal(guard.sweep().sockets[0]?.evidence.keepAlive, 'application')
    guard.sweep()
    t.match(timesOf(socket), { idleMs: 120_000 }, 'and it stays so')
  },
)

t.test('what recovers gets its silence back', async (t) => {
  using guard = install({ kernel: 'ffi', graceMs: 2000, sweepMs: 50 })
  // Half-closed by us: the peer's answer heals it.
  const server = net.createServer((socket) => socket.resume().end('over to you'))
  t.teardown(() => server.close())
  const { socket, connection } = await meet(peer, server)
  await nextEvent(guard, 'suspect')
  t.same(timesOf(socket), TIMES)
  connection.do({ do: 'end' })
  await until(() => socket.destroyed, 'it closed')
  t.match(guard.snapshot().totals, { tracked: 0, leaked: 0 })
})

t.test('userTimeoutMs is set on every connection', async (t) => {
  using guard = install({ kernel: 'ffi', userTimeoutMs: 4321, sweepMs: 50 })
  const server = halfOpenServer(t)
  const port = await listen(server)
  const { socket } = await meet(peer, server)
  const client = net.connect(port, '127.0.0.1')
  t.teardown(() => client.destroy())
  await until(() => !client.connecting, 'it is connected')
  guard.sweep()
  t.equal(userTimeoutOf(socket), 4321)
  t.equal(userTimeoutOf(client), 4321)
})

/** TCP_USER_TIMEOUT, tcp(7). */
function userTimeoutOf(socket: net.Socket): number {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi')
  const getsockopt = koffi.load(null).func('int getsockopt(int, int, int, _Out_ int *, _Inout_ uint32_t *)')
  const value = [0]
  t.equal(getsockopt(descriptorOf(socket), 6, 18, value, [4]), 0)
  return value[0]!
}

for (const kernel of ['ffi', 'off'] as const) {
  t.test(`uninstall() takes the probes back, with kernel: '${kernel}'`, async (t) => {
    const guard = install({ kernel, graceMs: 60_000, sweepMs: 50, keepAlive: { when: 'always' } })
    t.teardown(() => guard.uninstall())
    const { socket } = await meet(peer, halfOpenServer(t))
    const before = timesEvenIfOff(socket)
    guard.sweep()
    t.match(timesOf(socket), { idleMs: 30_000 })
    guard.uninstall()
    t.equal(timesOf(socket), null, 'off again')
    if (kernel === 'ffi') t.same(timesEvenIfOff(socket), before, 'and its times are those of before')
  })
}

t.test(
  "where the kernel can't be asked, they are the system's own again",
  { skip: skippedBecause },
  async (t) => {
    const host = await NetworkNamespace.open(t)
    host.tune({ tcp_keepalive_time: 600, tcp_keepalive_intvl: 20, tcp_keepalive_probes: 3 })
    const program = join(import.meta.dirname, '..', 'programs', 'system-keep-alive.js')
    const times = JSON.stringify({ idleMs: 600_000, intervalMs: 20_000, count: 3 })
    t.doesNotThrow(() => host.run(`'${process.execPath}' '${program}' '${times}'`))
  },
)

t.test("the application's own stays, though Node keeps it where one must look for it", async (t) => {
  using guard = install({ kernel: 'ffi', sweepMs: 50, keepAlive: { when: 'always' } })
  const server = tls.createServer({ ...CERTIFICATE, keepAlive: true, keepAliveInitialDelay: 120_000 })
  t.teardown(() => server.close())
  const port = await listen(server)
  const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
  t.teardown(() => client.destroy())
  const [socket] = (await once(server, 'secureConnection')) as [tls.TLSSocket]
  t.teardown(() => socket.destroy())
  const before = timesOf(socket)
  t.match(before, { idleMs: 120_000 })
  guard.sweep()
  t.same(timesOf(socket), before)
  t.equal(evidenceOf(guard, 'inbound'), 'application')

  t.equal(timesOf(client)?.idleMs, 30_000, 'the other end has none of its own')
  t.equal(evidenceOf(guard, 'outbound'), 'guard')
  client.setKeepAlive(true, 60_000)
  t.match(timesOf(client), { idleMs: 60_000 }, 'until it asks for it')
  guard.uninstall()
  t.match(timesOf(client), { idleMs: 60_000 }, 'and then it stays')
})

t.test('an HTTP/2 session gets no probes: it would emit their error to nobody', async (t) => {
  using guard = install({ kernel: 'ffi', sweepMs: 50, keepAlive: { when: 'always' } })
  const server = http2.createServer()
  t.teardown(() => server.close())
  const port = await listen(server)
  const session = http2.connect(`http://127.0.0.1:${port}`)
  t.teardown(() => session.destroy())
  const [accepted] = (await once(server, 'connection')) as [net.Socket]
  await once(session, 'connect')
  guard.sweep()
  t.equal(timesOf(accepted), null)
})

function evidenceOf(guard: Guard, way: Direction): string | undefined {
  const { sockets } = guard.snapshot({ all: true })
  return sockets.find(({ direction }) => direction === way)?.evidence.keepAlive
}

function timesEvenIfOff(socket: net.Socket): unknown {
  return selectKernelProbe('ffi').readKeepAlive!(descriptorOf(socket), true)
}
