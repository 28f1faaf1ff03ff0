/**
 * Every condition that JavaScript alone can see, with every action: produced by a real peer in another process and
 * judged by this process's own descriptors and the kernel's table, not by events.
 */
import { once } from 'node:events'
import net from 'node:net'
import t, { type Test } from 'tap'
import { install, type Action, type Condition, type Guard, type GuardEvent } from '../../src/index.js'
import { holdsInode, inodeOf, statesOf } from '../support/descriptors.js'
import { Peer, type PeerConnection } from '../support/peer.js'
import { until } from '../support/until.js'

interface Scene {
  readonly condition: Condition
  readonly allowHalfOpen?: boolean
  /** The server's part, on an accepted socket. */
  serve(socket: net.Socket): void
  /** The peer's part. */
  play(peer: PeerConnection): void
  readonly peerPaused?: boolean
  /** What the peer sees of each action: an orderly end or a reset. `any` where it has gone by itself. */
  readonly seen: Readonly<Record<Exclude<Action, 'report'>, 'end' | 'error' | 'any'>>
}

const SCENES: readonly Scene[] = [
  {
    condition: 'eof-ignored',
    allowHalfOpen: true,
    serve: (socket) => socket.resume(),
    play: (peer) => peer.do({ do: 'end', text: 'hello' }),
    seen: { end: 'end', destroy: 'end', reset: 'error' },
  },
  {
    condition: 'eof-unread',
    serve: () => {},
    play: (peer) => peer.do({ do: 'end', text: 'hello' }),
    seen: { end: 'end', destroy: 'end', reset: 'error' },
  },
  {
    condition: 'eof-unread',
    // A reader that wins over resume(): only destroy() closes it.
    serve: (socket) => socket.on('readable', () => {}),
    play: (peer) => peer.do({ do: 'end', text: 'hello' }),
    seen: { end: 'end', destroy: 'end', reset: 'error' },
  },
  {
    condition: 'fin-wait',
    serve: (socket) => socket.resume().end('bye'),
    play: () => {},
    // Having read our FIN, the peer's Node does not notice the reset either.
    seen: { end: 'end', destroy: 'end', reset: 'any' },
  },
  {
    condition: 'write-stalled',
    serve: (socket) => socket.end(Buffer.alloc(10_000_000)),
    play: () => {},
    peerPaused: true,
    // A peer that has stopped reading does not notice a reset.
    seen: { end: 'any', destroy: 'any', reset: 'any' },
  },
  {
    condition: 'write-stalled',
    allowHalfOpen: true,
    serve: (socket) => socket.resume().write(Buffer.alloc(10_000_000)),
    play: (peer) => peer.do({ do: 'end' }),
    peerPaused: true,
    // A peer that has stopped reading does not notice a reset.
    seen: { end: 'any', destroy: 'any', reset: 'any' },
  },
  {
    condition: 'closed-unread',
    serve: (socket) => socket.end('bye'),
    play: (peer) => {
      peer.do({ do: 'write', text: 'hi' })
      void peer.saw('end').then(() => peer.do({ do: 'end' }))
    },
    seen: { end: 'any', destroy: 'any', reset: 'any' },
  },
]

const peer = new Peer()
t.teardown(() => peer.kill())

async function produce(t: Test, guard: Guard, scene: Scene) {
  const server = net.createServer({ allowHalfOpen: scene.allowHalfOpen ?? false })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as net.AddressInfo
  const accepted = once(server, 'connection') as Promise<[net.Socket]>
  const connection = await peer.connect({ port, paused: scene.peerPaused ?? false })
  const [socket] = await accepted
  const errors: Error[] = []
  socket.on('error', (error) => errors.push(error))
  t.teardown(() => socket.destroy())
  const inode = inodeOf(socket)
  const remotePort = socket.remotePort!
  scene.serve(socket)
  scene.play(connection)
  const leaked = await nextEvent(guard, 'leaked')
  return { socket, inode, port, remotePort, connection, leaked, errors }
}

function nextEvent(guard: Guard, type: GuardEvent['type']): Promise<GuardEvent> {
  return new Promise((resolve) => {
    const unsubscribe = guard.subscribe((event) => {
      if (event.type !== type) return
      unsubscribe()
      resolve(event)
    })
  })
}

for (const scene of SCENES) {
  const name = `${scene.condition} (${scene.serve.toString()})`

  t.test(`${name}: report leaves it alone`, async (t) => {
    using guard = install({ graceMs: 200, action: 'report' })
    const { inode, socket, leaked } = await produce(t, guard, scene)
    t.match(leaked.socket, {
      condition: scene.condition,
      verdict: 'leaked',
      direction: 'inbound',
      kind: 'tcp',
    })
    t.match(leaked.socket.diagnosis, /ago|for \d+/)
    for (let i = 0; i < 5; i += 1) guard.sweep()
    t.ok(holdsInode(inode), 'the descriptor is still there')
    t.notOk(socket.destroyed)
    t.match(guard.sweep().totals, { leaked: 1, reclaimed: 0, dead: 0 })
    t.match(guard.snapshot().sites, [{ count: 1, conditions: { [scene.condition]: 1 } }])
  })

  for (const action of ['end', 'destroy', 'reset'] as const) {
    t.test(`${name}: ${action} frees the descriptor`, async (t) => {
      using guard = install({ graceMs: 200, action, escalateMs: 200 })
      const reclaimed = nextEvent(guard, 'reclaimed')
      const { inode, port, remotePort, connection, errors } = await produce(t, guard, scene)
      t.match((await reclaimed).socket, { verdict: 'reclaimed', condition: scene.condition })
      await until(() => !holdsInode(inode), 'the descriptor is gone')
      const seen = scene.seen[action]
      if (seen !== 'any') await connection.saw(seen)
      t.same(errors, [], 'the application got no error')
      const leavesNoOrphan = action === 'reset' || (action === 'end' && scene.condition === 'write-stalled')
      if (leavesNoOrphan && scene.condition !== 'closed-unread') {
        await until(() => statesOf(port, remotePort).length === 0, 'the kernel has forgotten the connection')
      }
      t.match(guard.snapshot().totals, { leaked: 0, reclaimed: 1, tracked: 0 })
    })
  }

  t.test(`${name}: a function chooses`, async (t) => {
    const asked: unknown[] = []
    using guard = install({
      graceMs: 200,
      action(socket) {
        asked.push(socket.condition)
        return 'destroy'
      },
    })
    const reclaimed = nextEvent(guard, 'reclaimed')
    const { inode } = await produce(t, guard, scene)
    await reclaimed
    await until(() => !holdsInode(inode), 'the descriptor is gone')
    t.same(asked, [scene.condition])
  })
}
