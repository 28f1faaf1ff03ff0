/** What the application says of a socket before it connects holds once it is connected. */
import { once } from 'node:events'
import net from 'node:net'
import t from 'tap'
import { install } from '../../src/index.js'
import { closeAfter } from '../support/close-after.js'
import { listen } from '../support/events.js'

t.test('exempt, label and configure', async (t) => {
  using guard = install({ graceMs: 100, sweepMs: 10, kernel: 'off', action: 'destroy' })
  const server = closeAfter(
    t,
    net.createServer({ allowHalfOpen: true }, (socket) => socket.on('error', () => {}).end('bye')),
  )
  const port = await listen(server)
  const [exempt, patient, plain] = [0, 1, 2].map(() => {
    const socket = new net.Socket({ allowHalfOpen: true }).on('error', () => {}).resume()
    t.teardown(() => socket.destroy())
    return socket
  }) as [net.Socket, net.Socket, net.Socket]

  guard.exempt(exempt)
  guard.label(patient, 'long poll')
  guard.configure(patient, { graceMs: 3_600_000 })
  for (let sweeps = 0; sweeps < 3; sweeps += 1) t.match(guard.sweep().totals, { tracked: 0 })

  for (const socket of [exempt, patient, plain]) socket.connect(port, '127.0.0.1')
  await once(plain, 'close')
  t.notOk(exempt.destroyed)
  t.notOk(patient.destroyed)
  t.match(guard.adapter.describe(exempt), { verdict: 'exempt', direction: 'outbound' })
  t.match(guard.adapter.describe(patient), { owner: { label: 'long poll' } })
})

t.test('a guard that has gone takes its settings along', async (t) => {
  const socket = new net.Socket({ allowHalfOpen: true }).on('error', () => {}).resume()
  t.teardown(() => socket.destroy())
  const first = install({ graceMs: 100, sweepMs: 10 })
  first.exempt(socket)
  first.uninstall()
  using second = install({ graceMs: 100, sweepMs: 10 })
  const server = closeAfter(
    t,
    net.createServer((accepted) => accepted.on('error', () => {}).end('bye')),
  )
  // The accepted side leaks as well, and may be the first.
  const leaked = new Promise<void>((resolve) =>
    second.subscribe(({ type, socket }) => {
      if (type === 'leaked' && socket.direction === 'outbound') resolve()
    }),
  )
  socket.connect(await listen(server), '127.0.0.1')
  await leaked
  t.pass('it is judged')
})
