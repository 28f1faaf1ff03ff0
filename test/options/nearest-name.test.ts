import t from 'tap'
import { nearestName } from '../../src/options/nearest-name.js'

const NAMES = ['graceMs', 'maxHalfClosedMs', 'action', 'keepAlive', 'report', 'reportToken', 'userTimeoutMs']

const CASES: [meant: string, nearest: string][] = [
  ['gracems', 'graceMs'],
  ['grace', 'graceMs'],
  ['grcaeMs', 'graceMs'],
  ['grace_ms', 'graceMs'],
  ['timeout', 'userTimeoutMs'],
  ['halfClosed', 'maxHalfClosedMs'],
  ['acton', 'action'],
  ['actions', 'action'],
  ['keepalive', 'keepAlive'],
  ['keppAlive', 'keepAlive'],
  ['reports', 'report'],
  ['token', 'reportToken'],
  ['reportTokn', 'reportToken'],
]

t.test('names the one that was most likely meant', async (t) => {
  for (const [meant, nearest] of CASES) t.equal(nearestName(meant, NAMES), nearest, meant)
})

t.test('takes the first of equals, and always takes one', async (t) => {
  t.equal(nearestName('zzz', ['aaa', 'bbb']), 'aaa')
  t.equal(nearestName('', ['ab', 'a']), 'a')
})

t.test('a name of sixteen megabytes is answered at once', async (t) => {
  const started = performance.now()
  t.ok(NAMES.includes(nearestName('x'.repeat(1 << 24), NAMES)))
  t.ok(performance.now() - started < 1000)
})
