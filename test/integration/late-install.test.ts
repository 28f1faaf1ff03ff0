/** `install()` in a process that has been running: what is open is adopted, and its leaks are found although their ends are past. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { join } from 'node:path'
import tls from 'node:tls'
import t from 'tap'
import { install, type SocketReport } from '../../src/index.js'
import { CERTIFICATE } from '../support/certificate.js'
import { closeAfter } from '../support/close-after.js'
import { meet } from '../support/events.js'
import { Peer } from '../support/peer.js'
import { shortFolder } from '../support/short-folder.js'
import { until } from '../support/until.js'

const peer = new Peer()
t.teardown(() => peer.kill())

const HALF_OPEN = { allowHalfOpen: true }

t.test('ends that came before the guard are leaks at its first sweeps', async (t) => {
  const plain = closeAfter(t, net.createServer(HALF_OPEN))
  const secure = closeAfter(t, tls.createServer({ ...CERTIFICATE, ...HALF_OPEN }))
  for (const [server, isTls] of [
    [plain, false],
    [secure, true],
  ] as const) {
    const { socket, connection } = await meet(peer, server, { tls: isTls })
    const ended = once(socket.on('error', () => {}).resume(), 'end')
    connection.do({ do: 'end' })
    await ended
  }
  const quiet = closeAfter(t, net.createServer())
  await meet(peer, quiet)
  using guard = install({ graceMs: 200, sweepMs: 20 })
  const leaked = (): SocketReport[] => guard.snapshot().sockets.filter(({ verdict }) => verdict === 'leaked')
  await until(() => leaked().length === 2, 'both are found')
  for (const { condition, bornBeforeGuard, diagnosis } of leaked()) {
    t.same([condition, bornBeforeGuard], ['eof-ignored', true])
    t.match(diagnosis, '(born before the guard: times count from there): the peer ended')
  }
  t.same(
    leaked()
      .map(({ kind, seenBy }) => `${kind} ${seenBy}`)
      .sort(),
    ['tcp stream', 'tls kernel'],
  )
  const { growthPerHour, limitReachedInMs, sites } = guard.snapshot()
  t.same([growthPerHour, limitReachedInMs, sites.map((site) => site.growthPerHour)], [0, null, [0, 0]])
  const healthy = guard.snapshot({ all: true }).sockets.filter(({ verdict }) => verdict === 'none')
  t.match(healthy, [{ bornBeforeGuard: true, phase: 'open' }])
  await meet(peer, quiet)
  const [newest] = guard.snapshot({ all: true }).sockets.slice(-1)
  t.notOk('bornBeforeGuard' in newest!, 'and those that come later are as ever')
})

t.test('a TLS connection shows itself with its next byte', async (t) => {
  const server = closeAfter(t, tls.createServer({ ...CERTIFICATE, ...HALF_OPEN }))
  const { socket, connection } = await meet(peer, server, { tls: true })
  socket.on('error', () => {}).resume()
  using guard = install({ graceMs: 200, sweepMs: 20, kernel: 'off' })
  t.match(guard.snapshot({ all: true }).sockets, [{ kind: 'tls', bornBeforeGuard: true }])
  connection.do({ do: 'end' })
  await until(() => guard.snapshot().totals.leaked === 1, 'its end is heard')
  t.match(guard.adapter.describe(socket), {
    condition: 'eof-ignored',
    seenBy: 'stream',
    bornBeforeGuard: true,
  })
})

t.test('what an HTTP server gave away is known as that, and who has it', async (t) => {
  for (const isProxy of [false, true]) {
    const server = closeAfter(
      t,
      http.createServer(function onRequest() {}),
    )
    server.on('upgrade', function forgets(_request, socket) {
      socket.resume()
    })
    if (isProxy) server.on('connect', function tunnels() {})
    const { connection } = await meet(peer, server)
    const upgraded = once(server, 'upgrade') as Promise<[http.IncomingMessage, net.Socket]>
    const head = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: a\r\n\r\n'
    connection.do({ do: 'write', text: head })
    const [, socket] = await upgraded
    connection.do({ do: 'end' })
    await once(socket, 'end')
    using guard = install({ graceMs: 200, sweepMs: 20 })
    await until(() => guard.snapshot().totals.leaked === 1, 'it leaks')
    const [told] = guard.snapshot().sockets
    const holders = ['server upgrade -> forgets', ...(isProxy ? ['server connect -> tunnels'] : [])]
    t.same(told!.evidence.heldBy, holders)
    if (!isProxy) t.match(told!.diagnosis, /^Upgraded connection .* in the upgrade handler\.$/)
    socket.destroy()
  }
})

t.test('a pipe is adopted where it can be told from the output of a child', async (t) => {
  const path = join(shortFolder(t), 'socket')
  const server = closeAfter(
    t,
    http.createServer(() => {}),
  )
  server.listen(path)
  await once(server, 'listening')
  const request = http.get({ socketPath: path, agent: false }).on('error', () => {})
  t.teardown(() => request.destroy())
  await once(server, 'request')
  const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'])
  t.teardown(() => child.kill())
  using guard = install()
  const { sockets } = guard.snapshot({ all: true })
  t.same(sockets.map(({ direction, kind }) => `${direction} ${kind}`).sort(), [
    'inbound http',
    'outbound http',
  ])
})

t.test('a guard that follows another finds what that one had', async (t) => {
  const server = closeAfter(t, net.createServer(HALF_OPEN))
  const first = install()
  const { socket, connection } = await meet(peer, server)
  const ended = once(socket.on('error', () => {}).resume(), 'end')
  connection.do({ do: 'end' })
  await ended
  t.notOk(first.snapshot({ all: true }).sockets[0]!.bornBeforeGuard)
  first.uninstall()
  using guard = install({ graceMs: 200, sweepMs: 20 })
  await until(() => guard.snapshot().totals.leaked === 1, 'it is found')
})
