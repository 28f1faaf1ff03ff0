import net from 'node:net'
import { once } from 'node:events'
import t from 'tap'
import { History, type Sample } from '../../src/guard/history.js'
import { install } from '../../src/index.js'
import { listen } from '../support/events.js'
import { until } from '../support/until.js'

const SAMPLE: Sample = {
  tracked: 5,
  suspect: 1,
  leaked: 2,
  reclaimed: 3,
  openDescriptors: null,
  descriptorLimit: 1024,
}

t.test('one point every twenty seconds, an hour of them, and the moment', async (t) => {
  let nowMs = 1
  let tracked = 0
  let reads = 0
  const history = new History(
    () => nowMs,
    () => {
      reads += 1
      return { ...SAMPLE, tracked: (tracked += 1) }
    },
  )
  for (; nowMs < 2 * 3_600_000; nowMs += 5000) history.sample()
  t.equal(reads, 360, 'sweeps in between read nothing')
  const { at, ...columns } = history.report(1_770_000_000_000)
  t.equal(at.length, 180)
  t.equal(at.at(-1), 1_770_000_000)
  t.ok(at.every((second, i) => i === 0 || second > at[i - 1]!))
  t.ok(at[0]! >= 1_770_000_000 - 3600 && at[0]! < 1_770_000_000 - 3570)
  t.same(columns.tracked.slice(-2), [360, 361])
  t.equal(columns.openDescriptors.at(-1), null)
  t.equal(columns.descriptorLimit.at(-1), 1024)
  for (const column of Object.values(columns)) t.equal(column.length, at.length)
})

t.test('what is older than an hour is left out, also where sweeps come seldom', async (t) => {
  let nowMs = 1
  const history = new History(
    () => nowMs,
    () => SAMPLE,
  )
  for (; nowMs < 10 * 3_600_000; nowMs += 1_200_000) history.sample()
  t.equal(history.report(1e12).at.length, 3, 'two of them, and now')
})

t.test('it is kept from the first question on, and counts as the totals do', async (t) => {
  using guard = install({ graceMs: 100, sweepMs: 50 })
  t.notOk('history' in guard.snapshot(), 'asked for by nobody')
  guard.snapshot({ history: true })
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.resume()
    t.teardown(() => socket.destroy())
  })
  t.teardown(() => server.close())
  const client = net.connect(await listen(server))
  await once(client, 'connect')
  client.end()
  await until(() => guard.sweep().totals.leaked === 1, 'it leaks')
  const { history, totals } = guard.snapshot({ history: true })
  t.equal(history?.leaked.at(-1), totals.leaked)
  t.equal(history?.tracked.at(-1), totals.tracked)
  t.same(history?.leaked[0], 0)
  t.match(history?.sites, [{ net: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1] }])
  if (process.platform === 'linux') t.ok(history!.openDescriptors.at(-1)! > 0)
  guard.exempt(guard.snapshot().sockets[0]!.id)
  t.equal(guard.snapshot({ history: true }).history?.leaked.at(-1), 0, 'what is meant is none of it')
  t.equal(guard.snapshot({ history: true }).totals.exempt, 1)
})
