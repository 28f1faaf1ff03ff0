/**
 * Dead or alive: keep-alive brings the kernel's evidence, the oracle reads it, and only both together free anything.
 */
import net from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { install, type Guard } from '../../src/index.js'
import { createFfiProbe } from '../../src/kernel/ffi.js'
import { loadLibc } from '../../src/kernel/libc.js'
import { descriptorOf, isDisconnected } from '../../src/socket/fields.js'
import { holdsInode, inodeOf, statesOf } from '../support/descriptors.js'
import { meet, nextEvent } from '../support/events.js'
import { Peer } from '../support/peer.js'
import { until } from '../support/until.js'

const FAST_KEEP_ALIVE = { idleMs: 1000, intervalMs: 1000, count: 2, when: 'suspect' } as const

function forgetfulServer(t: Test): net.Server {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.resume()
    socket.on('error', () => {})
    t.teardown(() => socket.destroy())
  })
  t.teardown(() => server.close())
  return server
}

async function newPeer(t: Test): Promise<Peer> {
  const peer = new Peer()
  t.teardown(() => peer.kill())
  return peer
}

t.test('keep-alive alone: the kernel closes, Node is silent, the descriptor leaks', async (t) => {
  const peer = await newPeer(t)
  const { socket, connection, port } = await meet(peer, forgetfulServer(t), { linger2: 1 })
  const events: string[] = []
  for (const name of ['error', 'close', 'timeout']) socket.on(name, () => events.push(name))
  const inode = inodeOf(socket)
  const remotePort = socket.remotePort!
  connection.do({ do: 'end' })
  await until(() => socket.readableEnded, 'the end was read')
  socket.setKeepAlive(true, 1000)
  await peer.kill()
  await until(() => statesOf(port, remotePort).length === 0, 'the kernel has closed the connection')
  for (let turns = 0; turns < 3; turns += 1) await nextTurn() // each of them asks epoll for events
  t.same(events, [], 'Node emitted nothing')
  t.notOk(socket.destroyed)
  t.ok(holdsInode(inode), 'and the descriptor is still held')
})

t.test('keep-alive and the oracle free it', async (t) => {
  const peer = await newPeer(t)
  using guard = install({ keepAlive: FAST_KEEP_ALIVE, sweepMs: 100 })
  const dead = nextEvent(guard, 'dead')
  const { socket, connection } = await meet(peer, forgetfulServer(t), { linger2: 1 })
  const inode = inodeOf(socket)
  connection.do({ do: 'end' })
  await nextEvent(guard, 'suspect')
  await peer.kill()
  const { socket: report } = await dead
  t.match(report, { verdict: 'dead', condition: 'reset-unseen', seenBy: 'oracle', kernelState: 'CLOSE' })
  t.equal(report.evidence.peer, 'gone')
  t.ok(report.remote, 'a dead connection has no addresses any more: they were kept')
  await until(() => !holdsInode(inode), 'the descriptor is gone')
  t.match(guard.snapshot().totals, { dead: 1, leaked: 0, reclaimed: 0 })
})

/** The socket's peer has answered so many keep-alive probes: each answer sets the age of the last acknowledgement back. */
async function untilAnswered(socket: net.Socket, answers: number): Promise<void> {
  const probe = createFfiProbe(loadLibc())
  let answered = 0
  let lastAgeMs = Infinity
  await until(() => {
    const run = probe.ask([{ inode: 0, fd: () => descriptorOf(socket) }])
    run.advance(Infinity)
    const ageMs = run.samples[0]?.lastAckReceivedMs ?? Infinity
    if (ageMs < lastAgeMs && lastAgeMs !== Infinity) answered += 1
    lastAgeMs = ageMs
    return answered >= answers
  }, `${answers} probes were answered`)
}

t.test('a live half-closed peer survives more probes than a dead one', async (t) => {
  const peer = await newPeer(t)
  using guard = install({ keepAlive: FAST_KEEP_ALIVE, sweepMs: 50 })
  const { socket, connection, port } = await meet(peer, forgetfulServer(t))
  const inode = inodeOf(socket)
  connection.do({ do: 'end' })
  await nextEvent(guard, 'suspect')
  await untilAnswered(socket, 2 * FAST_KEEP_ALIVE.count)
  t.notOk(socket.destroyed)
  t.ok(holdsInode(inode))
  t.same(statesOf(port, socket.remotePort!), ['CLOSE_WAIT'])
  socket.end('late, but legal')
  await connection.saw('data', ({ text }) => text === 'late, but legal')
  await connection.saw('end')
  t.match(guard.snapshot().totals, { dead: 0, reclaimed: 0 })
})

t.test("when: 'always' arms every socket", async (t) => {
  const peer = await newPeer(t)
  using guard = install({ keepAlive: { ...FAST_KEEP_ALIVE, when: 'always' }, sweepMs: 20 })
  const { socket } = await meet(peer, forgetfulServer(t))
  guard.sweep()
  const [report] = guard.snapshot({ all: true }).sockets.filter(({ direction }) => direction === 'inbound')
  t.equal(report?.evidence.keepAlive, 'guard')
  t.notOk(socket.destroyed)
})

t.test("the application's own keep-alive stays", async (t) => {
  const peer = await newPeer(t)
  using guard = install({ keepAlive: { ...FAST_KEEP_ALIVE, when: 'always' }, sweepMs: 20 })
  const { socket } = await meet(peer, forgetfulServer(t))
  socket.setKeepAlive(true, 120_000)
  guard.sweep()
  t.equal(guard.snapshot({ all: true }).sockets[0]?.evidence.keepAlive, 'application')
})

t.test('a reset after the end is found by the oracle', async (t) => {
  const peer = await newPeer(t)
  using guard = install({ sweepMs: 50 })
  const { socket, connection } = await meet(peer, forgetfulServer(t))
  const inode = inodeOf(socket)
  const dead = nextEvent(guard, 'dead')
  connection.do({ do: 'end' })
  await until(() => socket.readableEnded, 'the end was read')
  connection.do({ do: 'reset' })
  t.match((await dead).socket, { condition: 'reset-unseen', phase: 'peer-ended' })
  await until(() => !holdsInode(inode), 'the descriptor is gone')
})

t.test('reclaimDead: false reports and leaves it', async (t) => {
  const peer = await newPeer(t)
  using guard = install({ sweepMs: 50, graceMs: 300, reclaimDead: false })
  const { socket, connection } = await meet(peer, forgetfulServer(t))
  const leaked = nextEvent(guard, 'leaked')
  connection.do({ do: 'end' })
  await until(() => socket.readableEnded, 'the end was read')
  connection.do({ do: 'reset' })
  t.match((await leaked).socket, { condition: 'reset-unseen', verdict: 'leaked' })
  t.notOk(socket.destroyed)
})

t.test('a dead socket that still holds unread bytes keeps them until somebody reads', async (t) => {
  const peer = await newPeer(t)
  const server = net.createServer({ pauseOnConnect: true })
  t.teardown(() => server.close())
  using guard = install({ sweepMs: 30, graceMs: 300 })
  const { socket, connection } = await meet(peer, server)
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  const leaked = nextEvent(guard, 'leaked')
  connection.do({ do: 'write', text: 'do not lose me' })
  await connection.saw('written')
  connection.do({ do: 'reset' })
  t.match((await leaked).socket, { condition: 'reset-unseen' })
  t.notOk(socket.destroyed, 'not reclaimed by itself')
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
  socket.resume()
  await until(() => text === 'do not lose me', 'the delivered bytes were read')
})

t.test('a reset that nobody has read yet reaches the application as without the guard', async (t) => {
  async function hear(guard: Guard | null): Promise<unknown[]> {
    const heard: unknown[] = []
    const { socket, connection } = await meet(peer, server)
    const leaked = guard === null ? null : nextEvent(guard, 'leaked')
    socket.on('end', () => heard.push('end'))
    socket.on('error', ({ code }: NodeJS.ErrnoException) => heard.push(code))
    connection.do({ do: 'reset' })
    await leaked
    await until(() => isDisconnected(socket) === true, 'the kernel knows')
    t.same(heard, [], 'nothing before it reads on')
    socket.resume()
    heard.push(await new Promise((resolve) => socket.once('close', resolve)))
    return heard
  }

  const peer = await newPeer(t)
  const server = net.createServer({ pauseOnConnect: true })
  t.teardown(() => server.close())
  const bare = await hear(null)
  t.same(bare, ['ECONNRESET', true])
  for (const kernel of ['ffi', 'off'] as const) {
    using guard = install({ kernel, sweepMs: 20, graceMs: 200 })
    t.same(await hear(guard), bare, `kernel: '${kernel}'`)
    t.match(guard.snapshot().totals, { dead: 1, recovered: 0, reclaimed: 0 })
  }
})
