/** A sweep gathers the ties of many connections in steps, so that it never reads the pipes of all of them at one go. */
import { Socket } from 'node:net'
import t, { type Test } from 'tap'
import { DEFAULTS } from '../../src/options/options.js'
import { Pairs } from '../../src/pairs/pairs.js'
import { attachRecord, SocketRecord } from '../../src/socket/record.js'

const COUNT = 500
let reads = 0

function connection(id: number): SocketRecord {
  const socket = new Socket()
  const state = socket._readableState as { pipes: unknown }
  const { pipes } = state
  Object.defineProperty(state, 'pipes', { configurable: true, get: () => ((reads += 1), pipes) })
  const record = new SocketRecord(id, socket, 'inbound', 1, DEFAULTS)
  attachRecord(socket, record)
  return record
}

declare module 'node:net' {
  interface Socket {
    readonly _readableState: object
  }
}

function readsOf(work: () => void): number {
  reads = 0
  work()
  return reads
}

function pairsOf(t: Test, records: SocketRecord[], now: () => number): Pairs {
  return new Pairs({
    records: Object.assign(records, { size: COUNT }),
    makers: new WeakMap(),
    now,
    identify: ({ id, direction }) => ({ id, direction, remote: null, site: '' }),
    defaults: DEFAULTS,
    onParted: () => t.fail('nobody parted'),
    onFailure: (error) => t.fail(String(error)),
  })
}

t.test('ties are gathered in steps, and are there afterwards', (t) => {
  const records = Array.from({ length: COUNT }, (_, i) => connection(i + 1))
  const [first, second] = records.slice(-2)
  first!.socket.pipe(second!.socket)
  let nowMs = 0
  const pairs = pairsOf(t, records, () => nowMs)
  let steps = 0
  let most = 0
  for (let isMore = true; isMore; steps += 1)
    most = Math.max(
      most,
      readsOf(() => (isMore = pairs.gather())),
    )
  t.ok(steps > COUNT / 64, `${steps} steps`)
  t.ok(most > 0 && most <= 64, `${most} pipes are read in the longest step`)
  t.equal(
    readsOf(() => t.equal(pairs.ties().of(first!)[0]?.record, second)),
    0,
    'all is there',
  )
  nowMs = 1000
  t.ok(readsOf(() => pairs.gather()) <= 64, 'a later sweep looks again, in steps as well')
  t.ok(readsOf(() => pairs.ties()) <= COUNT, 'a report finishes what is left')
  t.end()
})

t.test('a connection that closes between two steps has the ties that were made since', (t) => {
  const records = Array.from({ length: COUNT }, (_, i) => connection(i + 1))
  const pairs = pairsOf(t, records, () => 0)
  t.ok(pairs.gather(), 'more is to do')
  const { socket } = records[1]!
  Object.defineProperty(records[0]!.socket._readableState, 'pipes', { value: [socket] })
  t.equal(pairs.ties(true).of(records[0]!)[0]?.record, records[1])
  t.end()
})
