import t from 'tap'
import { LINT_RULES } from '../../src/core/vocabulary.js'
import { findingsIn, NOTHING_UNHEARD, type ServerFacts } from '../../src/lint/rules.js'

const HEALTHY: ServerFacts = {
  label: 'the HTTP server on port 3000',
  where: '/app/server.js:12',
  isFastify: false,
  requestTimeoutMs: 300_000,
  idleTimeoutMs: 0,
  keepAliveTimeoutMs: 5000,
  unheardEnds: NOTHING_UNHEARD,
  unheldUpgrades: NOTHING_UNHEARD,
}

const unheard = (connections: number, handler: string | null = null) => ({ connections, handler })

function rulesFor(server: Partial<ServerFacts>, loadBalancerIdleMs?: number): string[] {
  return findingsIn({ servers: [{ ...HEALTHY, ...server }], lostKeepAlives: [] }, { loadBalancerIdleMs }).map(
    ({ rule }) => rule,
  )
}

t.test("silent about Node's own defaults", async (t) => {
  t.same(rulesFor({}), [])
  t.same(rulesFor({ requestTimeoutMs: null, keepAliveTimeoutMs: null }, 60_000), [])
})

t.test('each rule speaks when its own evidence is there', async (t) => {
  t.same(rulesFor({ unheardEnds: unheard(3) }), ['half-open-unheard'])
  t.same(rulesFor({ unheldUpgrades: unheard(1) }), ['upgrade-unheld'])
  t.same(rulesFor({ requestTimeoutMs: 0 }), ['no-request-timeout'])
  t.same(rulesFor({ requestTimeoutMs: 0, idleTimeoutMs: 1000 }), [], 'an idle timeout ends it as well')
  t.same(rulesFor({}, 60_000), ['keep-alive-race'])
  t.same(rulesFor({ keepAliveTimeoutMs: 61_000 }, 60_000), [])
  t.same(rulesFor({ keepAliveTimeoutMs: 0 }, 60_000), [], '0 keeps connections for ever')
})

t.test('a finding says what, where and what to do', async (t) => {
  const findings = findingsIn(
    {
      servers: [{ ...HEALTHY, unheardEnds: unheard(2), unheldUpgrades: unheard(1), requestTimeoutMs: 0 }],
      lostKeepAlives: [{ remote: '10.0.0.5:443', connections: 3, where: null }],
    },
    { loadBalancerIdleMs: 60_000 },
  )
  t.same(findings.map(({ rule }) => rule).sort(), [...LINT_RULES].sort())
  for (const { message, remedy, where, rule } of findings) {
    t.ok(message.length > 20 && remedy.endsWith('.') && !/undefined|null|NaN/.test(message + remedy), rule)
    t.equal(where, rule === 'keep-alive-lost' ? null : '/app/server.js:12')
  }
})

t.test('a Fastify user is told of the option of Fastify', async (t) => {
  const server = { ...HEALTHY, requestTimeoutMs: 0, isFastify: true }
  const [finding, ...rest] = findingsIn({ servers: [server, server], lostKeepAlives: [] })
  t.match(finding, { message: /Fastify's default/, remedy: /Fastify\(\{ requestTimeout: / })
  t.same(rest, [], 'one server for each address of localhost is one to the reader')
})

t.test('twins are counted together, and the place of the handler is the better one', async (t) => {
  const servers = [
    { ...HEALTHY, unheardEnds: unheard(2) },
    { ...HEALTHY, unheardEnds: unheard(3, 'chat.js:7') },
  ]
  t.match(findingsIn({ servers, lostKeepAlives: [] }), [
    { message: / 5 connections when/, where: 'chat.js:7' },
  ])
})
