import * as api from '@opentelemetry/api'
import { join } from 'node:path'
import t from 'tap'
import { observe } from '../../src/opentelemetry/index.js'
import { INSTRUMENTS } from '../../src/opentelemetry/instruments.js'
import { install } from '../../src/index.js'
import { metricsOf } from '../../src/report/metrics.js'
import { LEAKY } from '../report/sample-reports.js'
import { PACKAGE_ROOT } from '../support/package-root.js'
import { runNode } from '../support/run-node.js'

/** What of OTLP is read here (opentelemetry/proto, JSON encoding). */
interface Sent {
  readonly path: string
  readonly body: {
    readonly resourceMetrics?: readonly {
      readonly scopeMetrics: readonly { readonly scope: Named; readonly metrics: readonly MetricSent[] }[]
    }[]
    readonly resourceSpans?: readonly {
      readonly scopeSpans: readonly { readonly scope: Named; readonly spans: readonly SpanSent[] }[]
    }[]
  }
}

interface Named {
  readonly name: string
}

interface Attributed {
  readonly attributes: readonly { readonly key: string; readonly value: Readonly<Record<string, unknown>> }[]
}

interface SpanSent extends Named, Attributed {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly events: readonly (Named & Attributed)[]
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[]
}

interface MetricSent extends Named {
  readonly unit: string
  readonly sum?: PointsSent & { readonly aggregationTemporality: number; readonly isMonotonic: boolean }
  readonly gauge?: PointsSent
  readonly histogram?: PointsSent & { readonly aggregationTemporality: number }
}

interface PointsSent {
  readonly dataPoints: readonly (Attributed & {
    readonly asDouble?: number
    readonly asInt?: number
    readonly count?: number
    readonly startTimeUnixNano: string
  })[]
}

const CUMULATIVE = 2

function attributesIn({ attributes }: Attributed): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))
}

t.test('what a collector is sent by the real exporters', async (t) => {
  const program = join(PACKAGE_ROOT, 'build', 'test', 'programs', 'opentelemetry.js')
  const { stdout, stderr, code } = await runNode([program], { isBare: true })
  t.equal(code, 0, stderr)
  const sent = JSON.parse(stdout) as Sent[]

  await t.test('spans', async (t) => {
    const spans = sent
      .flatMap(({ body }) => body.resourceSpans ?? [])
      .flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans))
    const spanOf = (key: string, value: string) => spans.find((span) => attributesIn(span)[key] === value)!
    const never = spanOf('url.path', '/never')
    const [event, ...others] = never.events.map((one) => ({ name: one.name, ...attributesIn(one) }))
    t.match(event, {
      name: 'socket_leak_guard.leaked',
      'socket_leak_guard.verdict': 'leaked',
      'socket_leak_guard.condition': 'eof-ignored',
      'socket_leak_guard.direction': 'inbound',
      'socket_leak_guard.site': 'GET /never',
      'socket_leak_guard.diagnosis': /has not ended its side/,
      'network.peer.address': '127.0.0.1',
      'network.peer.port': Number,
    })
    t.same(others, [])
    const [quick, fetches] = [spanOf('url.path', '/quick'), spanOf('url.path', '/fetches')]
    const fetched = spanOf('url.path', '/fetched')
    for (const healthy of [quick, fetches]) t.same(healthy.events, [], 'its own connection is in order')
    t.equal(fetched.parentSpanId, fetches.spanId)
    const own = spans.filter(({ name }) => name === 'socket_leak_guard.leaked')
    for (const span of own) t.equal(attributesIn(span)['socket_leak_guard.direction'], 'outbound')
    t.same(
      own.flatMap(({ links }) => links.map(({ spanId }) => spanId)).sort(),
      [quick.spanId, fetched.spanId].sort(),
      'of what leaked after its span was over, or by fetch()',
    )
  })

  await t.test('metrics', async (t) => {
    const [scopes, afterwards] = sent
      .flatMap(({ path, body }) => (path === '/v1/metrics' ? body.resourceMetrics! : []))
      .map(({ scopeMetrics }) => scopeMetrics)
    t.same(
      scopes!.map(({ scope }) => scope.name),
      ['socket-leak-guard'],
    )
    const metrics = new Map(scopes![0]!.metrics.map((metric) => [metric.name, metric]))
    const pointsOf = (metric: MetricSent) => (metric.sum ?? metric.gauge ?? metric.histogram)!.dataPoints
    const value = (name: string, attribute = '', word = '') => {
      const point = pointsOf(metrics.get(name)!).find(
        (one) => attribute === '' || attributesIn(one)[`socket_leak_guard.${attribute}`] === word,
      )
      return point?.asDouble ?? point?.asInt ?? point?.count
    }
    t.equal(value('socket_leak_guard.socket.count', 'verdict', 'leaked'), 2)
    t.equal(value('socket_leak_guard.socket.outcomes', 'verdict', 'reclaimed'), 1)
    t.equal(value('socket_leak_guard.site.leaks', 'site', 'GET /never'), 1)
    t.equal(value('socket_leak_guard.socket.stuck.duration', 'verdict', 'reclaimed'), 1)
    t.equal(
      metrics.get('socket_leak_guard.socket.stuck.duration')?.histogram?.aggregationTemporality,
      CUMULATIVE,
    )
    const units = { 'process.unix.file_descriptor.count': '{file_descriptor}' } as Record<string, string>
    for (const [name, unit] of Object.values(INSTRUMENTS)) units[`socket_leak_guard.${name}`] = unit
    for (const { name, unit, sum } of metrics.values()) {
      t.equal(unit, units[name] ?? 's', name)
      if (sum !== undefined) t.equal(sum.aggregationTemporality, CUMULATIVE, name)
    }
    const counters = [...metrics.values()].filter(({ sum }) => sum?.isMonotonic === true)
    t.same(counters.map(({ name }) => name.slice('socket_leak_guard.'.length)).sort(), [
      'event_loop.stalls',
      'faults',
      'site.leaks',
      'socket.outcomes',
      'sweep.count',
      'sweep.time',
    ])
    // The SDK goes on with the last value.
    const sweeps = afterwards?.[0]?.metrics.find(({ name }) => name === 'socket_leak_guard.sweep.count')
    t.equal(
      pointsOf(sweeps!)[0]?.asDouble,
      value('socket_leak_guard.sweep.count'),
      'stopped, it observes nothing',
    )
  })
})

t.test('every metric has an instrument, but for the histograms of the endpoint', async (t) => {
  const names = metricsOf(LEAKY)
    .filter(({ kind }) => kind !== 'histogram')
    .map(({ name }) => name.slice('socket_leak_guard_'.length))
  t.same(Object.keys(INSTRUMENTS).concat('open_descriptors').sort(), names.sort())
})

t.test('without an SDK nothing happens; without the API or a guard it is an error', async (t) => {
  t.throws(() => observe(api), { code: 'SLG_ERR_UNINSTALLED' })
  const guard = install({ sweepMs: 60_000 })
  t.teardown(() => guard.uninstall())
  observe(api)()
  for (const wrong of [undefined, null, {}, { metrics: api.metrics }])
    t.throws(() => observe(wrong as never), { code: 'SLG_ERR_INVALID_OPTION', message: /^api must be/ })
})
