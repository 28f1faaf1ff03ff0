import t from 'tap'
import { lint, LINT_RULES, type ServerFacts } from '../../src/core/lint.js'

const HEALTHY: ServerFacts = {
  kind: 'http',
  label: 'the HTTP server on port 3000',
  where: '/app/server.js:12',
  requestTimeoutMs: 300_000,
  keepAliveTimeoutMs: 5000,
  unheardEnds: 0,
  unheldUpgrades: 0,
}

function rulesFor(server: Partial<ServerFacts>, loadBalancerIdleMs?: number): string[] {
  return lint({ servers: [{ ...HEALTHY, ...server }], lostKeepAlives: [] }, { loadBalancerIdleMs }).map(
    ({ rule }) => rule,
  )
}

t.test("silent about Node's own defaults", async (t) => {
  t.same(rulesFor({}), [])
  t.same(rulesFor({ kind: 'net', requestTimeoutMs: null, keepAliveTimeoutMs: null }, 60_000), [])
})

t.test('each rule speaks when its own evidence is there', async (t) => {
  t.same(rulesFor({ unheardEnds: 3 }), ['half-open-unheard'])
  t.same(rulesFor({ unheldUpgrades: 1 }), ['upgrade-unheld'])
  t.same(rulesFor({ requestTimeoutMs: 0 }), ['no-request-timeout'])
  t.same(rulesFor({}, 60_000), ['keep-alive-race'])
  t.same(rulesFor({ keepAliveTimeoutMs: 61_000 }, 60_000), [])
  t.same(rulesFor({ keepAliveTimeoutMs: 0 }, 60_000), [], '0 keeps connections for ever')
})

t.test('a finding says what, where and what to do', async (t) => {
  const findings = lint(
    {
      servers: [{ ...HEALTHY, unheardEnds: 2, unheldUpgrades: 1, requestTimeoutMs: 0 }],
      lostKeepAlives: ['10.0.0.5:443'],
    },
    { loadBalancerIdleMs: 60_000 },
  )
  t.same(findings.map(({ rule }) => rule).sort(), [...LINT_RULES].sort())
  for (const { message, remedy, where, rule } of findings) {
    t.ok(message.length > 20 && remedy.endsWith('.') && !/undefined|null|NaN/.test(message + remedy), rule)
    t.equal(where, rule === 'keep-alive-lost' ? null : '/app/server.js:12')
  }
})
