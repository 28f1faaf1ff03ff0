/** Where one answer passes into the next: the bounds of numbers, beginnings, and what is told of a death. */
import t from 'tap'
import { classify } from '../../src/judge/classify.js'
import type { Facts } from '../../src/judge/facts.js'
import { nextDueMs, step, type JudgementPolicy, type Trouble } from '../../src/judge/lifecycle.js'
import { blankTrouble, type Observation } from '../../src/judge/trouble.js'
import { HEALTHY, kernel, POLICY } from './story.js'

type Sight = Partial<Omit<Observation, 'facts'>> & { readonly facts?: Partial<Facts> }

/** One look, at 1,000 ms unless it says otherwise. */
function look(sight: Sight, previous: Trouble | null = null, policy: Partial<JudgementPolicy> = {}) {
  const { facts, ...rest } = sight
  const observation = { nowMs: 1000, turn: 1, endedMs: null, abandonedMs: null, ...rest }
  return step(
    previous,
    { type: 'observed', ...observation, facts: { ...HEALTHY, ...facts } },
    { ...POLICY, ...policy },
  )
}

function lookAll(sights: readonly Sight[], policy: Partial<JudgementPolicy> = {}): Trouble {
  let state: Trouble | null = null
  for (const [turn, sight] of sights.entries()) ({ state } = look({ turn, ...sight }, state, policy))
  return state!
}

const conditionOf = (facts: Partial<Facts>) => classify({ ...HEALTHY, ...facts }, true)?.condition ?? null

t.test('16 KiB unread are a closed window', async (t) => {
  const unread = (unreadBytes: number) => ({ reading: false, kernel: kernel({ unreadBytes }) })
  t.equal(conditionOf(unread(16_383)), null)
  t.equal(conditionOf(unread(16_384)), 'window-closed')
  t.match(classify({ ...HEALTHY, ...unread(16_384), asked: true }, true), { isStall: true, seenBy: 'kernel' })
})

t.test('a single byte that does not leave stalls', async (t) => {
  t.equal(conditionOf({ unsentBytes: 1 }), 'write-stalled')
  t.equal(conditionOf({ unsentBytes: 1, eofReceived: true, eofConsumed: true }), 'write-stalled')
  t.equal(conditionOf({ unsentBytes: 1, localEnded: true }), 'write-stalled')
})

t.test('what connects is nothing yet, and who met himself is told while he reads', async (t) => {
  t.equal(conditionOf({ connecting: true, eofReceived: true, eofConsumed: true }), null)
  t.equal(conditionOf({ selfConnected: true }), 'self-connected')
  t.equal(conditionOf({ selfConnected: true, reading: false }), null)
})

t.test(
  'an HTTP/2 session at rest is at most a stall, unless its peer has ended behind blocked output',
  async (t) => {
    const session = { held: null, isClosed: false, openStreams: 1 }
    const held = { unreadBytes: 9, unsentBytes: 0, movedMs: 0 }
    const found = (facts: Partial<Facts>, idle = true) => classify({ ...HEALTHY, ...facts }, idle)
    t.equal(found({ session }), null)
    t.match(found({ session: { ...session, isClosed: true } }), { condition: 'fin-wait', isStall: true })
    t.equal(found({ session: { ...session, isClosed: true } }, false), null)
    t.match(found({ session: { ...session, held, isClosed: true } }), {
      condition: 'window-closed',
      isStall: true,
    })
    const blocked = { unsentBytes: 1, kernel: kernel({ peerEnded: true }) }
    t.same(found({ session, ...blocked }), { condition: 'write-stalled', seenBy: 'kernel', isStall: false })
    t.match(found(blocked), { condition: 'write-stalled', seenBy: 'stream', isStall: true })
    t.match(found({ session, unsentBytes: 1, kernel: kernel({}) }), { isStall: true })
  },
)

t.test('a stream of HTTP/2 that holds data says when a byte has moved', async (t) => {
  const holding = (movedMs: number) => ({
    session: { held: { unreadBytes: 9, unsentBytes: 0, movedMs }, isClosed: false, openStreams: 2 },
  })
  const first = { nowMs: 1000, facts: holding(1000) }
  const still = { nowMs: 9000, facts: { ...holding(1000), bytesRead: 500, bytesAccepted: 500 } }
  t.match(lookAll([first, still]), { progressMs: 1000, condition: 'window-closed' })
  t.match(lookAll([first, still, { nowMs: 9900, facts: holding(9500) }]), {
    progressMs: 9500,
    condition: null,
  })
})

t.test('a closed session that rests has done so since the last byte', async (t) => {
  const facts = { session: { held: null, isClosed: true, openStreams: 0 } }
  const state = lookAll([{ facts }, { nowMs: 9000, facts }])
  t.match(state, { condition: 'fin-wait', isStall: true, sinceMs: 1000 })
})

t.test('a death that Node was told of', async (t) => {
  const dead = (state: Trouble | null) => step(state, { type: 'closed', nowMs: 7, died: true }, POLICY)
  t.same(dead(null), {
    state: { ...blankTrouble(7), verdict: 'dead', seenBy: 'stream', deadTurn: 0, isClosed: true },
    effects: [{ type: 'announce', event: 'dead' }],
  })
  const leaked: Trouble = { ...blankTrouble(1), verdict: 'leaked', seenBy: 'kernel', sinceMs: 3, deadTurn: 5 }
  t.same(dead(leaked).state, { ...leaked, verdict: 'dead', seenBy: 'stream', isClosed: true })
  t.same(dead({ ...leaked, acted: 'reclaim' }).effects, [{ type: 'announce', event: 'reclaimed' }])
  t.same(step(leaked, { type: 'closed', nowMs: 7 }, POLICY).effects, [
    { type: 'announce', event: 'recovered' },
  ])
})

t.test('before anything is seen there is nothing', async (t) => {
  t.same(blankTrouble(5), {
    verdict: 'none',
    condition: null,
    phase: 'open',
    seenBy: 'stream',
    isStall: false,
    sinceMs: 5,
    progressMs: 5,
    restSinceMs: 5,
    halfClosedMs: -1,
    bytesRead: 0,
    bytesAccepted: 0,
    unreadBytes: 0,
    kernel: null,
    deadTurn: -1,
    ladder: [],
    nextDeedMs: 0,
    acted: 'no',
    recoveredMs: 0,
    probing: false,
    isClosed: false,
  })
})

const FULL = { reading: false, kernel: kernel({ unreadBytes: 90_000 }) }

t.test(
  'a suspect that is asked for after all is no suspect; a stall falls due by its own grace',
  async (t) => {
    const suspect = [
      { nowMs: 0, facts: FULL },
      { nowMs: 1000, facts: FULL },
      { nowMs: 2000, facts: FULL },
    ]
    t.equal(lookAll(suspect).verdict, 'suspect')
    const asked = { nowMs: 2001, facts: { ...FULL, asked: true } }
    const stall = lookAll([...suspect, asked], { stallGraceMs: 30_000 })
    t.match(stall, { verdict: 'none', condition: 'window-closed', isStall: true, restSinceMs: 0 })
    t.equal(nextDueMs(stall, { ...POLICY, stallGraceMs: 30_000 }), 30_000)
    t.equal(nextDueMs({ ...stall, verdict: 'stalled' }, POLICY), Infinity)
  },
)

t.test('half a short grace is time to settle', async (t) => {
  const ended = { eofReceived: true, eofConsumed: true }
  const after = (ms: number) =>
    lookAll(
      [
        { nowMs: 1000, endedMs: 1000, facts: ended },
        { nowMs: 1000 + ms, endedMs: 1000, facts: ended },
      ],
      {
        graceMs: 1000,
      },
    ).verdict
  t.equal(after(499), 'none')
  t.equal(after(500), 'suspect')
})

t.test('what recovers has recovered now, or goes on in the same trouble', async (t) => {
  const leaked = lookAll([0, 1000, 70_000].map((nowMs) => ({ nowMs, facts: FULL })))
  t.match(leaked, { verdict: 'leaked', seenBy: 'kernel', sinceMs: 0 })
  t.match(look({ nowMs: 80_000, turn: 9 }, leaked).state, {
    verdict: 'recovered',
    condition: null,
    seenBy: 'stream',
    sinceMs: 80_000,
  })
  const finWait = { localEnded: true, localFinished: true }
  const waiting = lookAll([0, 1000, 70_000].map((nowMs) => ({ nowMs, endedMs: 0, facts: finWait })))
  t.match(look({ nowMs: 80_000, turn: 9, endedMs: 0, facts: { ...finWait, bytesRead: 1 } }, waiting).state, {
    verdict: 'recovered',
    condition: 'fin-wait',
    sinceMs: 0,
  })
})

t.test('without any grace, who is not read is probed after a millisecond', async (t) => {
  const { state } = look({ facts: { reading: false } }, null, { graceMs: 0 })
  t.notOk(state!.probing)
  t.ok(look({ nowMs: 1001, turn: 2, facts: { reading: false } }, state, { graceMs: 0 }).state!.probing)
})

t.test('bytes for a client that is closed are no progress, others are', async (t) => {
  const ended = { eofReceived: true, eofConsumed: true }
  for (const [facts, verdict] of [
    [{ abandoned: 'for-nobody' }, 'leaked'],
    [{ abandoned: 'waiting' }, 'none'],
    [{ abandoned: 'for-nobody', ...ended }, 'none'],
  ] as const) {
    const sights = [0, 30_000, 59_000, 61_000].map((nowMs) => ({
      nowMs,
      endedMs: 0,
      abandonedMs: 0,
      facts: { ...facts, bytesRead: nowMs },
    }))
    t.equal(lookAll(sights).verdict, verdict, JSON.stringify(facts))
  }
})

t.test('since when', async (t) => {
  const ended = { eofReceived: true, eofConsumed: true }
  const finWait = { localEnded: true, localFinished: true }
  const closedUnread = { ...finWait, eofReceived: true }
  const closedUnseen = { ...finWait, reading: false, kernel: kernel({ peerEnded: true }) }
  for (const [name, sight, sinceMs] of [
    ['the peer ended, seen', { endedMs: 500, facts: ended }, 500],
    ['the peer ended, when is not known', { facts: ended }, 1000],
    ['we ended, seen', { endedMs: 500, facts: finWait }, 500],
    ['we ended, when is not known', { facts: finWait }, 1000],
    ['both ended', { endedMs: 500, facts: closedUnread }, 500],
    ['both ended, of which the kernel alone knows', { endedMs: 500, facts: closedUnseen }, 1000],
    ['abandoned, seen', { abandonedMs: 500, facts: { abandoned: 'waiting' } }, 500],
    ['abandoned, when is not known', { facts: { abandoned: 'waiting' } }, 1000],
    ['closing in good order', { endedMs: 500, facts: { ...ended, ...finWait } }, 500],
  ] as const) {
    t.equal(look(sight).state!.sinceMs, sinceMs, name)
  }
  const before = look({ nowMs: 800 }).state
  t.equal(
    look({ endedMs: 500, turn: 2, facts: finWait }, before).state!.sinceMs,
    800,
    'our FIN left with the last byte',
  )
})

t.test('the time of a stall is nobody’s fault once one side has ended', async (t) => {
  const blocked = { unsentBytes: 9 }
  const stalled = lookAll([0, 2000, 70_000].map((nowMs) => ({ nowMs, facts: blocked })))
  t.match(stalled, { verdict: 'stalled', sinceMs: 0 })
  const ended = { turn: 9, nowMs: 80_000, facts: { ...blocked, localEnded: true } }
  t.equal(look({ ...ended, endedMs: 75_000 }, stalled).state!.sinceMs, 75_000)
  t.equal(look(ended, stalled).state!.sinceMs, 80_000)
})

t.test('the cap counts from the half-close, also while its output stalls', async (t) => {
  const blocked = { unsentBytes: 9 }
  const capOf = (facts: Partial<Facts>, endedMs: number | null = 500) =>
    lookAll([
      { nowMs: 0, facts: { unsentBytes: 9 } },
      { nowMs: 2000, endedMs, facts },
    ]).halfClosedMs
  t.equal(capOf({ ...blocked, eofReceived: true, eofConsumed: true }), 500)
  t.equal(capOf({ ...blocked, eofReceived: true, eofConsumed: true }, null), 2000)
  t.equal(capOf({ ...blocked, eofReceived: true, eofConsumed: true, localEnded: true }), -1)
  t.equal(capOf(blocked, null), -1)
  t.equal(capOf({ eofReceived: true, writable: false }), -1, 'closed-unread')
})
