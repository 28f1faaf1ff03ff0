import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { CONDITIONS } from '../../src/core/vocabulary.js'
import { PROMETHEUS_CONTENT_TYPE, renderPrometheus } from '../../src/report/prometheus.js'
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
    const type = /^# TYPE ([a-z_]+) (gauge|counter)$/.exec(line)
    const sample =
      /^([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*"(?:,(?!\}))?)+\})? (-?[0-9.]+(?:e[+-][0-9]+)?)$/.exec(
        line,
      )
    if (help?.[1] !== undefined) helped.add(help[1])
    else if (type?.[1] !== undefined && type[2] !== undefined) types.set(type[1], type[2])
    else if (sample?.[1] !== undefined) {
      const key = sample[1] + (sample[2] ?? '')
      if (!types.has(sample[1]) || !helped.has(sample[1])) throw new Error(`no TYPE or HELP before ${key}`)
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
  const expected = [...parseExposition(renderPrometheus(LEAKY)).series.keys()].filter(
    (key) => !key.includes('probe'),
  )
  fc.assert(
    fc.property(arbitraryReport, (report) => {
      // What is unknown is absent.
      const { descriptors, limitReachedInMs } = LEAKY
      const known = { ...report, descriptors, limitReachedInMs }
      const seen = known.kernel.probe === 'none' ? { ...known, kernel: HEALTHY.kernel } : known
      const { series } = parseExposition(renderPrometheus(seen))
      assert.deepEqual(
        [...series.keys()].filter((key) => !key.includes('probe')),
        expected,
      )
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
