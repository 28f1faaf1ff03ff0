/** What is said of two connections that are one conversation. */
import t from 'tap'
import { describePartner, isNamed, pairUp } from '../../src/report/pair-lines.js'
import type { PairSide } from '../../src/core/report.js'

function side(direction: PairSide['direction'], changes: Partial<PairSide> = {}): PairSide {
  return {
    id: direction === 'inbound' ? 1 : 2,
    direction,
    remote:
      direction === 'inbound' ? { address: '10.0.0.7', port: 50_122 } : { address: '10.0.0.5', port: 443 },
    site: direction === 'inbound' ? 'GET /proxy/:id' : 'to 10.0.0.5:443',
    state: 'open',
    condition: null,
    sinceMs: null,
    bytesPerSecond: null,
    idleMs: null,
    ...changes,
  }
}

const LEFT = { state: 'closed', sinceMs: 90_000 } as const

t.test('one line says what happened, since when, whose code and what to do', async (t) => {
  const table: readonly [
    inbound: Partial<PairSide>,
    outbound: Partial<PairSide>,
    by: 'pipe' | 'context',
    line: string,
  ][] = [
    [
      LEFT,
      { bytesPerSecond: 3 * 1024 * 1024, idleMs: 0 },
      'pipe',
      'Client 10.0.0.7:50122 left 1 min 30 s ago, upstream 10.0.0.5:443 still streams 3.0 MB/s ' +
        '(GET /proxy/:id, tied by a pipe). ' +
        "Destroy both ends: use stream.pipeline(), or destroy the upstream on the client's 'close'.",
    ],
    [
      { ...LEFT, remote: null },
      { bytesPerSecond: 0, idleMs: 80_000 },
      'context',
      'The client left 1 min 30 s ago, upstream 10.0.0.5:443 is still open, without a byte for 1 min 20 s ' +
        '(GET /proxy/:id, tied by the request that it serves). ' +
        "Abort the outgoing request when the response closes (res.on('close', ...), an AbortSignal).",
    ],
    [
      {},
      LEFT,
      'pipe',
      'Upstream 10.0.0.5:443 left 1 min 30 s ago, client 10.0.0.7:50122 is still open ' +
        '(GET /proxy/:id, tied by a pipe). ' +
        "Destroy both ends: use stream.pipeline(), or destroy the client's response on the upstream's 'close'.",
    ],
    [
      { state: 'ended', condition: 'eof-ignored', sinceMs: 5000, site: 'listener :3000' },
      {},
      'pipe',
      'Client 10.0.0.7:50122 ended its side 5 s ago, upstream 10.0.0.5:443 is still open ' +
        '(listener :3000, tied by a pipe). ' +
        "Destroy both ends: use stream.pipeline(), or destroy the upstream on the client's 'close'.",
    ],
    [
      { bytesPerSecond: 10 },
      { condition: 'window-closed', sinceMs: 5000 },
      'pipe',
      'Client 10.0.0.7:50122 streams 10 B/s, upstream 10.0.0.5:443 is stuck since 5 s (window-closed) ' +
        '(GET /proxy/:id, tied by a pipe).',
    ],
    [
      LEFT,
      { condition: 'abandoned', sinceMs: 90_000 },
      'pipe',
      'Client 10.0.0.7:50122 left 1 min 30 s ago, upstream 10.0.0.5:443 is still open (GET /proxy/:id, tied by a pipe). ' +
        "Destroy both ends: use stream.pipeline(), or destroy the upstream on the client's 'close'.",
    ],
  ]
  for (const [inbound, outbound, by, line] of table) {
    const pair = pairUp(side('outbound', outbound), side('inbound', inbound), by)
    t.equal(pair.line, line)
    t.same(
      pair.sides.map(({ direction }) => direction),
      ['inbound', 'outbound'],
      'the accepted one first',
    )
  }
})

t.test('two of the same direction are told in the order in which they came', async (t) => {
  const pair = pairUp(
    side('inbound', { id: 8, site: 'listener :1' }),
    side('inbound', { id: 7, ...LEFT }),
    'pipe',
  )
  t.same(
    pair.sides.map(({ id }) => id),
    [8, 7],
  )
  t.match(pair.line, /^Client .* left 1 min 30 s ago, client .* is still open/)
})

t.test('a route says more than an address', async (t) => {
  for (const site of ['listener :3000', 'to 10.0.0.5:443', 'outgoing', 'unknown listener'])
    t.notOk(isNamed(site), site)
  for (const site of ['GET /a', 'upgrade /chat', 'CONNECT a:443', 'app/proxy.js:42'])
    t.ok(isNamed(site), site)
})

t.test('the partner in the words of the other', async (t) => {
  t.equal(
    describePartner({ ...side('inbound'), by: 'pipe', state: 'closed', sinceMs: 5000 }),
    'the client 10.0.0.7:50122 that it served (GET /proxy/:id) left 5 s ago',
  )
  t.equal(
    describePartner({ ...side('outbound', { remote: null }), by: 'pipe', state: 'ended', sinceMs: null }),
    'the upstream that it waits for ended its side',
  )
})
