/**
 * The judgement as stories. Each line: when (milliseconds), what is seen then (facts that changed), the verdict, and
 * the effects in their order. Where nothing is said otherwise, grace is a minute and the action is to report.
 */
import t, { type Test } from 'tap'
import type { Facts } from '../../src/judge/facts.js'
import { nextDueMs, type JudgementPolicy } from '../../src/judge/lifecycle.js'
import type { Condition, Sensor } from '../../src/core/vocabulary.js'
import { Judgement, kernel, POLICY, say, tell, type Line } from './story.js'

const SUSPECTED = ['keep-alive on', 'announce suspect'] as const
const LEAKED = ['announce leaked', 'decide'] as const
const RECOVERED = ['keep-alive off', 'announce recovered'] as const

const PEER_ENDS: Partial<Facts> = { eofReceived: true, eofConsumed: true }
const APP_ENDS: Partial<Facts> = { localEnded: true, localFinished: true }

function story(name: string, policy: Partial<JudgementPolicy>, lines: readonly Line[]): void {
  void t.test(name, async (t: Test) => {
    tell(t, policy, lines)
  })
}

/** One sight of each condition that stays as it is, and who sees it. */
const STUCK: readonly (readonly [Condition, Sensor, Partial<Facts>])[] = [
  ['eof-ignored', 'stream', PEER_ENDS],
  ['eof-unread', 'stream', { eofReceived: true, unreadBytes: 500 }],
  ['fin-unseen', 'kernel', { reading: false, kernel: kernel({ state: 'CLOSE_WAIT', peerEnded: true }) }],
  ['window-closed', 'kernel', { reading: false, kernel: kernel({ unreadBytes: 90_000 }) }],
  ['reset-unseen', 'oracle', { reading: false, disconnected: true }],
  ['fin-wait', 'stream', APP_ENDS],
  ['write-stalled', 'stream', { localEnded: true, unsentBytes: 500 }],
  ['write-stalled', 'stream', { ...PEER_ENDS, unsentBytes: 500 }],
  ['write-stalled', 'kernel', { ...APP_ENDS, kernel: kernel({ state: 'FIN_WAIT1', unsentBytes: 500 }) }],
  ['closed-unread', 'stream', { ...APP_ENDS, eofReceived: true, unreadBytes: 500 }],
  ['closed-unread', 'oracle', { ...APP_ENDS, eofReceived: true, unreadBytes: 500, disconnected: true }],
  ['self-connected', 'stream', { selfConnected: true }],
]

for (const [condition, seenBy, seen] of STUCK) {
  story(`${condition}, seen by the ${seenBy}: suspect once it has settled, leaked after the grace`, {}, [
    [5_000, seen, { verdict: 'none', idleMs: 0 }],
    [5_999, {}, { verdict: 'none' }],
    [6_000, {}, { verdict: 'suspect', condition, seenBy }, ...SUSPECTED],
    [30_000, {}, { verdict: 'suspect' }],
    [64_999, {}, { verdict: 'suspect' }],
    [65_000, {}, { verdict: 'leaked', condition, seenBy, idleMs: 60_000 }, ...LEAKED],
    [600_000, {}, { verdict: 'leaked', condition, seenBy, idleMs: 595_000 }],
    [600_001, 'closed', { verdict: 'recovered' }, 'announce recovered'],
  ])
}

story('suspect and leaked in one step, when nobody looked for a long time', {}, [
  [5_000, PEER_ENDS, 'none'],
  [70_000, {}, 'leaked', ...SUSPECTED, ...LEAKED],
])

story('a close in good order is never even a suspect', {}, [
  [5_000, PEER_ENDS, { verdict: 'none', condition: 'eof-ignored' }],
  [5_050, { localEnded: true, unsentBytes: 900 }, { verdict: 'none', condition: null }],
  [5_100, { localFinished: true, unsentBytes: 0, bytesAccepted: 900 }, { verdict: 'none', condition: null }],
  [5_150, 'closed', { verdict: 'none' }],
])

story('a slow close: the suspicion goes as soon as the application ends', {}, [
  [5_000, PEER_ENDS, 'none'],
  [10_000, {}, 'suspect', ...SUSPECTED],
  [15_000, { localEnded: true, unsentBytes: 1e6, bytesAccepted: 1e6 }, 'none', 'keep-alive off'],
  [20_000, { bytesAccepted: 2e6, unsentBytes: 5e5 }, 'none'],
  [25_000, { bytesAccepted: 2.5e6, unsentBytes: 0, localFinished: true }, 'none'],
  [25_050, 'closed', { verdict: 'none' }],
])

// Grace is idle time.

const PROGRESS: readonly (readonly [name: string, before: Partial<Facts>, after: Partial<Facts>])[] = [
  ['a byte that came in', { ...APP_ENDS, bytesRead: 10 }, { bytesRead: 11 }],
  ['a byte that went out', { ...PEER_ENDS, bytesAccepted: 10 }, { bytesAccepted: 11 }],
  [
    'a byte that the application took from the buffer',
    { eofReceived: true, unreadBytes: 500 },
    { unreadBytes: 499 },
  ],
  [
    'a byte that the peer took from the kernel',
    { localEnded: true, unsentBytes: 9, kernel: kernel({ unsentBytes: 4e6 }) },
    { kernel: kernel({ unsentBytes: 4e6 - 1 }) },
  ],
  [
    'the same, without a byte in the stream',
    { ...PEER_ENDS, kernel: kernel({ state: 'CLOSE_WAIT', unsentBytes: 4e6 }) },
    { kernel: kernel({ state: 'CLOSE_WAIT', unsentBytes: 4e6 - 1 }) },
  ],
  [
    'a byte that arrived in the kernel, where nobody reads',
    { ...APP_ENDS, reading: false, kernel: kernel({ state: 'FIN_WAIT2' }) },
    { kernel: kernel({ state: 'FIN_WAIT2', unreadBytes: 1 }) },
  ],
]

for (const [name, before, after] of PROGRESS) {
  void t.test(`${name} starts the grace again`, async (t) => {
    const judgement = new Judgement()
    judgement.apply(5_000, before, POLICY)
    judgement.apply(10_000, {}, POLICY)
    t.match(judgement.state, { verdict: 'suspect', progressMs: 5_000 })
    judgement.apply(64_999, after, POLICY)
    t.match(judgement.state, { progressMs: 64_999 })
    judgement.apply(124_998, {}, POLICY)
    t.match(judgement.state, { verdict: 'suspect', progressMs: 64_999 })
    t.same(judgement.apply(124_999, {}, POLICY).map(say), LEAKED)
    t.match(judgement.state, { verdict: 'leaked', progressMs: 64_999 })
  })
}

story('a slow reader: the stream sees nothing leave for minutes, the kernel does', { action: 'reset' }, [
  [5_000, { localEnded: true, unsentBytes: 1e7, kernel: kernel({ unsentBytes: 4e6 }) }, 'none'],
  ...Array.from({ length: 100 }, (_, i): Line => [
    5_000 + (i + 1) * 900,
    { kernel: kernel({ unsentBytes: 4e6 - 9 * (i + 1) }) },
    'none',
  ]),
])

story('the kernel’s word is no progress when it is old, new, vague or its last', { reclaimDead: false }, [
  [5_000, PEER_ENDS, 'none'],
  [10_000, { kernel: kernel({ unsentBytes: 4e6 }) }, { idleMs: 5_000 }, ...SUSPECTED],
  [15_000, { kernel: kernel({ unsentBytes: 4e6 }) }, { idleMs: 10_000 }],
  [20_000, { kernel: kernel({ unsentBytes: null, unreadBytes: null }) }, { idleMs: 15_000 }],
  [25_000, { kernel: kernel({ unsentBytes: 3e6 }) }, { idleMs: 20_000 }],
  [30_000, { kernel: null }, { idleMs: 25_000 }],
  [35_000, { kernel: kernel({ unsentBytes: 2e6 }) }, { idleMs: 30_000 }],
  // The kernel has thrown its queue away: nobody received that.
  [40_000, { kernel: kernel({ state: 'CLOSE', unsentBytes: 0 }) }, { idleMs: 35_000 }],
])

story('bytes that only pile up are no progress', {}, [
  [5_000, { ...PEER_ENDS, unsentBytes: 10 }, 'none'],
  [10_000, {}, 'suspect', ...SUSPECTED],
  [60_000, { unsentBytes: 99_999 }, { verdict: 'suspect', idleMs: 55_000 }],
  [65_000, {}, 'leaked', ...LEAKED],
])

story('a half-close that makes progress is left alone for ever', { action: 'destroy' }, [
  [5_000, { ...PEER_ENDS, bytesAccepted: 1 }, 'none'],
  [10_000, {}, 'suspect', ...SUSPECTED],
  ...Array.from({ length: 100 }, (_, i): Line => [
    10_000 + (i + 1) * 59_999,
    { bytesAccepted: 2 + i },
    'suspect',
  ]),
])

story('so is a legal half-close that never pauses: it is not even a suspect', {}, [
  [5_000, { ...APP_ENDS, bytesRead: 1 }, 'none'],
  ...Array.from({ length: 100 }, (_, i): Line => [5_000 + (i + 1) * 900, { bytesRead: 2 + i }, 'none']),
])

// A blocked event loop.

story('the time in which nobody could have done anything is no part of the grace', {}, [
  [5_000, PEER_ENDS, 'none'],
  [10_000, {}, 'suspect', ...SUSPECTED],
  [60_000, { blockedMs: 40_000 }, { verdict: 'suspect', idleMs: 55_000 }],
  [65_000, {}, 'suspect'],
  [104_999, {}, 'suspect'],
  [105_000, {}, 'leaked', ...LEAKED],
])

story('not of a grace either that began after the last byte', {}, [
  [5_000, { reading: false }, 'none'],
  [300_000, { disconnected: true }, { condition: 'reset-unseen' }, 'keep-alive on'],
  [301_000, {}, 'suspect', 'announce suspect'],
  [350_000, { blockedMs: 45_000 }, 'suspect'],
  [360_000, {}, 'suspect'],
  [404_999, {}, 'suspect'],
  [405_000, {}, 'leaked', ...LEAKED],
])

story('nor of the time that a deed has to work', { action: 'end' }, [
  [5_000, PEER_ENDS, 'none'],
  [65_000, {}, 'leaked', ...SUSPECTED, ...LEAKED, 'deed end'],
  [80_000, { blockedMs: 14_000 }, 'leaked'],
  [80_001, { localEnded: true, unsentBytes: 9 }, 'leaked'],
  [83_999, {}, 'leaked'],
  [84_000, {}, 'leaked', 'deed let-go'],
])

story('more than there was to excuse excuses no future', {}, [
  [5_000, PEER_ENDS, 'none'],
  [10_000, { blockedMs: 90_000 }, { restSinceMs: 10_000 }],
  [70_000, {}, 'leaked', ...SUSPECTED, ...LEAKED],
])

story('a healthy socket is not bothered by it', {}, [[5_000, { blockedMs: 9_000 }, '-']])

// Open both ways, and nothing moves.

const PAUSED: Partial<Facts> = { reading: false, asked: true, kernel: kernel({ unreadBytes: 90_000 }) }
const DEAF: Partial<Facts> = { unsentBytes: 500 }
const STALLED = ['announce stalled', 'decide'] as const

for (const [condition, seen] of [
  ['window-closed', PAUSED],
  ['write-stalled', DEAF],
] as const) {
  story(`${condition} on an open connection is told after the grace, once, and is no suspect before`, {}, [
    [5_000, seen, 'none'],
    [6_000, {}, { verdict: 'none', condition, isStall: true }],
    [64_999, {}, 'none'],
    ...(condition === 'window-closed'
      ? ([[65_000, {}, { verdict: 'stalled', condition }, 'keep-alive on', ...STALLED]] as const)
      : ([[65_000, {}, { verdict: 'stalled', condition }, ...STALLED]] as const)),
    [600_000, {}, 'stalled'],
    [600_001, 'closed', 'stalled'],
  ])
}

story('a stall that moves on is nothing to tell, and counts anew', {}, [
  [5_000, DEAF, 'none'],
  [65_000, {}, 'stalled', ...STALLED],
  [66_000, { bytesAccepted: 200, unsentBytes: 300 }, { verdict: 'none', condition: null }],
  [67_000, {}, { verdict: 'none', condition: 'write-stalled' }],
  [125_999, {}, 'none'],
  [126_000, {}, 'stalled', ...STALLED],
])

story('a stall of which one side ends has a whole grace from then on', {}, [
  [5_000, DEAF, 'none'],
  [65_000, {}, 'stalled', ...STALLED],
  [80_000, PEER_ENDS, { verdict: 'none', condition: 'write-stalled', isStall: false, sinceMs: 80_000 }],
  [81_000, {}, 'suspect', ...SUSPECTED],
  [139_999, {}, 'suspect'],
  [140_000, {}, 'leaked', ...LEAKED],
])

story(
  'the general action leaves a stall alone, and its own grace is its own',
  { action: 'reset', stallGraceMs: 9_000 },
  [
    [5_000, DEAF, 'none'],
    [13_999, {}, 'none'],
    [14_000, {}, 'stalled', ...STALLED],
    [500_000, {}, 'stalled'],
  ],
)

story('what is done about a stall by request goes through to its end', {}, [
  [5_000, DEAF, 'none'],
  [65_000, {}, 'stalled', ...STALLED],
  [66_000, { decided: 'end' }, 'stalled', 'deed end'],
  [71_000, { localEnded: true }, 'stalled', 'deed reset'],
  [71_001, 'closed', 'reclaimed', 'announce reclaimed'],
])

story('a leak that somebody now takes care of is only a stall', {}, [
  [5_000, { ...PAUSED, asked: false }, 'none'],
  [6_000, {}, 'suspect', ...SUSPECTED],
  [65_000, {}, 'leaked', ...LEAKED],
  [70_000, { asked: true }, 'recovered', 'announce recovered'],
  [129_999, {}, 'recovered'],
  [130_000, {}, 'stalled', ...STALLED],
])

story('an exempt connection is not even stalled', { exempt: true }, [
  [5_000, DEAF, 'exempt'],
  [90_000, {}, 'exempt'],
])

// No grace at all.

story('graceMs 0: leaked at the first look', { graceMs: 0 }, [
  [5_000, PEER_ENDS, { verdict: 'leaked', condition: 'eof-ignored' }, ...SUSPECTED, ...LEAKED],
])

story('graceMs 0: it takes two looks to see that no output leaves', { graceMs: 0 }, [
  [5_000, { localEnded: true, unsentBytes: 500 }, { verdict: 'none', condition: null }],
  [5_010, {}, { verdict: 'leaked', condition: 'write-stalled' }, ...SUSPECTED, ...LEAKED],
])

story('graceMs 0: it takes two looks to see that nobody reads', { graceMs: 0 }, [
  [5_000, { reading: false, kernel: kernel({ unreadBytes: 90_000 }) }, { verdict: 'none', condition: null }],
  [5_010, {}, { verdict: 'leaked', condition: 'window-closed' }, ...SUSPECTED, ...LEAKED],
])

story('graceMs 0: a transfer that is under way at every look is never called stalled', { graceMs: 0 }, [
  [5_000, { localEnded: true, unsentBytes: 500 }, 'none'],
  ...Array.from({ length: 50 }, (_, i): Line => [5_000 + (i + 1) * 10, { bytesAccepted: i + 1 }, 'none']),
  [6_000, {}, { verdict: 'leaked', condition: 'write-stalled' }, ...SUSPECTED, ...LEAKED],
])

void t.test('a grace that shrinks to nothing does not cut what moves', async (t) => {
  const judgement = new Judgement()
  judgement.apply(5_000, { ...PEER_ENDS, bytesAccepted: 1 }, POLICY)
  t.same(judgement.apply(6_000, {}, POLICY).map(say), SUSPECTED)
  t.same(judgement.apply(7_000, { bytesAccepted: 2 }, { ...POLICY, graceMs: 0 }), [])
  t.same(judgement.apply(8_000, {}, { ...POLICY, graceMs: 0 }).map(say), LEAKED)
})

// What heals.

story('a suspect that heals is forgotten in silence', {}, [
  [5_000, { reading: false, kernel: kernel({ state: 'CLOSE_WAIT', peerEnded: true }) }, 'none'],
  [6_000, {}, 'suspect', ...SUSPECTED],
  [7_000, { reading: true, kernel: null }, { verdict: 'none', condition: null }, 'keep-alive off'],
])

story('a leak that heals is told once, and shown for one grace', {}, [
  [5_000, PEER_ENDS, 'none'],
  [65_000, {}, 'leaked', ...SUSPECTED, ...LEAKED],
  [70_000, { localEnded: true }, { verdict: 'recovered', condition: null }, ...RECOVERED],
  [129_999, {}, 'recovered'],
  [130_000, {}, 'none'],
])

story('a leak that closes has recovered: the application did it', {}, [
  [5_000, PEER_ENDS, 'none'],
  [65_000, {}, 'leaked', ...SUSPECTED, ...LEAKED],
  [70_000, 'closed', { verdict: 'recovered', condition: 'eof-ignored' }, 'announce recovered'],
])

story('what recovered and then closes has nothing more to tell', {}, [
  [5_000, PEER_ENDS, 'none'],
  [65_000, {}, 'leaked', ...SUSPECTED, ...LEAKED],
  [70_000, { localEnded: true }, 'recovered', ...RECOVERED],
  [70_100, 'closed', { verdict: 'recovered' }],
])

story('recovered, and leaked again', {}, [
  [5_000, { ...PEER_ENDS, bytesAccepted: 1 }, 'none'],
  [65_000, {}, 'leaked', ...SUSPECTED, ...LEAKED],
  [70_000, { bytesAccepted: 2 }, { verdict: 'recovered', condition: 'eof-ignored' }, ...RECOVERED],
  [70_900, {}, 'recovered'],
  [71_000, {}, 'suspect', ...SUSPECTED],
  [129_999, {}, 'suspect'],
  [130_000, {}, 'leaked', ...LEAKED],
  [130_500, 'closed', { verdict: 'recovered' }, 'announce recovered'],
])

story('a leak that moves on has recovered for one grace, and is no news after that', {}, [
  [5_000, { ...PEER_ENDS, bytesAccepted: 1 }, 'none'],
  [65_000, {}, 'leaked', ...SUSPECTED, ...LEAKED],
  [70_000, { bytesAccepted: 2 }, { verdict: 'recovered', condition: 'eof-ignored' }, ...RECOVERED],
  ...Array.from({ length: 60 }, (_, i): Line => [70_999 + i * 999, { bytesAccepted: 3 + i }, 'recovered']),
  [130_000, { bytesAccepted: 99 }, { verdict: 'none', condition: 'eof-ignored' }],
  [130_900, { bytesAccepted: 100 }, 'none'],
  [131_900, {}, 'suspect', ...SUSPECTED],
])

story('healed, and stuck in another way: grace runs anew', {}, [
  [5_000, PEER_ENDS, 'none'],
  [65_000, {}, 'leaked', ...SUSPECTED, ...LEAKED],
  [70_000, { localEnded: true, unsentBytes: 9e6, bytesAccepted: 1e6 }, 'recovered', ...RECOVERED],
  [71_000, {}, { verdict: 'suspect', condition: 'write-stalled', idleMs: 1_000 }, ...SUSPECTED],
  [130_000, {}, { verdict: 'leaked', condition: 'write-stalled', idleMs: 60_000 }, ...LEAKED],
])

// Since when.

/** How old the trouble is said to be, for sights that follow each other at 10, 20 and 30 seconds. */
const BEGINNINGS: readonly (readonly [
  name: string,
  ...sights: [Partial<Facts>, Condition | null, sinceMs: number][],
])[] = [
  [
    'a better sensor does not make it younger',
    [{ reading: false, kernel: kernel({ state: 'CLOSE_WAIT', peerEnded: true }) }, 'fin-unseen', 10_000],
    [{ reading: true, eofReceived: true, unreadBytes: 9 }, 'eof-unread', 10_000],
    [{ eofConsumed: true, unreadBytes: 0 }, 'eof-ignored', 10_000],
  ],
  [
    'a window that closed, and a FIN that came later',
    [{ reading: false, kernel: kernel({ unreadBytes: 9e4 }) }, null, 10_000],
    [{}, 'window-closed', 10_000],
    [{ kernel: kernel({ unreadBytes: 9e4, state: 'CLOSE_WAIT', peerEnded: true }) }, 'fin-unseen', 30_000],
  ],
  [
    'a connection that died has not been dead for as long as it was half-closed',
    [PEER_ENDS, 'eof-ignored', 10_000],
    [{}, 'eof-ignored', 10_000],
    [{ disconnected: true }, 'reset-unseen', 30_000],
  ],
  [
    'the application ended, and the peer much later, unread',
    [APP_ENDS, 'fin-wait', 10_000],
    [{}, 'fin-wait', 10_000],
    [{ eofReceived: true, unreadBytes: 9 }, 'closed-unread', 30_000],
  ],
  [
    'the application ended, and the kernel saw the peer end much later',
    [{ ...APP_ENDS, reading: false, kernel: kernel({ state: 'FIN_WAIT2' }) }, 'fin-wait', 10_000],
    [{}, 'fin-wait', 10_000],
    [{ kernel: kernel({ state: 'TIME_WAIT', peerEnded: true }) }, 'closed-unread', 30_000],
  ],
  [
    'the application ended, and both were closed when nobody knew',
    [{ ...APP_ENDS, reading: false, unreadBytes: 9 }, 'fin-wait', 10_000],
    [{}, 'fin-wait', 10_000],
    [{ disconnected: true }, 'closed-unread', 30_000],
  ],
  [
    'what was written had to leave before the wait for the peer began',
    [{ localEnded: true, unsentBytes: 9 }, null, 10_000],
    [{ bytesAccepted: 5 }, null, 10_000],
    [{ bytesAccepted: 9, unsentBytes: 0, localFinished: true }, 'fin-wait', 30_000],
  ],
  [
    'output is stalled since it stopped, not since the end',
    [{ localEnded: true, unsentBytes: 9 }, null, 10_000],
    [{ bytesAccepted: 5 }, null, 10_000],
    [{}, 'write-stalled', 20_000],
  ],
  [
    'a half-close stays as old as it is when its output stalls, and moves on',
    [{ ...PEER_ENDS, unsentBytes: 9 }, 'eof-ignored', 10_000],
    [{ bytesAccepted: 5 }, 'eof-ignored', 10_000],
    [{ bytesAccepted: 9, unsentBytes: 0 }, 'eof-ignored', 10_000],
  ],
]

for (const [name, ...sights] of BEGINNINGS) {
  void t.test(name, async (t) => {
    const judgement = new Judgement()
    for (const [index, [seen, condition, sinceMs]] of sights.entries()) {
      judgement.apply((index + 1) * 10_000, seen, { ...POLICY, reclaimDead: false })
      t.match(judgement.state, { condition, sinceMs }, `sight ${index + 1}`)
    }
  })
}

story('an end that is seen after a long silence has its grace like any other', { action: 'destroy' }, [
  [5_000, { reading: false }, 'none'],
  [65_000, {}, 'none', 'keep-alive on'],
  // The application resumed, and the end came with it: its listener may be at work right now.
  [600_000, { reading: true, ...PEER_ENDS }, 'none', 'keep-alive off'],
  [600_999, {}, 'none'],
  [601_000, {}, 'suspect', ...SUSPECTED],
  [659_999, {}, 'suspect'],
  [660_000, {}, 'leaked', ...LEAKED, 'deed destroy'],
])

story('a death that is seen after a long silence has its grace like any other', {}, [
  [5_000, { reading: false, unreadBytes: 9 }, 'none'],
  [65_000, {}, 'none', 'keep-alive on'],
  [90_000, { disconnected: true }, { verdict: 'none', condition: 'reset-unseen' }],
  [91_000, {}, 'suspect', 'announce suspect'],
  [150_000, {}, 'leaked', ...LEAKED],
])

// Keep-alive: on while a peer that vanished would not be noticed otherwise, and off again.

story('nobody reads for a whole grace: no fault, but the peer is probed until somebody does', {}, [
  [5_000, { reading: false, unreadBytes: 9 }, 'none'],
  [64_999, {}, 'none'],
  [65_000, {}, { verdict: 'none', condition: null }, 'keep-alive on'],
  [70_000, {}, 'none'],
  [75_000, { reading: true, unreadBytes: 0 }, 'none', 'keep-alive off'],
  [80_000, { reading: false }, 'none'],
  [140_000, {}, 'none', 'keep-alive on'],
])

story('probed already when it becomes a suspect', {}, [
  [5_000, { reading: false, kernel: kernel({}) }, 'none'],
  [65_000, {}, 'none', 'keep-alive on'],
  [70_000, { kernel: kernel({ state: 'CLOSE_WAIT', peerEnded: true }) }, 'none'],
  [71_000, {}, 'suspect', 'announce suspect'],
  [75_000, { reading: true, kernel: null }, 'none', 'keep-alive off'],
])

story('a side that only sends is not waited for', {}, [
  [5_000, { reading: false, readable: false }, 'none'],
  [600_000, {}, 'none'],
])

void t.test('what is exempted while suspect is left in peace', async (t) => {
  const judgement = new Judgement()
  const exempt = { ...POLICY, exempt: true }
  judgement.apply(5_000, PEER_ENDS, POLICY)
  t.same(judgement.apply(6_000, {}, POLICY).map(say), SUSPECTED)
  t.same(judgement.apply(7_000, {}, exempt).map(say), ['keep-alive off'])
  t.same(judgement.apply(90_000, {}, exempt), [])
  t.equal(judgement.state?.verdict, 'exempt')
})

// The absolute cap.

story('maxHalfClosedMs: leaked when it is over, progress or not', { maxHalfClosedMs: 10_000 }, [
  [5_000, { ...PEER_ENDS, bytesAccepted: 1 }, 'none'],
  [14_999, { bytesAccepted: 2 }, 'none'],
  [15_000, { bytesAccepted: 3 }, 'leaked', ...SUSPECTED, ...LEAKED],
  [20_000, { bytesAccepted: 4 }, 'leaked'],
  [25_000, {}, 'leaked'],
])

story('maxHalfClosedMs: shorter than a settling close', { maxHalfClosedMs: 200, action: 'destroy' }, [
  [5_000, PEER_ENDS, 'none'],
  [5_199, {}, 'none'],
  [5_200, {}, 'leaked', ...SUSPECTED, ...LEAKED, 'deed destroy'],
])

story('maxHalfClosedMs: a closed window is no half-close', { maxHalfClosedMs: 10_000 }, [
  [5_000, { reading: false, kernel: kernel({ unreadBytes: 90_000 }) }, 'none'],
  [6_000, {}, 'suspect', ...SUSPECTED],
  [64_000, {}, 'suspect'],
  [65_000, {}, 'leaked', ...LEAKED],
])

story('maxHalfClosedMs: counted from the first end to the last byte', { maxHalfClosedMs: 10_000 }, [
  [5_000, { ...PEER_ENDS, unsentBytes: 9 }, { condition: 'eof-ignored' }],
  [8_000, {}, { verdict: 'suspect', condition: 'write-stalled' }, ...SUSPECTED],
  [12_000, { bytesAccepted: 5 }, { verdict: 'suspect', condition: 'eof-ignored' }],
  [15_000, { bytesAccepted: 6 }, { verdict: 'leaked', condition: 'eof-ignored' }, ...LEAKED],
  [18_000, {}, { verdict: 'leaked', condition: 'write-stalled' }],
  [19_000, { bytesAccepted: 7 }, { verdict: 'leaked', condition: 'eof-ignored' }],
])

story('maxHalfClosedMs: counted from the first sensor that saw it', { maxHalfClosedMs: 10_000 }, [
  [
    5_000,
    { reading: false, unsentBytes: 9, kernel: kernel({ state: 'CLOSE_WAIT', peerEnded: true }) },
    { verdict: 'none', condition: 'fin-unseen' },
  ],
  [10_000, { ...PEER_ENDS, reading: true }, { verdict: 'suspect', condition: 'write-stalled' }, ...SUSPECTED],
  [14_999, {}, 'suspect'],
  [15_000, {}, 'leaked', ...LEAKED],
])

story('maxHalfClosedMs: output on its way to the end is no half-close yet', { maxHalfClosedMs: 10_000 }, [
  [5_000, { localEnded: true, unsentBytes: 9 }, 'none'],
  [20_000, { bytesAccepted: 4 }, 'none'],
  [22_000, {}, { verdict: 'suspect', condition: 'write-stalled' }, ...SUSPECTED],
  [25_000, { bytesAccepted: 8 }, 'none', 'keep-alive off'],
  [
    30_000,
    { bytesAccepted: 9, unsentBytes: 0, localFinished: true },
    { verdict: 'none', condition: 'fin-wait' },
  ],
  [39_999, { bytesRead: 1 }, 'none'],
  [40_000, { bytesRead: 2 }, 'leaked', ...SUSPECTED, ...LEAKED],
])

story('maxHalfClosedMs: what both sides have closed is no half-close', { maxHalfClosedMs: 10_000 }, [
  [5_000, APP_ENDS, { condition: 'fin-wait' }],
  [14_000, { eofReceived: true, unreadBytes: 90 }, { verdict: 'none', condition: 'closed-unread' }],
  [16_000, { unreadBytes: 80 }, 'none'],
  [26_000, { unreadBytes: 70 }, 'none'],
])

// What is done.

story('report: nothing is ever done', { action: 'report' }, [
  [5_000, PEER_ENDS, 'none'],
  [65_000, {}, 'leaked', ...SUSPECTED, ...LEAKED],
  [900_000, {}, 'leaked'],
])

story('end: then let go, then reset, each when the one before has not closed it', { action: 'end' }, [
  [5_000, PEER_ENDS, 'none'],
  [65_000, {}, 'leaked', ...SUSPECTED, ...LEAKED, 'deed end'],
  [69_999, { localEnded: true, unsentBytes: 10 }, { verdict: 'leaked', condition: 'eof-ignored' }],
  [70_000, {}, 'leaked', 'deed let-go'],
  [74_999, {}, 'leaked'],
  [75_000, {}, 'leaked', 'deed reset'],
  [99_000, {}, 'leaked'],
  [99_001, 'closed', { verdict: 'reclaimed', condition: 'eof-ignored' }, 'announce reclaimed'],
])

story('end: a deed that works is the last one', { action: 'end' }, [
  [5_000, PEER_ENDS, 'none'],
  [65_000, {}, 'leaked', ...SUSPECTED, ...LEAKED, 'deed end'],
  [65_001, 'closed', { verdict: 'reclaimed' }, 'announce reclaimed'],
])

story('end: the next deed follows even when the trouble seems gone', { action: 'end' }, [
  [5_000, PEER_ENDS, 'none'],
  [65_000, {}, 'leaked', ...SUSPECTED, ...LEAKED, 'deed end'],
  // Ended on both sides, and yet not closed: an application may override what closes it.
  [66_000, APP_ENDS, 'leaked'],
  [70_000, {}, 'leaked', 'deed let-go'],
])

story('end: late looks make the ladder late, never faster', { action: 'end', escalateMs: 1_000 }, [
  [5_000, PEER_ENDS, 'none'],
  [65_000, {}, 'leaked', ...SUSPECTED, ...LEAKED, 'deed end'],
  [90_000, { localEnded: true, unsentBytes: 10 }, 'leaked', 'deed let-go'],
  [90_999, {}, 'leaked'],
  [91_000, {}, 'leaked', 'deed reset'],
])

story('escalateMs 0: a deed at every look', { action: 'end', escalateMs: 0 }, [
  [5_000, PEER_ENDS, 'none'],
  [65_000, {}, 'leaked', ...SUSPECTED, ...LEAKED, 'deed end'],
  [65_000, {}, 'leaked', 'deed let-go'],
  [65_000, {}, 'leaked', 'deed reset'],
  [65_000, {}, 'leaked'],
])

story('unread input is thrown away before the end', { action: 'end' }, [
  [5_000, { eofReceived: true, unreadBytes: 500 }, 'none'],
  [65_000, {}, 'leaked', ...SUSPECTED, ...LEAKED, 'deed resume-end'],
  [70_000, {}, 'leaked', 'deed let-go'],
])

story('blocked output: reset at once when the application has ended', { action: 'end' }, [
  [5_000, { localEnded: true, unsentBytes: 500 }, 'none'],
  [65_000, {}, 'leaked', ...SUSPECTED, ...LEAKED, 'deed reset'],
  [70_000, {}, 'leaked', 'deed let-go'],
])

story('destroy', { action: 'destroy' }, [
  [5_000, PEER_ENDS, 'none'],
  [65_000, {}, 'leaked', ...SUSPECTED, ...LEAKED, 'deed destroy'],
  [70_000, {}, 'leaked', 'deed reset'],
])

story('reset', { action: 'reset' }, [
  [5_000, PEER_ENDS, 'none'],
  [65_000, {}, 'leaked', ...SUSPECTED, ...LEAKED, 'deed reset'],
  [70_000, {}, 'leaked', 'deed destroy'],
])

story('a function is asked once, and its answer comes back as an event', { action: () => 'destroy' }, [
  [5_000, PEER_ENDS, 'none'],
  [65_000, {}, 'leaked', ...SUSPECTED, ...LEAKED],
  [65_000, { decided: 'destroy' }, 'leaked', 'deed destroy'],
  [70_000, {}, 'leaked', 'deed reset'],
  [75_000, 'closed', { verdict: 'reclaimed' }, 'announce reclaimed'],
])

story('a function that only wants a report', { action: () => 'report' }, [
  [5_000, PEER_ENDS, 'none'],
  [65_000, {}, 'leaked', ...SUSPECTED, ...LEAKED],
  [65_000, { decided: 'report' }, 'leaked'],
  [99_000, {}, 'leaked'],
  [99_001, 'closed', { verdict: 'recovered' }, 'announce recovered'],
])

// Death.

story('dead: two turns of the event loop must agree, then it is destroyed without grace', {}, [
  [5_000, { ...PEER_ENDS, disconnected: true }, { verdict: 'none', condition: 'reset-unseen' }],
  [5_010, { sameTurn: true }, 'none'],
  [5_020, {}, { acted: 'dead' }, 'deed destroy'],
  [5_021, 'closed', { verdict: 'dead', condition: 'reset-unseen' }, 'announce dead'],
])

story('dead: destroy() that does not close it is not the last word', {}, [
  [5_000, { ...PEER_ENDS, disconnected: true }, 'none'],
  [5_020, {}, { acted: 'dead' }, 'deed destroy'],
  [10_019, {}, 'none'],
  [10_020, {}, 'none', 'deed reset'],
  [60_000, {}, 'none'],
  [60_001, 'closed', { verdict: 'dead' }, 'announce dead'],
])

story('dead: one look that says otherwise starts the proof again', {}, [
  [5_000, { ...PEER_ENDS, disconnected: true }, 'none'],
  [5_010, { disconnected: false }, 'none'],
  [5_020, { disconnected: true }, 'none'],
  [5_030, { disconnected: null }, 'none'],
  [5_040, { disconnected: true }, 'none'],
  [5_050, {}, { acted: 'dead' }, 'deed destroy'],
])

story('dead, while suspect or leaked', {}, [
  [5_000, PEER_ENDS, 'none'],
  [65_000, {}, 'leaked', ...SUSPECTED, ...LEAKED],
  [70_000, { disconnected: true }, { verdict: 'leaked', condition: 'reset-unseen' }],
  [70_050, {}, { acted: 'dead' }, 'deed destroy'],
  [70_051, 'closed', { verdict: 'dead' }, 'announce dead'],
])

story('dead, and reclaimDead is off: only grace counts', { reclaimDead: false }, [
  [5_000, { ...PEER_ENDS, disconnected: true }, 'none'],
  [6_000, {}, 'suspect', ...SUSPECTED],
  [65_000, {}, 'leaked', ...LEAKED],
  [99_000, {}, 'leaked'],
])

const CLOSED_UNREAD = { ...APP_ENDS, eofReceived: true, disconnected: true }

story('dead with bytes unread is left to the application, and reclaimed once they are read', {}, [
  [5_000, { ...CLOSED_UNREAD, unreadBytes: 500 }, { condition: 'closed-unread' }],
  [10_000, {}, 'suspect', ...SUSPECTED],
  [65_000, {}, 'leaked', ...LEAKED],
  [70_000, { unreadBytes: 100 }, 'recovered', ...RECOVERED],
  [70_500, { unreadBytes: 0, eofConsumed: true }, { acted: 'dead' }, 'deed destroy'],
  [70_501, 'closed', { verdict: 'dead' }, 'announce dead'],
])

story('dead with bytes unread: a leak like any other, for an action', { action: 'end' }, [
  [5_000, { ...CLOSED_UNREAD, unreadBytes: 500 }, 'none'],
  [65_000, {}, 'leaked', ...SUSPECTED, ...LEAKED, 'deed let-go'],
  [65_001, 'closed', { verdict: 'reclaimed' }, 'announce reclaimed'],
])

story('closed by the application between proof and deed: still the guard’s', {}, [
  [5_000, { ...PEER_ENDS, disconnected: true }, 'none'],
  [5_020, {}, { acted: 'dead' }, 'deed destroy'],
  [5_020, 'closed', { verdict: 'dead' }, 'announce dead'],
])

// Exempt.

story('exempt: no grace runs, whatever happens', { exempt: true, action: 'destroy', maxHalfClosedMs: 1 }, [
  [5_000, PEER_ENDS, { verdict: 'exempt', condition: 'eof-ignored' }],
  [900_000, {}, 'exempt'],
  [900_001, 'closed', { verdict: 'exempt' }],
])

story('exempt: proven death is still acted on', { exempt: true }, [
  [5_000, PEER_ENDS, 'exempt'],
  [90_000, { disconnected: true }, 'exempt'],
  [90_050, {}, { acted: 'dead' }, 'deed destroy'],
  [90_051, 'closed', { verdict: 'dead' }, 'announce dead'],
])

void t.test('no longer exempt: judged like any other', async (t) => {
  const judgement = new Judgement()
  judgement.apply(5_000, { ...PEER_ENDS, bytesAccepted: 1 }, { ...POLICY, exempt: true })
  judgement.apply(90_000, { bytesAccepted: 2 }, POLICY)
  t.equal(judgement.state?.verdict, 'none')
  t.same(judgement.apply(91_000, {}, POLICY).map(say), SUSPECTED)
})

// By request.

story('reclaim() on a healthy socket', {}, [
  [5_000, { decided: 'end' }, { verdict: 'none', acted: 'reclaim' }, 'deed end'],
  [9_999, APP_ENDS, { verdict: 'none', condition: null }],
  [10_000, {}, 'none', 'deed let-go'],
  [15_000, {}, 'none', 'deed reset'],
  [15_001, 'closed', { verdict: 'reclaimed' }, 'announce reclaimed'],
])

story('reclaim() on a socket that is probed: after that only deeds are done', { escalateMs: 60_000 }, [
  [5_000, { reading: false }, 'none'],
  [65_000, {}, 'none', 'keep-alive on'],
  [66_000, { decided: 'end' }, 'none', 'deed end'],
  [67_000, { reading: true, bytesRead: 9, ...APP_ENDS }, 'none'],
  [68_000, 'closed', { verdict: 'reclaimed' }, 'announce reclaimed'],
])

story('reclaim() on a leaked socket, while the policy only reports', {}, [
  [5_000, { eofReceived: true, unreadBytes: 9 }, 'none'],
  [65_000, {}, 'leaked', ...SUSPECTED, ...LEAKED],
  [80_000, { decided: 'end' }, 'leaked', 'deed resume-end'],
  [80_001, 'closed', { verdict: 'reclaimed', condition: 'eof-unread' }, 'announce reclaimed'],
])

story('reclaim() again takes the ladder from its new beginning', { action: 'end' }, [
  [5_000, PEER_ENDS, 'none'],
  [65_000, {}, 'leaked', ...SUSPECTED, ...LEAKED, 'deed end'],
  [66_000, { decided: 'reset' }, 'leaked', 'deed reset'],
  [70_999, {}, 'leaked'],
  [71_000, {}, 'leaked', 'deed destroy'],
])

story('a healthy socket closes', {}, [[5_000, 'closed', '-']])

// Closed is closed: a listener that is told of the leak may close the socket before the policy is asked.

story('closed while suspect: nothing is done to it any more', { action: () => 'destroy' }, [
  [5_000, PEER_ENDS, 'none'],
  [65_000, {}, 'leaked', ...SUSPECTED, ...LEAKED],
  [65_000, 'closed', { verdict: 'recovered', isClosed: true }, 'announce recovered'],
  [65_000, { decided: 'destroy' }, 'recovered'],
  [65_001, 'closed', 'recovered'],
  [99_000, {}, 'recovered'],
])

story('closed by the guard: told once', { action: 'end' }, [
  [5_000, PEER_ENDS, 'none'],
  [65_000, {}, 'leaked', ...SUSPECTED, ...LEAKED, 'deed end'],
  [65_001, 'closed', { verdict: 'reclaimed' }, 'announce reclaimed'],
  [65_002, 'closed', 'reclaimed'],
  [65_003, { decided: 'reset' }, 'reclaimed'],
  [75_000, {}, 'reclaimed'],
])

void t.test('what falls due next, if nothing more is seen', async (t) => {
  const judgement = new Judgement()
  const due = (policy: Partial<JudgementPolicy> = {}) =>
    nextDueMs(judgement.state!, { ...POLICY, action: 'end', ...policy })
  judgement.apply(5_000, PEER_ENDS, POLICY)
  t.equal(due(), Infinity, 'nothing is due to what is no suspect yet')
  t.equal(due({ maxHalfClosedMs: 7_000 }), 12_000, 'but for the cap')
  judgement.apply(10_000, {}, POLICY)
  t.equal(due(), 65_000, 'the end of the grace')
  t.equal(due({ maxHalfClosedMs: 7_000 }), 12_000, 'or the cap, if that is earlier')
  t.equal(due({ maxHalfClosedMs: 70_000 }), 65_000)
  t.equal(due({ exempt: true }), Infinity)
  judgement.apply(20_000, { disconnected: true }, { ...POLICY, reclaimDead: false })
  t.equal(due(), 80_000, 'of the grace for what is new')
  judgement.apply(80_000, {}, { ...POLICY, reclaimDead: false, action: 'report' })
  t.equal(judgement.state?.verdict, 'leaked')
  t.equal(due(), Infinity)
  judgement.apply(81_000, { decided: 'destroy' }, POLICY)
  t.equal(due(), 86_000, 'the next deed')
  judgement.apply(86_000, {}, POLICY)
  t.equal(due(), Infinity, 'until there is none left')
})
