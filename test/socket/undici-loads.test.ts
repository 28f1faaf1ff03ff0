/** A pool of undici may have thousands of clients, and there may be thousands of pools: the census looks at them in steps. */
import { EventEmitter } from 'node:events'
import t from 'tap'
import { undiciLoads } from '../../src/socket/undici.js'

let reads = 0

/** What undici keeps under symbols of its own. */
function newClient(): object {
  const client = Object.assign(new EventEmitter(), {
    [Symbol('running index')]: 0,
    [Symbol('pending index')]: 1,
  })
  return Object.defineProperty(client, Symbol('queue'), { get: () => ((reads += 1), [{}, {}]) })
}

t.test('a pool with many clients, and many clients without a pool, are looked at in steps', (t) => {
  const key = Symbol.for('undici.globalDispatcher.1')
  const all = globalThis as unknown as Record<symbol, unknown>
  const before = all[key]
  t.teardown(() => (all[key] = before))
  const pool = { [Symbol('clients')]: Array.from({ length: 320 }, newClient) }
  all[key] = { [Symbol('clients')]: new Map([['origin', pool]]) }
  let [steps, busy, queued, most] = [0, 0, 0, 0]
  for (const load of undiciLoads(new Set(Array.from({ length: 100 }, newClient)))) {
    steps += 1
    busy += load?.busy ?? 0
    queued += load?.queued ?? 0
    most = Math.max(most, reads)
    reads = 0
  }
  t.same([busy, queued], [420, 420])
  t.ok(most > 0 && most <= 32, `${most} queues are read in the longest of ${steps} steps`)
  t.end()
})
