import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { CONDITIONS } from '../../src/core/vocabulary.js'
import {
  OPENMETRICS_CONTENT_TYPE,
  prefersOpenMetrics,
  PROMETHEUS_CONTENT_TYPE,
  renderOpenMetrics,
  renderPrometheus,
} from '../../src/report/prometheus.js'
import { hasPromtool, promtool } from '../support/promtool.js'
import type { Report } from '../../src/core/report.js'
import { arbitraryReport } from './arbitrary-report.js'
import { HEALTHY, LEAKY, sampleReport, sampleSocket } from './sample-reports.js'

interface Exposition {
  readonly types: Map<string, string>
  readonly series: Map<string, number>
}

/** Reads the text format 0.0.4 as strictly as its description: a line that is not understood is an error. */
function parseExposition(text: string): Exposition {
  const types = new Map<string, string>()
  const series = new Map<string, number>()
  const helped = new Set<string>()
  if (!text.endsWith('\n')) throw new Error('the last line does not end')
  for (const line of text.slice(0, -1).split('\n')) {
    const help = /^# HELP ([a-z_]+) (.+)$/.exec(line)
    const type = /^# TYPE ([a-z_]+) (gauge|counter|histogram)$/.exec(line)
    const sample =
      /^([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*"(?:,(?!\}))?)+\})? (-?[0-9.]+(?:e[+-][0-9]+)?)$/.exec(
        line,
      )
    if (help?.[1] !== undefined) helped.add(help[1])
    else if (type?.[1] !== undefined && type[2] !== undefined) types.set(type[1], type[2])
    else if (sample?.[1] !== undefined) {
      const key = sample[1] + (sample[2] ?? '')
      const family = sample[1].replace(/_(?:bucket|sum|count)$/, '')
      const name = types.get(family) === 'histogram' ? family : sample[1]
      if (!types.has(name) || !helped.has(name)) throw new Error(`no TYPE or HELP before ${key}`)
      if (series.has(key)) throw new Error(`${key} twice`)
      series.set(key, Number(sample[3]))
    } else throw new Error(`not understood: ${JSON.stringify(line)}`)
  }
  return { types, series }
}

t.test('the content type names the version of the format', async (t) => {
  t.equal(PROMETHEUS_CONTENT_TYPE, 'text/plain; version=0.0.4; charset=utf-8')
})

t.test('totals, conditions, ages and bytes', async (t) => {
  const { types, series } = parseExposition(renderPrometheus(LEAKY))
  const value = (key: string) => series.get(`socket_leak_guard_${key}`)
  t.equal(value('tracked_sockets'), 1284)
  t.equal(value('sockets{verdict="suspect"}'), 2)
  t.equal(value('sockets{verdict="leaked"}'), 4)
  t.equal(value('sockets{verdict="exempt"}'), 1)
  t.equal(value('outcomes_total{verdict="recovered"}'), 31)
  t.equal(value('outcomes_total{verdict="reclaimed"}'), 0)
  t.equal(value('outcomes_total{verdict="dead"}'), 6)
  t.equal(value('condition_sockets{condition="eof-ignored",verdict="leaked"}'), 2)
  t.equal(value('condition_sockets{condition="eof-ignored",verdict="exempt"}'), 1)
  t.equal(value('condition_sockets{condition="fin-wait",verdict="leaked"}'), 0)
  t.equal(value('oldest_seconds{verdict="leaked"}'), 11_100)
  t.equal(value('oldest_seconds{verdict="suspect"}'), 21)
  t.equal(value('unread_bytes{verdict="leaked"}'), 1536 + 6_291_456)
  t.equal(value('unsent_bytes{verdict="leaked"}'), 0)
  t.equal(value('held_ports'), 3)
  t.equal(value('event_loop_stalls_total'), 2)
  t.equal(value('event_loop_stall_longest_seconds'), 4.2)
  t.equal(value('kernel_probe_info{probe="proc"}'), 1)
  for (const [name, type] of types)
    t.equal(type === 'counter', name.endsWith('_total'), `${name} is a ${type}`)
})

t.test('where they stand, where they came from, how long it took, and what the guard costs', async (t) => {
  const { types, series } = parseExposition(renderPrometheus(LEAKY))
  const value = (key: string) => series.get(`socket_leak_guard_${key}`)
  const stands = 'direction="inbound",phase="peer-ended",condition="eof-ignored",verdict="leaked"'
  t.equal(value(`judged_sockets{${stands}}`), 2)
  t.equal(
    value('judged_sockets{direction="inbound",phase="open",condition="none",verdict="exempt"}'),
    1,
    'odd without a condition',
  )
  t.equal(value('leaks_total{site="upgrade /chat"}'), 40)
  t.equal(value('leaked_sockets{site="other"}'), 1)
  t.equal(types.get('socket_leak_guard_half_closed_seconds'), 'histogram')
  const halfClosed = (le: string) => value(`half_closed_seconds_bucket{direction="inbound",le="${le}"}`)
  t.same(
    ['0.1', '0.5', '5.0', '60.0', '120.0', '86400.0', '+Inf'].map(halfClosed),
    [1, 1, 2, 2, 3, 3, 4],
    'cumulated',
  )
  t.equal(value('half_closed_seconds_sum{direction="inbound"}'), 0.08 + 4.2 + 61 + 90_000)
  t.equal(value('half_closed_seconds_count{direction="inbound"}'), 4)
  t.equal(value('half_closed_seconds_count{direction="outbound"}'), 0)
  t.equal(value('reclaim_seconds_bucket{le="60.0"}'), 0)
  t.equal(value('reclaim_seconds_bucket{le="120.0"}'), 1)
  t.equal(value('sweeps_total'), 2304)
  t.equal(value('sweep_seconds_total'), 1.2125)
  t.equal(value('sweep_longest_seconds'), 0.003_25)
  t.equal(value('faults_total{code="SLG_WARN_LISTENER"}'), 2)
  t.equal(value('faults_total{code="SLG_WARN_INTERNAL"}'), 0, 'there before the first one, for increase()')
})

t.test('OpenMetrics: the same series, other names of counters, and an end', async (t) => {
  t.equal(OPENMETRICS_CONTENT_TYPE, 'application/openmetrics-text; version=1.0.0; charset=utf-8')
  const text = renderPrometheus(LEAKY)
  const open = renderOpenMetrics(LEAKY)
  const samples = (of: string) => of.split('\n').filter((line) => !line.startsWith('#'))
  t.same(samples(open), samples(text))
  t.match(open, /\n# EOF\n$/)
  t.match(open, '\n# TYPE socket_leak_guard_outcomes counter\nsocket_leak_guard_outcomes_total{')
  t.notMatch(open, /^# .*_total/m)
})

t.test('OpenMetrics is for who prefers it', async (t) => {
  const prometheus =
    'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1'
  const cases: readonly [accept: string | undefined, isPreferred: boolean][] = [
    [undefined, false],
    ['', false],
    ['*/*', false],
    ['text/html', false],
    [prometheus, true],
    ['application/openmetrics-text', true],
    ['APPLICATION/OpenMetrics-Text; version=1.0.0; charset=utf-8', true],
    ['application/openmetrics-text; version=0.0.1', false],
    ['application/openmetrics-text;q=0', false],
    ['application/openmetrics-text;q=0.3, text/plain;q=0.5', false],
    ['application/openmetrics-text;q=x', false],
  ]
  for (const [accept, isPreferred] of cases) t.equal(prefersOpenMetrics(accept), isPreferred, String(accept))
})

t.test(
  'promtool finds nothing to say about either format',
  { skip: !hasPromtool() && 'no promtool here: not checked' },
  async (t) => {
    for (const report of [HEALTHY, LEAKY]) {
      t.same(promtool(['check', 'metrics'], renderPrometheus(report)), { status: 0, output: '' })
    }
  },
)

t.test('growth, descriptors and the forecast; what is unknown is absent', async (t) => {
  const leaky = parseExposition(renderPrometheus(LEAKY)).series
  const value = (key: string) => leaky.get(`socket_leak_guard_${key}`)
  t.equal(value('leak_growth_per_hour'), 12.5)
  t.equal(value('open_descriptors'), 930)
  t.equal(value('descriptor_limit'), 1024)
  t.equal(value('descriptor_limit_reached_seconds'), 2700)
  const descriptors = { openDescriptors: null, descriptorLimit: null, pressure: null, reclaimed: 0 }
  const text = renderPrometheus(sampleReport({ descriptors }))
  t.notMatch(text, /descriptor/, 'not even a HELP')
  t.equal(parseExposition(text).series.get('socket_leak_guard_leak_growth_per_hour'), 0)
})

t.test('pairs of which one side has gone', async (t) => {
  t.match(renderPrometheus(LEAKY), '\nsocket_leak_guard_parted_pairs 1\n')
  t.match(renderPrometheus(HEALTHY), '\nsocket_leak_guard_parted_pairs 0\n')
})

t.test('a condition that can not be seen is absent, not zero', async (t) => {
  const blind = { probe: 'none', reason: 'there is no kernel probe for darwin' }
  const { series } = parseExposition(renderPrometheus(sampleReport({ kernel: blind })))
  const named = (condition: string) =>
    [...series.keys()].filter((key) => key.includes(`"${condition}"`)).length
  for (const condition of CONDITIONS)
    t.equal(named(condition), condition === 'fin-unseen' || condition === 'window-closed' ? 0 : 4, condition)
  const seen = parseExposition(renderPrometheus(HEALTHY)).series
  t.equal(seen.get('socket_leak_guard_condition_sockets{condition="fin-unseen",verdict="leaked"}'), 0)
})

t.test('neither names nor number of series depend on what came over the network', async (t) => {
  const keysOf = (report: Report) =>
    [...parseExposition(renderPrometheus(report)).series.keys()].filter((key) => !isOpenEnded.test(key))
  // The probe's name, at most 21 sites, and combinations of known words.
  const isOpenEnded = /_(?:probe_info|leaks_total|leaked_sockets|judged_sockets|faults_total)\b/
  const expected = keysOf(LEAKY)
  fc.assert(
    fc.property(arbitraryReport, (report) => {
      // What is unknown is absent.
      const { descriptors, limitReachedInMs } = LEAKY
      const known = { ...report, descriptors, limitReachedInMs }
      const seen = known.kernel.probe === 'none' ? { ...known, kernel: HEALTHY.kernel } : known
      assert.deepEqual(keysOf(seen), expected)
      const sites = [...parseExposition(renderPrometheus(seen)).series.keys()].filter((key) =>
        key.includes('leaks_total'),
      )
      assert.ok(sites.length <= 21)
    }),
    { numRuns: 100 },
  )
  t.pass()
})

t.test('quotes, backslashes and line breaks in a label value are escaped', async (t) => {
  const kernel = { probe: 'mine"} 1\nevil{a="\\', reason: null }
  const text = renderPrometheus(sampleReport({ kernel, sockets: [sampleSocket(1)] }))
  t.doesNotThrow(() => parseExposition(text))
  t.notMatch(text, /^evil/m)
})
