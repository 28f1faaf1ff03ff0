/** What a listener does while it is told of a verdict comes back before the other effects of that verdict. */
import { Socket } from 'node:net'
import t, { type Test } from 'tap'
import { createAnnouncer, type GuardListener } from '../../src/act/announcer.js'
import type { Executor } from '../../src/act/executor.js'
import { createJudge } from '../../src/act/apply.js'
import { createDetached } from '../../src/base/detached.js'
import { Ledger } from '../../src/core/ledger.js'
import type { ActionChooser } from '../../src/judge/policy.js'
import { SocketRecord } from '../../src/socket/record.js'
import { DEFAULTS } from '../../src/options/options.js'
import { HEALTHY } from '../judge/story.js'
import { sampleSocket } from '../core/sample-socket.js'

interface Scene {
  readonly told: string[]
  readonly deeds: string[]
  close(): void
  reclaim(): void
}

/** A socket whose end was seen a minute ago is looked at: it is called suspect and leaked in one step. */
function leak(t: Test, action: ActionChooser, listen: (type: string, scene: Scene) => void): Scene {
  const ledger = new Ledger<SocketRecord>()
  const announcer = createAnnouncer()
  const deeds: string[] = []
  const executor: Executor = {
    isActing: () => false,
    perform: (_socket, deed) => deeds.push(deed),
    setKeepAlive: () => {},
    setUserTimeout: () => {},
    restore: () => {},
  }
  let nowMs = 5_000
  const judge = createJudge({
    ledger,
    runDetached: createDetached(),
    executor,
    announcer,
    now: () => nowMs,
    isActive: () => true,
    policyOf: ({ policy }) => policy,
    describe: () => sampleSocket(),
    effectiveGraceMs: (graceMs) => graceMs,
    urge: () => {},
  })
  const socket = new Socket()
  t.teardown(() => socket.destroy())
  const record = new SocketRecord(1, socket, 'inbound', 1, { ...DEFAULTS, action })
  const scene: Scene = {
    told: [],
    deeds,
    close: () => judge.apply(record, { type: 'closed', nowMs }),
    reclaim: () => judge.apply(record, { type: 'decided', nowMs, action: 'reset', localEnded: false }),
  }
  const listener: GuardListener = ({ type }) => {
    scene.told.push(type)
    listen(type, scene)
  }
  announcer.subscribe(listener)
  for (nowMs of [5_000, 70_000]) {
    const facts = { ...HEALTHY, eofReceived: true, eofConsumed: true }
    judge.apply(record, { type: 'observed', nowMs, turn: nowMs, facts, endedMs: 5_000, abandonedMs: null })
  }
  for (const type of ['suspect', 'leaked', 'recovered', 'reclaimed'] as const) {
    t.equal(
      ledger.counts[type],
      scene.told.filter((told) => told === type).length,
      `${type}: counted as told`,
    )
  }
  return scene
}

t.test('closed by a listener: told no more, asked no more, nothing done', async (t) => {
  const asked: string[] = []
  const action: ActionChooser = () => {
    asked.push('asked')
    return 'destroy'
  }
  for (const [closeOn, told] of [
    ['suspect', ['suspect']],
    ['leaked', ['suspect', 'leaked', 'recovered']],
  ] as const) {
    const scene = leak(t, action, (type, { close }) => {
      if (type === closeOn) close()
    })
    t.same(scene.told, told)
    t.same(scene.deeds, [])
    t.same(asked, [])
  }
})

t.test('reclaimed by a listener: the policy is not asked as well', async (t) => {
  const action: ActionChooser = () => {
    t.fail('asked')
    return 'destroy'
  }
  const scene = leak(t, action, (type, { reclaim }) => {
    if (type === 'leaked') reclaim()
  })
  t.same(scene.told, ['suspect', 'leaked'])
  t.same(scene.deeds, ['reset'])
})

t.test('otherwise the policy is asked once', async (t) => {
  const scene = leak(
    t,
    () => 'destroy',
    () => {},
  )
  t.same(scene.told, ['suspect', 'leaked'])
  t.same(scene.deeds, ['destroy'])
})
