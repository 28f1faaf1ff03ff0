/** The application takes over the guard that was preloaded: other options, the same guard, sockets and subscribers. */
import { once } from 'node:events'
import net from 'node:net'
import t, { type Test } from 'tap'
import { install, installedGuard, type Guard, type InstallOptions } from '../src/index.js'
import { installPreloaded } from '../src/install.js'
import { closeAfter } from './support/close-after.js'
import { listen, nextEvent } from './support/events.js'

function preload(t: Test, options: InstallOptions = {}): Guard {
  installPreloaded(options)
  const guard = installedGuard()!
  t.teardown(() => guard.uninstall())
  return guard
}

/** A connection whose accepted end nobody ends. */
async function halfClose(t: Test, guard: Guard): Promise<net.Socket> {
  const server = closeAfter(
    t,
    net.createServer({ allowHalfOpen: true }, (socket) => socket.resume()),
  )
  const client = net.connect(await listen(server), '127.0.0.1')
  t.teardown(() => client.destroy())
  guard.exempt(client)
  const [socket] = (await once(server, 'connection')) as [net.Socket]
  client.end()
  await once(socket, 'end')
  return socket
}

t.test('its options hold, on top of those of the environment', (t) => {
  const guard = preload(t, { graceMs: 30_000, action: 'end', keepAlive: { idleMs: 7000 } })
  t.equal(install(), guard)
  t.equal(guard.options.graceMs, 30_000, 'nothing asked for, nothing changed')
  t.equal(install({ graceMs: 5000, keepAlive: { count: 9 } }), guard)
  t.match(guard.options, { graceMs: 5000, action: 'end', keepAlive: { idleMs: 7000, count: 9 } })
  t.equal(install({ graceMs: 5000, action: 'end', keepAlive: { idleMs: 7000, count: 9 } }), guard)
  t.throws(() => install({ graceMs: 6000 }), { code: 'SLG_ERR_ALREADY_INSTALLED' }, 'only once')
  t.end()
})

t.test('sockets and subscribers stay', async (t) => {
  const guard = preload(t, { sweepMs: 10 })
  const [plain, exempt] = [await halfClose(t, guard), await halfClose(t, guard)]
  guard.exempt(exempt)
  guard.label(plain, 'kept')
  guard.sweep()
  const before = guard.adapter.describe(plain)!
  const leaked = nextEvent(guard, 'leaked')
  install({ graceMs: 100 })
  const { socket } = await leaked
  t.match(socket, { id: before.id, owner: { label: 'kept' }, condition: 'eof-ignored' })
  t.ok(socket.sinceMs >= before.sinceMs, 'and its time goes on')
  t.equal(guard.adapter.describe(exempt)?.verdict, 'exempt')
  const after = await halfClose(t, guard)
  t.ok(guard.adapter.describe(after)!.id > before.id)
})

t.test('what was said of a socket before connect() stays', async (t) => {
  const guard = preload(t)
  const port = await listen(closeAfter(t, net.createServer()))
  const socket = new net.Socket()
  t.teardown(() => socket.destroy())
  guard.label(socket, 'kept')
  guard.exempt(socket)
  install({ graceMs: 100 })
  await once(socket.connect(port, '127.0.0.1'), 'connect')
  t.match(guard.adapter.describe(socket), { owner: { label: 'kept' }, verdict: 'exempt' })
})

t.test('the report moves to its new address', async (t) => {
  const guard = preload(t, { report: '127.0.0.1:0' })
  const first = await guard.listening!
  install({ report: '127.0.0.1:0', reportToken: 'a-token-of-ours' })
  const second = await guard.listening!
  t.not(second.url, first.url)
  await t.rejects(fetch(first.url))
  t.equal((await fetch(second.url)).status, 401)
  const headers = { authorization: 'Bearer a-token-of-ours' }
  t.equal((await fetch(second.url, { headers })).status, 200)
})

t.test('what can not be is told to the caller, and the preloaded guard goes on', async (t) => {
  const guard = preload(t, { graceMs: 100, sweepMs: 10 })
  t.throws(() => install({ report: '0.0.0.0:0' }), { code: 'SLG_ERR_REPORT_NEEDS_TOKEN' })
  const leaked = nextEvent(guard, 'leaked')
  await halfClose(t, guard)
  t.equal((await leaked).type, 'leaked')
})

t.test('after it was uninstalled, install() makes a new one', (t) => {
  const guard = preload(t)
  guard.uninstall()
  using next = install({ graceMs: 5000 })
  t.not(next, guard)
  t.end()
})
