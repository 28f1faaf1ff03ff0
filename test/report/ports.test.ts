import fc from 'fast-check'
import t from 'tap'
import { portsHeld as portsHeldBy } from '../../src/report/ports.js'
import type { SocketReport } from '../../src/core/report.js'
import { CONDITIONS } from '../../src/core/vocabulary.js'
import { rowOf, sampleSocket } from '../core/sample-socket.js'

const PEER = '192.0.2.7'

const portsHeld = (sockets: readonly SocketReport[]) => portsHeldBy(sockets.map(rowOf))

/** A connection that was leaked, to our port 443. */
function from(port: number, address = PEER, rest: Partial<SocketReport> = {}): SocketReport {
  return sampleSocket({
    local: { address: '192.0.2.1', port: 443 },
    remote: { address, port },
    kernelState: 'CLOSE_WAIT',
    ...rest,
  })
}

function holds(rest: Partial<SocketReport>): boolean {
  return portsHeld([from(50_000, PEER, rest)]).length === 1
}

t.test('nothing leaked, nothing held', async (t) => {
  t.same(portsHeld([]), [])
})

t.test('each remote address has a row, worst first', async (t) => {
  const sockets = [from(1, 'few'), from(1, 'most'), from(2, 'most'), from(3, 'most'), from(4, 'few')]
  t.same(portsHeld(sockets), [
    { remote: 'most', localPort: 443, heldPorts: 3 },
    { remote: 'few', localPort: 443, heldPorts: 2 },
  ])
})

t.test('each port of ours has a row: the four-tuple differs', async (t) => {
  const other = from(50_000, PEER, { local: { address: '192.0.2.1', port: 80 } })
  t.same(
    portsHeld([from(50_000), other]).map(({ localPort }) => localPort),
    [443, 80],
  )
})

t.test('a port counts once, however many sockets have it', async (t) => {
  t.match(portsHeld([from(7), from(7), from(8)]), [{ heldPorts: 2 }])
})

t.test('the peer has ended and our side still stands', async (t) => {
  const holding = CONDITIONS.filter((condition) => holds({ condition }))
  t.same(holding, ['eof-ignored', 'eof-unread', 'fin-unseen', 'write-stalled'])
  t.notOk(holds({ condition: null }))
})

t.test('a healthy socket holds nothing, everything else does', async (t) => {
  t.notOk(holds({ verdict: 'none' }))
  for (const verdict of ['suspect', 'leaked', 'recovered', 'exempt'] as const)
    t.ok(holds({ verdict }), verdict)
})

t.test('what the kernel has closed holds nothing', async (t) => {
  t.notOk(holds({ kernelState: 'CLOSE' }))
  t.ok(holds({ kernelState: null }), 'unknown is not closed')
})

t.test('only connections that were accepted: a client of ours chooses its own port', async (t) => {
  t.notOk(holds({ direction: 'outbound' }))
})

t.test('without two ports there is no four-tuple', async (t) => {
  t.notOk(holds({ remote: null }))
  t.notOk(holds({ local: null }))
  t.notOk(holds({ remote: { address: '/run/app.sock', port: null } }))
  t.notOk(holds({ local: { address: '/run/app.sock', port: null } }))
})

t.test('rows add up, the worst first', async () => {
  const ends = fc.array(fc.tuple(fc.integer({ min: 1, max: 50 }), fc.constantFrom('a', 'b', 'c')))
  fc.assert(
    fc.property(ends, (ends) => {
      const rows = portsHeld(ends.map(([port, address]) => from(port, address)))
      const held = new Set(ends.map((end) => end.join(' ')))
      if (rows.reduce((sum, { heldPorts }) => sum + heldPorts, 0) !== held.size) return false
      for (const [i, { heldPorts }] of rows.entries()) {
        if (heldPorts > (rows[i - 1]?.heldPorts ?? Infinity)) return false
      }
      return true
    }),
  )
})
