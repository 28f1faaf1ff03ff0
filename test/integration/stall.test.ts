/** A blocked event loop makes sockets look stuck. That is a stall, not a leak. */
import net from 'node:net'
import { once } from 'node:events'
import t from 'tap'
import { install, type GuardEvent } from '../../src/index.js'
import { meet } from '../support/events.js'
import { Peer } from '../support/peer.js'

const peer = new Peer()
t.teardown(() => peer.kill())

function block(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}

t.test('what waited for the loop is delivered before it is judged', async (t) => {
  using guard = install({ graceMs: 400, action: 'destroy', sweepMs: 50 })
  const seen: GuardEvent[] = []
  guard.subscribe((event) => seen.push(event))
  // Waits for the peer's answer after its own end: a legal half-close, healthy, but only while the loop runs.
  const server = net.createServer({ allowHalfOpen: true }, (socket) => socket.resume().end('your turn'))
  t.teardown(() => server.close())
  const { socket, connection } = await meet(peer, server)
  await connection.saw('end')
  connection.do({ do: 'end', text: 'done' })
  const closed = once(socket, 'close')
  guard.sweep()
  block(1500)
  await closed
  t.same(
    seen.filter(({ type }) => type !== 'suspect'),
    [],
    'neither leaked nor reclaimed',
  )
  const { stalls } = guard.snapshot()
  t.ok(stalls.count >= 1)
  t.ok(stalls.longestMs >= 1000, `the stall is named: ${stalls.longestMs} ms`)
})

t.test('a real leak is still a leak after the stall', async (t) => {
  using guard = install({ graceMs: 400, sweepMs: 50 })
  const server = net.createServer({ allowHalfOpen: true }, (socket) => socket.resume())
  t.teardown(() => server.close())
  const { socket, connection } = await meet(peer, server)
  t.teardown(() => socket.destroy())
  connection.do({ do: 'end' })
  block(1500)
  const { socket: report } = await new Promise<GuardEvent>((resolve) => {
    guard.subscribe((event) => event.type === 'leaked' && resolve(event))
  })
  t.ok(report.idleMs >= 400)
})
