import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import t, { type Test } from 'tap'
import { install, type Guard, type Report } from '../../src/index.js'
import { until } from '../support/until.js'

/** An accepted socket whose peer has ended, and that the guard has met so. */
async function halfClosed(t: Test, guard: Guard, server: net.Server): Promise<net.Socket> {
  const { port } = server.address() as net.AddressInfo
  const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  guard.exempt(client)
  t.teardown(() => client.destroy())
  const [socket] = (await once(server, 'connection')) as [net.Socket]
  socket.resume()
  client.resume().end('hello')
  await once(socket, 'end')
  return socket
}

t.test('how long half-closed connections lasted, and how long reclaiming took', async (t) => {
  const guard = install({ graceMs: 200, sweepMs: 50, reclaimDead: false, keepAlive: false })
  t.teardown(() => guard.uninstall())
  const measures = (): Report['measures'] => guard.snapshot({ limit: 0 }).measures
  const server = net.createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')

  const left = await halfClosed(t, guard, server)
  await until(() => guard.sweep().totals.leaked === 1, 'it is leaked')
  const { standings } = guard.snapshot()
  t.same(
    standings.toSorted((a, b) => (a.direction < b.direction ? -1 : 1)),
    [
      { direction: 'inbound', phase: 'peer-ended', condition: 'eof-ignored', verdict: 'leaked', count: 1 },
      { direction: 'outbound', phase: 'local-ended', condition: 'fin-wait', verdict: 'exempt', count: 1 },
    ],
  )
  t.match(measures(), { sites: [{ leakedTotal: 1, leaked: 1 }], halfClosed: { inbound: { count: 0 } } })
  left.end()
  await once(left, 'close')
  const { halfClosed: ended, reclaim, sites } = measures()
  t.equal(ended.inbound.count, 1)
  t.ok(ended.inbound.sumMs >= 200, `${ended.inbound.sumMs} ms, a grace at least`)
  t.equal(reclaim.count, 0, 'the application closed it')
  t.match(sites, [{ leakedTotal: 1, leaked: 0 }])

  const taken = await halfClosed(t, guard, server)
  await until(() => guard.sweep().totals.leaked === 1, 'it is leaked')
  guard.reclaim(guard.snapshot().sockets.find(({ verdict }) => verdict === 'leaked')!.id, 'destroy')
  await once(taken, 'close')
  t.match(measures(), { halfClosed: { inbound: { count: 2 } }, reclaim: { count: 1 } })
  t.ok(measures().reclaim.sumMs >= 200)
  t.match(measures().sites, [{ leakedTotal: 2, leaked: 0 }])
})

t.test('a healthy exchange is measured by nothing', async (t) => {
  const guard = install({ sweepMs: 60_000 })
  t.teardown(() => guard.uninstall())
  const server = http.createServer((_request, response) => response.end('hello')).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  const before = guard.snapshot({ limit: 0 })
  for (let i = 0; i < 5; i += 1) {
    const request = http.get({ port, host: '127.0.0.1', agent: false })
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    await once(response.resume(), 'close')
    await once(request.socket!, 'close')
  }
  const { measures, standings } = guard.snapshot({ limit: 0 })
  t.same([measures, standings], [before.measures, before.standings])
})

t.test('the guard counts its sweeps, their time, and what it catches', async (t) => {
  const guard = install({ sweepMs: 60_000 })
  t.teardown(() => guard.uninstall())
  const { sweeps: before, faults } = guard.snapshot().measures
  guard.sweep()
  const { sweeps } = guard.snapshot().measures
  t.equal(sweeps.count, before.count + 1)
  t.ok(sweeps.totalMs > before.totalMs && sweeps.longestMs > 0)
  guard.report()
  t.equal(guard.snapshot().measures.sweeps.count, sweeps.count, 'a quick look is none')
  t.ok(guard.snapshot().measures.sweeps.totalMs > sweeps.totalMs, 'but takes time')
  const server = net.createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  guard.subscribe(() => {
    throw new Error('of the subscriber')
  })
  const warned = once(process, 'warning')
  const socket = await halfClosed(t, guard, server)
  guard.configure(socket, { graceMs: 10 })
  await until(() => guard.sweep().totals.leaked === 1, 'it is leaked')
  await warned
  const caught = guard.snapshot().measures.faults.SLG_WARN_LISTENER ?? 0
  t.ok(caught - (faults.SLG_WARN_LISTENER ?? 0) >= 2, 'of suspect and of leaked, though one warning tells')
  socket.destroy()
})

t.test('a scrape of a process without trouble looks for no pairs', async (t) => {
  const guard = install({ sweepMs: 600_000 })
  t.teardown(() => guard.uninstall())
  const server = net.createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1')
  t.teardown(() => client.destroy())
  const [socket] = (await once(server, 'connection')) as [net.Socket]
  const state = (socket as unknown as { _readableState: { pipes: unknown } })._readableState
  const { pipes } = state
  let reads = 0
  Object.defineProperty(state, 'pipes', { configurable: true, get: () => ((reads += 1), pipes) })
  const readsOf = (limit: number): number => {
    reads = 0
    for (const steps = guard.adapter.reportInSteps({ limit }); steps.next().done !== true;) {}
    return reads
  }
  t.equal(readsOf(0), 0)
  t.equal(readsOf(1), 1, 'a report looks')
})

t.test('what happens while a report is made is 0 ms old in it', async (t) => {
  const guard = install({ sweepMs: 600_000 })
  t.teardown(() => guard.uninstall())
  const server = net.createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1')
  t.teardown(() => client.destroy())
  const [socket] = (await once(server, 'connection')) as [net.Socket]
  t.teardown(() => socket.destroy())

  const steps = guard.adapter.reportInSteps({ all: true })
  // It looks, and begins.
  for (let step = 0; step < 2; step += 1) steps.next()
  const begunMs = performance.now()
  await until(() => performance.now() - begunMs > 5, 'time passes')
  client.end('a last word')
  await once(socket.resume(), 'end')
  guard.sweep()
  let step = steps.next()
  while (step.done !== true) step = steps.next()
  const inbound = step.value.sockets.find(({ direction }) => direction === 'inbound')
  t.match(inbound, { phase: 'peer-ended', idleMs: 0 })
  for (const { sinceMs, idleMs } of step.value.sockets) t.ok(Math.min(sinceMs, idleMs) >= 0)
})
