import fc from 'fast-check'
import t from 'tap'
import {
  classify,
  isProvablyLossFree,
  WINDOW_CLOSED_BYTES,
  type Classification,
} from '../../src/judge/classify.js'
import { phaseOf, type Facts } from '../../src/judge/facts.js'
import { CONDITIONS, PHASES, type Condition, type Phase, type Sensor } from '../../src/core/vocabulary.js'
import { anyFacts } from './any-facts.js'
import { HEALTHY, kernel } from './story.js'

/** What is seen, the condition while bytes move, the condition once nothing moves, and who saw it. */
type Row = readonly [
  name: string,
  seen: Partial<Facts>,
  moving: Condition | null,
  idle: Condition | null,
  seenBy?: Sensor,
]

const PEER_ENDED = { eofReceived: true, eofConsumed: true }
const PEER_ENDED_UNREAD = { eofReceived: true, eofConsumed: false, unreadBytes: 500 }
const ENDING = { localEnded: true, unsentBytes: 4096 }
const ENDED = { localEnded: true, localFinished: true }
const BLIND = { reading: false }
const DEAD = { disconnected: true }

const ROWS: readonly Row[] = [
  ['a healthy connection', {}, null, null],
  ['connecting', { connecting: true, reading: false }, null, null],
  ['destroyed', { ...PEER_ENDED, destroyed: true }, null, null],
  ['output waits on an open connection', { unsentBytes: 1e6 }, null, 'write-stalled'],
  ['the kernel holds output, the stream holds none', { kernel: kernel({ unsentBytes: 4e6 }) }, null, null],

  ['the peer ended, the application did not', PEER_ENDED, 'eof-ignored', 'eof-ignored'],
  ['and output still drains', { ...PEER_ENDED, unsentBytes: 9 }, 'eof-ignored', 'write-stalled'],
  ['and the application is ending', { ...PEER_ENDED, ...ENDING, unsentBytes: 0 }, null, null],
  ['and the application is ending, with output', { ...PEER_ENDED, ...ENDING }, null, 'write-stalled'],
  ['both ended in good order', { ...PEER_ENDED, ...ENDED }, null, null],
  ['a side that only receives, read to its end', { ...PEER_ENDED, writable: false }, null, null],

  ['the end waits behind unread bytes', PEER_ENDED_UNREAD, 'eof-unread', 'eof-unread'],
  ['and output still drains', { ...PEER_ENDED_UNREAD, unsentBytes: 9 }, 'eof-unread', 'write-stalled'],
  ['and the application is ending', { ...PEER_ENDED_UNREAD, ...ENDING }, 'eof-unread', 'write-stalled'],
  ['both ended, bytes unread', { ...PEER_ENDED_UNREAD, ...ENDED }, 'closed-unread', 'closed-unread'],
  [
    'a side that only receives, unread',
    { ...PEER_ENDED_UNREAD, writable: false },
    'closed-unread',
    'closed-unread',
  ],

  ['the application is ending', ENDING, null, 'write-stalled'],
  ['the application is ending, nothing waits', { ...ENDING, unsentBytes: 0 }, null, null],
  ['the application ended', ENDED, 'fin-wait', 'fin-wait'],
  ['a side that only sends, ended', { ...ENDED, readable: false }, null, null],
  [
    'the application ended, and the kernel can not deliver',
    { ...ENDED, kernel: kernel({ state: 'FIN_WAIT1', unsentBytes: 9000 }) },
    'fin-wait',
    'write-stalled',
    'kernel',
  ],
  [
    'a single byte is enough: our end waits behind it',
    { ...ENDED, kernel: kernel({ state: 'FIN_WAIT1', unsentBytes: 1 }) },
    'fin-wait',
    'write-stalled',
    'kernel',
  ],
  [
    'the peer has acknowledged our end',
    { ...ENDED, kernel: kernel({ state: 'FIN_WAIT2', unsentBytes: 9000 }) },
    'fin-wait',
    'fin-wait',
  ],
  [
    'the application ended, reads nothing, and the kernel has the peer’s end',
    { ...ENDED, ...BLIND, kernel: kernel({ state: 'TIME_WAIT', peerEnded: true }) },
    'closed-unread',
    'closed-unread',
    'kernel',
  ],
  [
    'the same while reading: Node is about to see it',
    { ...ENDED, kernel: kernel({ state: 'TIME_WAIT', peerEnded: true }) },
    'fin-wait',
    'fin-wait',
  ],

  ['nobody reads, and nobody can look', BLIND, null, null],
  ['nobody reads, and nothing waits', { ...BLIND, kernel: kernel({}) }, null, null],
  [
    'a side that only sends is never read, whatever waits',
    { ...BLIND, readable: false, kernel: kernel({ unreadBytes: 1_000_000 }) },
    null,
    null,
  ],
  [
    'its peer has ended all the same',
    { ...BLIND, readable: false, kernel: kernel({ state: 'CLOSE_WAIT', peerEnded: true }) },
    'fin-unseen',
    'fin-unseen',
    'kernel',
  ],
  [
    'nobody reads, and the kernel has the peer’s end',
    { ...BLIND, kernel: kernel({ state: 'CLOSE_WAIT', peerEnded: true }) },
    'fin-unseen',
    'fin-unseen',
    'kernel',
  ],
  [
    'nobody reads, and less waits than closes a window',
    { ...BLIND, kernel: kernel({ unreadBytes: WINDOW_CLOSED_BYTES - 1 }) },
    null,
    null,
  ],
  [
    'nobody reads, and the receive buffer is full',
    { ...BLIND, kernel: kernel({ unreadBytes: WINDOW_CLOSED_BYTES }) },
    null,
    'window-closed',
    'kernel',
  ],
  [
    'a probe that can not count',
    { ...BLIND, kernel: kernel({ unreadBytes: null, peerEnded: null, state: null }) },
    null,
    null,
  ],

  ['dead, and Node was not told', { ...BLIND, ...DEAD }, 'reset-unseen', 'reset-unseen', 'oracle'],
  ['dead after the peer’s end', { ...PEER_ENDED, ...DEAD }, 'reset-unseen', 'reset-unseen', 'oracle'],
  [
    'dead before its end was read',
    { ...PEER_ENDED_UNREAD, ...DEAD },
    'reset-unseen',
    'reset-unseen',
    'oracle',
  ],
  [
    'closed by both, bytes unread, and now gone from the kernel',
    { ...PEER_ENDED_UNREAD, ...ENDED, ...DEAD },
    'closed-unread',
    'closed-unread',
    'oracle',
  ],
  [
    'closed by both, all read, and still there',
    { ...PEER_ENDED, ...ENDED, ...DEAD },
    'reset-unseen',
    'reset-unseen',
    'oracle',
  ],
  ['the oracle was not asked', { ...BLIND, disconnected: null }, null, null],

  ['its client has gone', { abandoned: 'for-nobody' }, 'abandoned', 'abandoned'],
  ['the peer of its client has ended', { abandoned: 'waiting' }, 'abandoned', 'abandoned'],
  [
    'its client has gone, and nobody reads on',
    { ...BLIND, abandoned: 'for-nobody', kernel: kernel({ unreadBytes: 84_000 }) },
    'abandoned',
    'abandoned',
  ],
  [
    'its client has gone, and so has its peer',
    { ...PEER_ENDED, abandoned: 'for-nobody' },
    'eof-ignored',
    'eof-ignored',
  ],
  ['its client has gone, and it was ended', { ...ENDED, abandoned: 'for-nobody' }, 'fin-wait', 'fin-wait'],
  ['it met itself', { selfConnected: true }, 'self-connected', 'self-connected'],
  ['it met itself, and ended', { selfConnected: true, ...ENDED }, 'fin-wait', 'fin-wait'],
]

for (const [name, seen, moving, idle, seenBy = 'stream'] of ROWS) {
  t.test(name, async (t) => {
    const facts: Facts = { ...HEALTHY, ...seen }
    t.same(
      told(classify(facts, false)),
      moving && { condition: moving, seenBy: idle === moving ? seenBy : 'stream' },
    )
    t.same(told(classify(facts, true)), idle && { condition: idle, seenBy })
  })
}

function told(found: Classification | null): Pick<Classification, 'condition' | 'seenBy'> | null {
  return found && { condition: found.condition, seenBy: found.seenBy }
}

t.test('open both ways: who stalls it, and whether it is a leak', async (t) => {
  const full = { ...BLIND, kernel: kernel({ unreadBytes: 90_000 }) }
  const table: readonly [name: string, seen: Partial<Facts>, Condition | null, isStall: boolean][] = [
    ['nobody has ever asked for what waits', { ...full, asked: false }, 'window-closed', false],
    ['the application has paused it', { ...full, asked: true }, 'window-closed', true],
    ['the peer takes no output', { unsentBytes: 9 }, 'write-stalled', true],
    [
      'both, and nobody has asked: reading would let it go on',
      { ...full, unsentBytes: 9 },
      'window-closed',
      false,
    ],
    [
      'both, and it is paused because of its output',
      { ...full, asked: true, unsentBytes: 9 },
      'write-stalled',
      true,
    ],
    ['it met itself, whatever waits', { selfConnected: true, unsentBytes: 9 }, 'self-connected', false],
    ['the peer has ended', { ...PEER_ENDED, unsentBytes: 9 }, 'write-stalled', false],
    [
      'the kernel knows that the peer has ended',
      { ...full, asked: true, kernel: kernel({ peerEnded: true }) },
      'fin-unseen',
      false,
    ],
  ]
  for (const [name, seen, condition, isStall] of table)
    t.match(classify({ ...HEALTHY, ...seen }, true), { condition, isStall }, name)
})

t.test('only what is open both ways, alive, and does not move is a stall', async () => {
  fc.assert(
    fc.property(anyFacts, fc.boolean(), (facts, idle) => {
      if (classify(facts, idle)?.isStall !== true) return true
      return idle && !facts.eofReceived && !facts.localEnded && facts.disconnected !== true
    }),
  )
})

t.test('every condition has a row', async (t) => {
  const shown = new Set(ROWS.flatMap(([, , moving, idle]) => [moving, idle]))
  for (const condition of CONDITIONS) t.ok(shown.has(condition), condition)
})

t.test('what is open and being read is no leak, whatever waits in the buffers', async () => {
  fc.assert(
    fc.property(anyFacts, fc.boolean(), (any, idle) => {
      const facts = {
        ...any,
        reading: true,
        eofReceived: false,
        eofConsumed: false,
        localEnded: false,
        localFinished: false,
        disconnected: false,
        selfConnected: false,
        abandoned: null,
        session: null,
      }
      return classify(facts, idle)?.isStall !== false
    }),
  )
})

t.test('what says that nothing moves is only said when nothing moves', async () => {
  fc.assert(
    fc.property(anyFacts, (facts) => {
      const found = classify(facts, false)?.condition
      return found !== 'write-stalled' && found !== 'window-closed'
    }),
  )
})

t.test('the sensor named is one that was asked', async () => {
  fc.assert(
    fc.property(anyFacts, fc.boolean(), (facts, idle) => {
      const found = classify(facts, idle)
      if (found?.seenBy === 'kernel') return facts.kernel !== null
      return found?.seenBy !== 'oracle' || facts.disconnected === true
    }),
  )
})

t.test('closing loses nothing only when the connection is dead and all it delivered was read', async (t) => {
  const table: readonly [name: string, seen: Partial<Facts>, lossFree: boolean][] = [
    ['alive', PEER_ENDED, false],
    ['not asked', { ...PEER_ENDED, disconnected: null }, false],
    ['dead, end consumed', { ...PEER_ENDED, ...DEAD }, true],
    ['dead, end unread', { ...PEER_ENDED_UNREAD, ...DEAD }, false],
    ['dead, nothing ever to be read', { ...DEAD, readable: false }, true],
    [
      'dead, its reader would hear of the reset',
      { ...BLIND, ...DEAD, kernel: kernel({ state: 'CLOSE' }) },
      false,
    ],
    ['dead, but Node is on its way to the end', { ...DEAD, kernel: kernel({ state: 'CLOSE' }) }, false],
    ['dead, a byte in the stream', { ...DEAD, unreadBytes: 1, kernel: kernel({ state: 'CLOSE' }) }, false],
  ]
  for (const [name, seen, lossFree] of table)
    t.equal(isProvablyLossFree({ ...HEALTHY, ...seen }), lossFree, name)
})

t.test('unread bytes that anybody knows of are never loss-free', async () => {
  fc.assert(
    fc.property(anyFacts, (facts) => {
      const known = facts.unreadBytes > 0 || (facts.kernel?.unreadBytes ?? 0) > 0
      return !(known && facts.readable && !facts.eofConsumed) || !isProvablyLossFree(facts)
    }),
  )
})

t.test('phases', async (t) => {
  const table: readonly [seen: Partial<Facts>, phase: Phase][] = [
    [{}, 'open'],
    [{ connecting: true }, 'connecting'],
    [{ eofReceived: true }, 'peer-ended'],
    [{ localEnded: true }, 'local-ended'],
    [{ eofReceived: true, localEnded: true }, 'closing'],
    [{ eofReceived: true, localEnded: true, destroyed: true }, 'closed'],
    [{ connecting: true, destroyed: true }, 'closed'],
  ]
  for (const [seen, phase] of table) t.equal(phaseOf({ ...HEALTHY, ...seen }), phase)
  t.equal(new Set(table.map(([, phase]) => phase)).size, PHASES.length, 'each has a row')
})
