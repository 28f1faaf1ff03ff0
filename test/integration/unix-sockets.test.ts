/** Every condition that a Unix socket can be in, at both ends, named by its path or by its abstract name. */
import { once } from 'node:events'
import net from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { install, type Guard } from '../../src/index.js'
import { nextEvent } from '../support/events.js'
import { shortFolder } from '../support/short-folder.js'
import { until } from '../support/until.js'

const HALF_OPEN = { allowHalfOpen: true }
const MUCH = Buffer.alloc(3_000_000)

/** @param act what the guarded end does, and the other one, which is exempt */
type Act = (guarded: net.Socket, other: net.Socket) => void

const CONDITIONS: Record<string, Act> = {
  'eof-ignored'(guarded, other) {
    guarded.resume()
    other.end()
  },
  'eof-unread'(_guarded, other) {
    other.end('hello')
  },
  // Paused before its first read.
  'fin-unseen'(_guarded, other) {
    other.end()
  },
  'window-closed'(_guarded, other) {
    other.write(MUCH)
  },
  'fin-wait'(guarded) {
    guarded.resume().end('bye')
  },
  'write-stalled'(guarded, other) {
    other.pause()
    guarded.resume().end(MUCH)
  },
  'closed-unread'(guarded, other) {
    guarded.end('no')
    other.end('hello')
  },
}

async function connect(
  t: Test,
  guard: Guard,
  path: string,
  act: Act,
  direction: 'inbound' | 'outbound',
): Promise<void> {
  const isInbound = direction === 'inbound'
  const isPaused = act === CONDITIONS['fin-unseen']
  const server = net.createServer({ ...HALF_OPEN, pauseOnConnect: isPaused })
  t.teardown(() => server.close())
  server.listen(path)
  await once(server, 'listening')
  const client = new net.Socket(HALF_OPEN)
  if (isPaused) client.pause()
  client.connect(path)
  const [accepted] = (await once(server, 'connection')) as [net.Socket]
  const [guarded, other] = isInbound ? [accepted, client] : [client, accepted]
  for (const socket of [guarded, other]) t.teardown(() => socket.on('error', () => {}).destroy())
  guard.exempt(other.on('error', () => {}).resume())
  act(
    guarded.on('error', () => {}),
    other,
  )
}

for (const direction of ['inbound', 'outbound'] as const) {
  for (const isAbstract of [false, true]) {
    if (isAbstract && process.platform !== 'linux') continue
    t.test(`${direction}, ${isAbstract ? 'an abstract name' : 'a path'}`, async (t) => {
      const folder = shortFolder(t)
      using guard = install({ graceMs: 300, sweepMs: 50 })
      const hasView = guard.snapshot().kernel.probe === 'ffi'
      const expected = Object.keys(CONDITIONS).filter(
        (name) => hasView || (name !== 'fin-unseen' && name !== 'window-closed'),
      )
      for (const name of expected) {
        const path = isAbstract ? `\0${folder}-${name}` : join(folder, name)
        await connect(t, guard, path, CONDITIONS[name]!, direction)
      }
      const prefix = isAbstract ? `@${folder}-` : join(folder, '/')
      const found = (): string[] =>
        guard
          .snapshot()
          .sockets.filter(({ verdict }) => verdict === 'leaked')
          .map(({ condition, owner }) => `${condition} of ${owner.site}`)
          .sort()
      const role = direction === 'inbound' ? 'listener' : 'to'
      const named = expected.map((name) => `${name} of ${role} ${prefix}${name}`).sort()
      await until(() => found().length === named.length, 'all are found')
      t.same(found(), named)
    })
  }
}

t.test('one whose peer has closed is dead; one whose peer has ended only is not', async (t) => {
  const folder = shortFolder(t)
  using guard = install({ graceMs: 60_000, sweepMs: 50 })
  if (guard.snapshot().kernel.probe !== 'ffi') return t.comment('only poll tells')
  const dead = nextEvent(guard, 'dead')
  await connect(t, guard, join(folder, 'ended'), CONDITIONS['eof-ignored']!, 'inbound')
  const close: Act = (guarded, other) => {
    guarded.resume()
    other.destroy()
  }
  await connect(t, guard, join(folder, 'closed'), close, 'inbound')
  const { socket } = await dead
  t.match(socket, { owner: { site: `listener ${join(folder, 'closed')}` }, kernelState: null })
  t.match(socket.evidence, { peer: 'gone', peerBasis: 'it has closed its end (poll: POLLHUP)' })
  await until(() => guard.snapshot().totals.tracked === 2, 'it is reclaimed, the other is left alone')
  const left = (): string | undefined =>
    guard.sweep().sockets.find(({ direction }) => direction === 'inbound')?.verdict
  await until(() => left() === 'suspect', 'it is no more than suspect')
})

t.test('a socket that was paused before it was connected is not being read', async (t) => {
  using guard = install({ graceMs: 300, sweepMs: 50 })
  if (guard.snapshot().kernel.probe === 'none') return t.comment('only a view of the kernel shows it')
  const server = net.createServer(HALF_OPEN, (socket) => {
    guard.exempt(socket)
    socket.on('error', () => {}).end('bye')
    t.teardown(() => socket.destroy())
  })
  t.teardown(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1', () => client.pause())
  t.teardown(() => client.destroy())
  await until(
    () =>
      guard
        .snapshot()
        .sockets.some(({ condition, verdict }) => condition === 'fin-unseen' && verdict === 'leaked'),
    'the end that it does not see is found',
  )
})
