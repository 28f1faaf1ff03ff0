/**
 * What the guard's own settings bring to light is never an error that ends the application. The errors are those that Node makes
 * of the kernel's answer (lib/internal/stream_base_commons.js `onStreamRead`), given to the sockets as Node gives them.
 */
import { once } from 'node:events'
import net from 'node:net'
import { PassThrough } from 'node:stream'
import t, { type Test } from 'tap'
import { install, type Guard, type InstallOptions } from '../../src/index.js'
import { listen, nextEvent } from '../support/events.js'

const PROBES: InstallOptions = { graceMs: 200, sweepMs: 20, keepAlive: { when: 'always' } }

function systemError(code: string, errno: number): NodeJS.ErrnoException {
  return Object.assign(new Error(`read ${code}`), { code, errno, syscall: 'read' })
}

/** An accepted socket without a listener, on which the guard has begun to probe. */
async function probed(t: Test, guard: Guard): Promise<net.Socket> {
  const server = net.createServer({ allowHalfOpen: true })
  t.teardown(() => server.close())
  const client = net.connect({ port: await listen(server), host: '127.0.0.1', allowHalfOpen: true })
  client.on('error', () => {})
  t.teardown(() => client.destroy())
  const [socket] = (await once(server, 'connection')) as [net.Socket]
  t.teardown(() => socket.destroy())
  guard.exempt(client)
  guard.sweep()
  return socket
}

/** Fails a socket as Node does. Node emits at the next tick, so who listens from now on hears what is emitted. */
async function fail(socket: net.Socket, error: Error): Promise<{ heard: unknown; hadError: boolean }> {
  let heard: unknown = null
  socket.destroy(error)
  socket.on('error', (emitted) => (heard = emitted))
  const hadError = await new Promise<boolean>((resolve) => socket.once('close', resolve))
  return { heard, hadError }
}

for (const [code, errno] of [
  ['ETIMEDOUT', -110],
  ['EHOSTUNREACH', -113],
  ['ENETUNREACH', -101],
] as const) {
  t.test(
    `${code} on a socket that the guard probes and nobody listens to is told, not emitted`,
    async (t) => {
      using guard = install(PROBES)
      const socket = await probed(t, guard)
      const dead = nextEvent(guard, 'dead')
      t.same(await fail(socket, systemError(code, errno)), { heard: null, hadError: false })
      const { socket: report } = await dead
      t.match(report, { verdict: 'dead', evidence: { peer: 'gone' } })
      t.match(report.diagnosis, /died/)
      t.match(guard.snapshot().totals, { dead: 1, recovered: 0, reclaimed: 0 })
    },
  )
}

t.test('who listens hears it', async (t) => {
  using guard = install(PROBES)
  const socket = await probed(t, guard)
  const heard = once(socket, 'error')
  const dead = nextEvent(guard, 'dead')
  const error = systemError('ETIMEDOUT', -110)
  socket.destroy(error)
  t.equal((await heard)[0], error)
  await dead
})

t.test('what pipe() listens with is nobody', async (t) => {
  using guard = install(PROBES)
  const socket = await probed(t, guard)
  new PassThrough().pipe(socket)
  t.same(await fail(socket, systemError('ETIMEDOUT', -110)), { heard: null, hadError: false })
})

t.test("the application's own keep-alive fails as without the guard", async (t) => {
  using guard = install(PROBES)
  const socket = await probed(t, guard)
  socket.setKeepAlive(true, 1000)
  const error = systemError('ETIMEDOUT', -110)
  t.same(await fail(socket, error), { heard: error, hadError: true })
  t.match(guard.snapshot().totals, { dead: 0 })
})

t.test("so does a time limit of a library's own, and any other error", async (t) => {
  using guard = install(PROBES)
  for (const error of [
    Object.assign(new Error('too slow'), { code: 'ETIMEDOUT' }),
    systemError('EPIPE', -32),
  ]) {
    t.same(await fail(await probed(t, guard), error), { heard: error, hadError: true })
  }
})

t.test('a leak whose connection was reset has not recovered', async (t) => {
  using guard = install({ graceMs: 100, sweepMs: 20, kernel: 'off' })
  const socket = await probed(t, guard)
  const leaked = nextEvent(guard, 'leaked')
  const dead = nextEvent(guard, 'dead')
  socket.resume().end()
  await leaked
  await fail(socket, systemError('ECONNRESET', -104))
  t.match(await dead, { socket: { verdict: 'dead', condition: 'fin-wait', seenBy: 'stream' } })
  t.match(guard.snapshot().totals, { dead: 1, recovered: 0 })
})
