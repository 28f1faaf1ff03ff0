/**
 * Does the report lead to the right code in applications as others write them? Some forty leaks on real packages, with the
 * guard preloaded and nothing else, and behind adapters. A wrong name is worse than none: there may be no single one.
 */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { SocketReport } from '../../src/index.js'
import { PACKAGE_ROOT, REGISTER } from '../support/package-root.js'
import { runNode } from '../support/run-node.js'
import { judgeNaming, type Judgement } from './judge-naming.js'
import { SCENARIOS, type Scenario } from './scenarios.js'

t.setTimeout(120_000)

const PROGRAM = join(PACKAGE_ROOT, 'build', 'test', 'field', 'leaky-apps.js')

/** Of ten leaks at least so many. */
const RIGHT_OF_TEN = 9

interface Named {
  readonly scenario: Scenario
  readonly judgement: Judgement
}

async function campaign(t: Test, how: 'preload' | 'adapters', stacks: 'always' | 'off'): Promise<Named[]> {
  const env = {
    SOCKET_LEAK_GUARD_STACKS: stacks,
    SOCKET_LEAK_GUARD_SWEEP_MS: '60000',
    // What is dead must stay until the end.
    SOCKET_LEAK_GUARD_RECLAIM_DEAD: 'false',
    // The package http-proxy calls what is deprecated.
    NODE_NO_WARNINGS: '1',
  }
  const outcome = await runNode(['--require', REGISTER, PROGRAM, how], { env, cwd: PACKAGE_ROOT })
  t.match(outcome, { code: 0, stderr: '' })
  const found = JSON.parse(outcome.stdout) as Record<string, SocketReport | null>
  return SCENARIOS.map((scenario) => ({ scenario, judgement: judgeNaming(scenario, found[scenario.id]!) }))
}

const idsOf = (named: readonly Named[], naming: string): string[] =>
  named
    .filter(({ judgement }) => judgement.naming === naming)
    .map(({ scenario, judgement }) => [scenario.id, ...judgement.because].join(' | '))

function checkTruth(t: Test, named: readonly Named[]): void {
  t.same(idsOf(named, 'wrong'), [], 'no wrong name')
  t.same(idsOf(named, 'missing'), [], 'everything leaks, and is in the report')
}

t.test('the truth is known of at least 24 leaks', async (t) => {
  t.ok(SCENARIOS.length >= 24)
  t.equal(new Set(SCENARIOS.map(({ id }) => id)).size, SCENARIOS.length)
})

for (const how of ['preload', 'adapters'] as const) {
  t.test(`${how}: with stacks nine leaks in ten are named`, async (t) => {
    const named = await campaign(t, how, 'always')
    checkTruth(t, named)
    const unnamed = idsOf(named, 'unnamed')
    const right = idsOf(named, 'right').length
    t.ok(right * 10 >= named.length * RIGHT_OF_TEN, `${right} of ${named.length}, not: ${unnamed.join(', ')}`)
  })

  t.test(`${how}: without stacks every request that is served is named`, async (t) => {
    const named = await campaign(t, how, 'off')
    checkTruth(t, named)
    const served = named.filter(({ scenario }) => scenario.leaks === 'inbound' && scenario.names.length > 0)
    t.ok(served.length > 15)
    t.same(idsOf(served, 'unnamed'), [])
    if (how === 'preload') return
    const routed = named.filter(({ scenario }) => scenario.names[0]?.includes('/:') === true)
    t.ok(routed.length > 10)
    for (const { scenario, judgement } of routed) {
      if (judgement.naming === 'unnamed') continue
      t.equal(judgement.site, scenario.names[0], `${scenario.id} by its route, not by a path`)
    }
  })
}
