/** Grace is idle time: what moves is left alone, what heals is said to have healed, what is meant is exempt. */
import net from 'node:net'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { install, type GuardEvent } from '../../src/index.js'
import { listen, meet, nextEvent } from '../support/events.js'
import { Peer } from '../support/peer.js'
import { inbound } from '../support/report.js'
import { until } from '../support/until.js'

const peer = new Peer()
t.teardown(() => peer.kill())

function halfOpenServer(t: Test): net.Server {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.resume()
    socket.on('error', () => {})
    t.teardown(() => socket.destroy())
  })
  t.teardown(() => server.close())
  return server
}

t.test('a half-close that makes progress is left alone, however long it lasts', async (t) => {
  using guard = install({ graceMs: 400, action: 'destroy' })
  const { socket, connection } = await meet(peer, halfOpenServer(t))
  const leaks: GuardEvent[] = []
  guard.subscribe((event) => event.type === 'leaked' && leaks.push(event))
  connection.do({ do: 'end' })
  const ticking = setInterval(() => socket.write('tick'), 75)
  t.teardown(() => clearInterval(ticking))
  await until(() => inbound(guard).some(({ sinceMs }) => sinceMs >= 1500), 'it has lasted several graces')
  t.same(leaks, [])
  t.notOk(socket.destroyed)
  const leaked = nextEvent(guard, 'leaked')
  clearInterval(ticking)
  t.ok((await leaked).socket.idleMs >= 400, 'and when it stops, grace runs from the last byte')
})

t.test('maxHalfClosedMs is a cap, progress or not', async (t) => {
  using guard = install({ graceMs: 400, maxHalfClosedMs: 700, action: 'destroy' })
  const { socket, connection } = await meet(peer, halfOpenServer(t))
  const reclaimed = nextEvent(guard, 'reclaimed')
  connection.do({ do: 'end' })
  const ticking = setInterval(() => socket.write('tick'), 50)
  t.teardown(() => clearInterval(ticking))
  t.ok((await reclaimed).socket.sinceMs >= 700)
})

t.test('a socket that heals is recovered', async (t) => {
  using guard = install({ graceMs: 200 })
  const { socket, connection } = await meet(peer, halfOpenServer(t))
  const recovered = nextEvent(guard, 'recovered')
  connection.do({ do: 'end' })
  await nextEvent(guard, 'leaked')
  socket.end()
  t.match((await recovered).socket, { verdict: 'recovered' })
  t.match(guard.snapshot().totals, { recovered: 1, leaked: 0, tracked: 0 })
  t.match(guard.snapshot().healedSites, [{ leakedTotal: 1, reclaimed: 0 }])
})

t.test('a site is healed when its last socket goes, whoever closes it', async (t) => {
  using guard = install({ graceMs: 100 })
  const server = halfOpenServer(t)
  const [first, second] = [await meet(peer, server), await meet(peer, server)]
  for (const { connection } of [first, second]) {
    const leaked = nextEvent(guard, 'leaked')
    connection.do({ do: 'end' })
    await leaked
  }
  guard.exempt(first.socket)
  await guard.sweep()
  const [left] = guard.snapshot().sockets.filter(({ verdict }) => verdict === 'leaked')
  const reclaimed = nextEvent(guard, 'reclaimed')
  guard.reclaim(left!.id, 'destroy')
  await reclaimed
  t.same(guard.snapshot().healedSites, [], 'the other is meant, but not closed')
  first.socket.destroy()
  await once(first.socket, 'close')
  t.match(guard.snapshot().healedSites, [{ site: left!.owner.site, leakedTotal: 2, reclaimed: 1 }])
  t.equal(guard.snapshot().growthPerHour, 0)
})

t.test('an exempt half-close is never judged', async (t) => {
  using guard = install({ graceMs: 100, action: 'destroy' })
  const server = halfOpenServer(t)
  const { socket, connection } = await meet(peer, server)
  guard.exempt(socket)
  connection.do({ do: 'end' })
  await until(() => socket.readableEnded, 'the end was read')
  const reclaimed = nextEvent(guard, 'reclaimed')
  const other = await meet(peer, server)
  other.connection.do({ do: 'end' })
  await reclaimed
  t.ok(other.socket.destroyed, 'one that began later is reclaimed')
  t.notOk(socket.destroyed)
  t.match(guard.sweep(), { totals: { exempt: 1, suspect: 0, leaked: 0 }, sockets: [{ verdict: 'exempt' }] })
})

t.test('settings per server and per socket', async (t) => {
  using guard = install({ graceMs: 60_000 })
  const [strict, lenient] = [halfOpenServer(t), halfOpenServer(t)]
  const release = guard.adapter.configureServer(strict, { graceMs: 150, action: 'destroy', label: 'strict' })
  const a = await meet(peer, strict)
  const b = await meet(peer, lenient)
  const c = await meet(peer, lenient)
  guard.configure(c.socket, { graceMs: 150, action: 'reset' })
  guard.label(c.socket, 'picked out')
  const seen: (string | null)[] = []
  guard.subscribe(({ type, socket }) => type === 'reclaimed' && seen.push(socket.owner.label))
  for (const { connection } of [a, b, c]) connection.do({ do: 'end' })
  await until(() => seen.length === 2, 'two are reclaimed')
  t.same(seen.sort(), ['picked out', 'strict'])
  t.notOk(b.socket.destroyed)
  release()
  const d = await meet(peer, strict)
  d.connection.do({ do: 'end' })
  await until(() => d.socket.readableEnded, 'the end was read')
  const e = await meet(peer, lenient)
  guard.configure(e.socket, { graceMs: 150, action: 'destroy' })
  e.connection.do({ do: 'end' })
  await until(() => e.socket.destroyed, 'one that began later is reclaimed')
  t.notOk(d.socket.destroyed, 'released: the default holds again')
})

t.test('a client that meets itself', async (t) => {
  using guard = install({ graceMs: 200, action: 'destroy' })
  const port = await listenAndLeave()
  const reclaimed = nextEvent(guard, 'reclaimed')
  const socket = net.connect({ port, host: '127.0.0.1', localPort: port, localAddress: '127.0.0.1' })
  socket.on('error', (error) => t.fail(error.message))
  await once(socket, 'connect')
  const { socket: report } = await reclaimed
  t.match(report, { condition: 'self-connected', direction: 'outbound', local: { port }, remote: { port } })
  t.ok(socket.destroyed)
})

/** A port that was free a moment ago. */
async function listenAndLeave(): Promise<number> {
  const server = net.createServer()
  const port = await listen(server)
  server.close()
  await once(server, 'close')
  return port
}

t.test('reclaim() closes what it is told to, whatever the verdict', async (t) => {
  using guard = install()
  const { socket } = await meet(peer, halfOpenServer(t))
  const [report] = guard.snapshot({ all: true }).sockets
  const reclaimed = nextEvent(guard, 'reclaimed')
  guard.reclaim(report!.id, 'destroy')
  await reclaimed
  t.ok(socket.destroyed)
  t.throws(() => guard.reclaim(report!.id), { code: 'SLG_ERR_NO_SUCH_SOCKET' })
  t.throws(() => guard.reclaim(report!.id, 'report' as 'end'), { code: 'SLG_ERR_INVALID_OPTION' })
})
