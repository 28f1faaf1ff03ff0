/** What holds for every sequence of events, likely or not. */
import fc from 'fast-check'
import t from 'tap'
import { isProvablyLossFree } from '../../src/judge/classify.js'
import type { Facts } from '../../src/judge/facts.js'
import { nextDueMs, type Trouble, type Effect, type JudgementPolicy } from '../../src/judge/lifecycle.js'
import { ACTIONS, EVENT_TYPES, type Verdict } from '../../src/core/vocabulary.js'
import { anyFacts } from './any-facts.js'
import { HEALTHY, Judgement, kernel, POLICY, say, type Happening, type Sight } from './story.js'

const duration = fc.oneof(fc.constantFrom(0, 1, 1_000, 60_000), fc.nat(100_000))

const anyPolicy: fc.Arbitrary<JudgementPolicy> = fc.record({
  graceMs: duration,
  maxHalfClosedMs: fc.option(fc.integer({ min: 1, max: 100_000 })),
  action: fc.constantFrom(...ACTIONS),
  escalateMs: duration,
  reclaimDead: fc.boolean(),
  stallGraceMs: duration,
  exempt: fc.boolean(),
})

/** A few of a socket's facts change: more like life than all of them at once. */
const anySight: fc.Arbitrary<Sight> = fc.oneof(
  { arbitrary: fc.constant({}), weight: 3 },
  {
    arbitrary: anyFacts.chain((facts) => fc.subarray(Object.entries(facts)).map(Object.fromEntries)),
    weight: 4,
  },
  { arbitrary: fc.record({ sameTurn: fc.constant(true as const), disconnected: fc.boolean() }), weight: 1 },
  {
    arbitrary: fc.constantFrom<Sight>(
      { eofReceived: true, eofConsumed: true },
      { eofReceived: true, eofConsumed: true, disconnected: true },
      { localEnded: true, localFinished: true },
      { localEnded: true, unsentBytes: 9 },
      { eofReceived: true, unreadBytes: 9 },
      { reading: false, kernel: kernel({ unreadBytes: 90_000 }) },
      HEALTHY,
    ),
    weight: 4,
  },
)

interface Step {
  /** Milliseconds since the step before. */
  readonly afterMs: number
  readonly happening: Happening
}

function stepsOf(happening: fc.Arbitrary<Happening>): fc.Arbitrary<Step[]> {
  return fc.array(fc.record({ afterMs: duration, happening }), { maxLength: 40 })
}

const sights: fc.Arbitrary<Step[]> = stepsOf(anySight)

const anything: fc.Arbitrary<Step[]> = stepsOf(
  fc.oneof(
    { arbitrary: anySight, weight: 12 },
    { arbitrary: fc.record({ decided: fc.constantFrom(...ACTIONS) }), weight: 1 },
    { arbitrary: fc.record({ blockedMs: duration }), weight: 1 },
    { arbitrary: fc.constant('closed' as const), weight: 1 },
  ),
)

interface Moment {
  readonly nowMs: number
  readonly happening: Happening
  readonly facts: Facts
  readonly before: Trouble | null
  readonly after: Trouble | null
  readonly effects: readonly Effect[]
}

function live(
  steps: readonly Step[],
  policy: JudgementPolicy | ((index: number) => JudgementPolicy),
): Moment[] {
  const judgement = new Judgement()
  let nowMs = 1_000
  return steps.map(({ afterMs, happening }, index) => {
    nowMs += afterMs
    const before = judgement.state
    const effects = judgement.apply(nowMs, happening, typeof policy === 'function' ? policy(index) : policy)
    return { nowMs, happening, facts: judgement.facts, before, after: judgement.state, effects }
  })
}

function isSight(happening: Happening): boolean {
  return happening !== 'closed' && !('decided' in happening) && !('blockedMs' in happening)
}

const isNoDeed = ({ type }: Effect) => type !== 'deed'
const isProbing = (effects: readonly Effect[]) => effects.some(({ type }) => type === 'keep-alive')
const deedsIn = ({ effects }: Moment) => effects.filter(({ type }) => type === 'deed')
const announcementsIn = ({ effects }: Moment) =>
  effects.flatMap((effect) => (effect.type === 'announce' ? [effect.event] : []))

/** @param numRuns enough for a few seconds in all, on a slow machine too */
function holds<T>(arbitrary: fc.Arbitrary<T>, predicate: (value: T) => boolean, numRuns = 400): void {
  fc.assert(fc.property(arbitrary, predicate), { numRuns })
}

// The story-teller freezes whatever goes in and comes out, so each of these would also find a write to it.

t.test('with the action "report" nothing is done but to what has died and loses nothing', async () => {
  holds(fc.tuple(sights, anyPolicy), ([steps, policy]) =>
    live(steps, { ...policy, action: 'report' }).every((moment) => {
      if (deedsIn(moment).length === 0) return true
      return (
        policy.reclaimDead &&
        moment.after?.acted === 'dead' &&
        // The first deed; the second only follows where it did not close the socket.
        (moment.before?.acted === 'dead' || isProvablyLossFree(moment.facts))
      )
    }),
  )
})

t.test('without reclaimDead not even to that', async () => {
  holds(fc.tuple(sights, anyPolicy), ([steps, policy]) =>
    live(steps, { ...policy, action: 'report', reclaimDead: false }).every(
      (moment) => deedsIn(moment).length === 0,
    ),
  )
})

t.test('no deed before the verdict is leaked, but by proof of death or by request', async () => {
  holds(fc.tuple(anything, anyPolicy), ([steps, policy]) => {
    let requested = false
    return live(steps, policy).every((moment) => {
      requested ||= typeof moment.happening === 'object' && 'decided' in moment.happening
      return (
        deedsIn(moment).length === 0 ||
        requested ||
        moment.after!.verdict === 'leaked' ||
        moment.after!.acted === 'dead'
      )
    })
  })
})

t.test('nothing is done to an exempt socket but by proof of death', async () => {
  holds(fc.tuple(sights, anyPolicy), ([steps, policy]) =>
    live(steps, { ...policy, exempt: true }).every(
      ({ after, effects }) =>
        (after?.acted === 'dead' || effects.length === 0) &&
        (after === null || after.verdict === 'exempt' || after.acted === 'dead'),
    ),
  )
})

t.test('dead is said only after two turns in which the kernel had closed the connection', async () => {
  holds(fc.tuple(sights, anyPolicy), ([steps, policy]) => {
    const moments = live(steps, { ...policy, reclaimDead: true, action: 'report' })
    return moments.every((moment, index) => {
      if (moment.after?.acted !== 'dead' || moment.before?.acted === 'dead') return true
      const earlier = moments[index - 1]
      return moment.facts.disconnected === true && earlier?.facts.disconnected === true
    })
  })
})

t.test('input that anybody knows to be unread keeps a dead socket from being reclaimed as dead', async () => {
  holds(fc.tuple(sights, anyPolicy), ([steps, policy]) => {
    const unread = steps.map(({ afterMs, happening }) => ({
      afterMs,
      happening: { ...(happening as Sight), readable: true, eofConsumed: false, unreadBytes: 5 },
    }))
    return live(unread, { ...policy, reclaimDead: true }).every(({ after }) => after?.acted !== 'dead')
  })
})

// Grace.

const PROGRESS: readonly ((count: number) => Sight)[] = [
  (count) => ({ bytesRead: count }),
  (count) => ({ bytesAccepted: count }),
  (count) => ({ unreadBytes: 10_000 - count }),
]

t.test('any mixture of progress, as long as no pause lasts a grace, never leaks', async () => {
  const trouble = fc.constantFrom<Sight>(
    { eofReceived: true, eofConsumed: true, unsentBytes: 9 },
    { eofReceived: true, unreadBytes: 10_000 },
    { localEnded: true, localFinished: true },
    { localEnded: true, unsentBytes: 9 },
    { localEnded: true, localFinished: true, eofReceived: true, unreadBytes: 10_000 },
    { reading: false, disconnected: true, unreadBytes: 10_000 },
    { reading: false, kernel: kernel({ unreadBytes: 90_000 }) },
    { selfConnected: true },
  )
  const moves = fc.array(fc.tuple(fc.nat(59_999), fc.constantFrom(...PROGRESS)), { maxLength: 40 })
  holds(fc.tuple(trouble, moves, fc.constantFrom(...ACTIONS)), ([first, progress, action]) => {
    const steps: Step[] = [{ afterMs: 0, happening: { unreadBytes: 10_000, ...first } }]
    for (const [index, [afterMs, move]] of progress.entries()) {
      // A look right before as well: between two moves a socket may well be found at rest.
      steps.push({ afterMs, happening: {} }, { afterMs: 0, happening: move(index + 1) })
    }
    return live(steps, { ...POLICY, action }).every(
      ({ effects, after }) => after?.verdict !== 'leaked' && effects.every(({ type }) => type !== 'deed'),
    )
  })
})

t.test('a long download, upload, poll, event stream or WebSocket is never even a suspect', async () => {
  const traffic = stepsOf(
    fc.record({
      unreadBytes: fc.nat(65_536),
      unsentBytes: fc.nat(1e7),
      bytesRead: fc.nat(1e9),
      bytesAccepted: fc.nat(1e9),
      kernel: fc
        .option(fc.record({ unread: fc.nat(1e6), unsent: fc.nat(4e6) }))
        .map((counts) =>
          counts === null ? null : kernel({ unreadBytes: counts.unread, unsentBytes: counts.unsent }),
        ),
      disconnected: fc.constantFrom(false, null),
    }),
  )
  holds(fc.tuple(traffic, anyPolicy), ([steps, policy]) =>
    live(steps, { ...policy, exempt: false }).every(
      ({ after, effects }) =>
        ['none', 'stalled'].includes(after!.verdict) && effects.every(isNoDeed) && !isProbing(effects),
    ),
  )
})

t.test(
  'back-pressure is no fault either, while the kernel holds little and the peer has not ended',
  async () => {
    const paused = stepsOf(
      fc.record({
        reading: fc.boolean(),
        unreadBytes: fc.nat(65_536),
        unsentBytes: fc.nat(1e7),
        kernel: fc.constantFrom(null, kernel({}), kernel({ unreadBytes: 9_000, unsentBytes: 4e6 })),
      }),
    )
    holds(fc.tuple(paused, anyPolicy), ([steps, policy]) =>
      live(steps, { ...policy, exempt: false }).every(
        ({ after, effects }) => ['none', 'stalled'].includes(after!.verdict) && effects.every(isNoDeed),
      ),
    )
  },
)

t.test('leaked is said only after a whole grace at rest, or over the cap', async () => {
  holds(fc.tuple(sights, anyPolicy), ([steps, policy]) =>
    live(steps, policy).every((moment) => {
      if (!announcementsIn(moment).includes('leaked')) return true
      const { after, nowMs, facts } = moment
      const { progressMs, sinceMs, restSinceMs, halfClosedMs, condition } = after!
      // Bytes for a client that is closed are for nobody.
      const countedMs = condition === 'abandoned' && facts.abandoned === 'for-nobody' ? 0 : progressMs
      const overCap =
        policy.maxHalfClosedMs !== null &&
        halfClosedMs !== -1 &&
        nowMs - halfClosedMs >= policy.maxHalfClosedMs
      return (
        condition !== null && (overCap || nowMs - Math.max(countedMs, sinceMs, restSinceMs) >= policy.graceMs)
      )
    }),
  )
})

t.test('no age is in the future, and idle time is never more than was watched', async () => {
  holds(fc.tuple(anything, anyPolicy), ([steps, policy]) => {
    let movedMs = 1_000
    let last: Facts = HEALTHY
    return live(steps, policy).every(({ nowMs, facts, before, after }) => {
      const hasMoved =
        facts.bytesRead > last.bytesRead ||
        facts.bytesAccepted > last.bytesAccepted ||
        facts.unreadBytes < last.unreadBytes
      if (before === null || (hasMoved && !before.isClosed)) movedMs = nowMs
      last = facts
      // A stream may stand still while its session moves bytes.
      if (facts.session?.held) movedMs = Math.min(movedMs, facts.session.held.movedMs)
      return (
        after === null || (after.sinceMs <= nowMs && after.progressMs <= nowMs && after.progressMs >= movedMs)
      )
    })
  })
})

t.test('a stall is said only of what is open both ways, after a whole grace of its own', async () => {
  holds(fc.tuple(sights, anyPolicy), ([steps, policy]) =>
    live(steps, policy).every((moment) => {
      if (!announcementsIn(moment).includes('stalled')) return true
      const { after, nowMs, facts } = moment
      const isOpen = !facts.eofReceived && !facts.localEnded
      return isOpen && nowMs - after!.restSinceMs >= policy.stallGraceMs && deedsIn(moment).length === 0
    }),
  )
})

// Verdicts and effects.

/** The documented ways from one verdict to the next, looks and requests alike. */
const WAYS: Readonly<Record<Verdict, readonly Verdict[]>> = {
  none: ['suspect', 'leaked', 'exempt', 'stalled'],
  suspect: ['none', 'leaked', 'exempt', 'stalled'],
  leaked: ['recovered', 'exempt'],
  recovered: ['none', 'suspect', 'leaked', 'exempt', 'stalled'],
  exempt: ['none', 'suspect', 'leaked', 'stalled'],
  stalled: ['none', 'suspect', 'leaked', 'exempt'],
  reclaimed: [],
  dead: [],
}

t.test('verdicts follow the documented ways', async () => {
  const policies = fc.array(anyPolicy, { minLength: 1, maxLength: 3 })
  holds(fc.tuple(anything, policies), ([steps, several]) =>
    live(steps, (index) => several[index % several.length]!).every(({ before, after, happening }) => {
      const from = before?.verdict ?? 'none'
      const to = after?.verdict ?? 'none'
      if (from === to) return true
      if (happening === 'closed')
        return to === 'reclaimed' || to === 'dead' || (from === 'leaked' && to === 'recovered')
      return WAYS[from].includes(to)
    }),
  )
})

t.test(
  'every change of verdict that has an event is announced, once, in order, and nothing else is',
  async () => {
    holds(fc.tuple(anything, anyPolicy), ([steps, policy]) =>
      live(steps, policy).every((moment) => {
        const told = announcementsIn(moment)
        const from = moment.before?.verdict ?? 'none'
        const to = moment.after?.verdict ?? 'none'
        if (from === to) return told.length === 0
        if (to === 'leaked' && from !== 'suspect') return told.join() === 'suspect,leaked'
        const isEvent = (EVENT_TYPES as readonly string[]).includes(to)
        return isEvent ? told.join() === to : told.length === 0
      }),
    )
  },
)

t.test('the policy is asked exactly when something is called leaked or stalled', async () => {
  holds(fc.tuple(anything, anyPolicy), ([steps, policy]) =>
    live(steps, policy).every((moment) => {
      const asked = moment.effects.filter(({ type }) => type === 'decide').length
      return (
        asked === announcementsIn(moment).filter((event) => event === 'leaked' || event === 'stalled').length
      )
    }),
  )
})

t.test('keep-alive goes on and off in turns, and is off on whatever is calm', async () => {
  const policies = fc.array(anyPolicy, { minLength: 1, maxLength: 3 })
  holds(fc.tuple(anything, policies), ([steps, several]) => {
    let on = false
    return live(steps, (index) => several[index % several.length]!).every(({ effects, after, facts }) => {
      for (const effect of effects) {
        if (effect.type !== 'keep-alive') continue
        if (effect.on === on) return false
        ;({ on } = effect)
      }
      const isCalm =
        after === null || (after.acted === 'no' && !['suspect', 'leaked'].includes(after.verdict))
      // A calm socket that nobody reads may be probed: it is the only way to learn that its peer is gone.
      return !on || !isCalm || after?.isClosed === true || (!facts.reading && facts.readable)
    })
  })
})

t.test('a ladder is climbed step by step, never faster than escalateMs', async () => {
  holds(fc.tuple(sights, anyPolicy), ([steps, policy]) => {
    let lastMs = -Infinity
    return live(steps, policy).every((moment) => {
      const deeds = deedsIn(moment).length
      if (deeds === 0) return true
      const inTime = deeds === 1 && moment.nowMs - lastMs >= policy.escalateMs
      lastMs = moment.nowMs
      return inTime
    })
  })
})

t.test('nothing comes after the close', async () => {
  holds(fc.tuple(anything, anything, anyPolicy), ([steps, later, policy]) => {
    const closing: Step = { afterMs: 0, happening: 'closed' }
    const moments = live([...steps, closing, ...later], policy)
    // A socket without a case that is closed leaves nothing behind.
    if (moments[steps.length]!.after === null) return true
    return moments
      .slice(steps.length + 1)
      .every(({ effects, before, after }) => effects.length === 0 && before === after)
  })
})

t.test('what falls due is never in the past, unless it was just put off by a moving byte', async () => {
  holds(fc.tuple(anything, anyPolicy), ([steps, policy]) =>
    live(steps, policy).every(({ after, nowMs, happening }) => {
      if (after === null || !isSight(happening)) return true
      const dueMs = nextDueMs(after, policy)
      return dueMs > nowMs || after.progressMs === nowMs || (after.acted !== 'no' && policy.escalateMs === 0)
    }),
  )
})

t.test('effects can be told', async (t) => {
  t.same(
    live([{ afterMs: 0, happening: { eofReceived: true, eofConsumed: true } }], {
      ...POLICY,
      graceMs: 0,
      action: 'end',
    }).flatMap(({ effects }) => effects.map(say)),
    ['keep-alive on', 'announce suspect', 'announce leaked', 'decide', 'deed end'],
  )
})
