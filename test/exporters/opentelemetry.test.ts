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

interface Told {
  readonly spans: readonly {
    readonly id: string
    readonly name: string
    readonly attributes: Record<string, unknown>
    readonly events: readonly { readonly name: string; readonly attributes: Record<string, unknown> }[]
    readonly links: readonly { readonly context: { readonly spanId: string } }[]
  }[]
  readonly metrics: readonly { readonly metrics: readonly InstrumentData[] }[]
  readonly afterwards: readonly InstrumentData[]
  readonly collected: readonly { readonly path: string; readonly body: Collected }[]
}

interface Collected {
  readonly resourceMetrics: readonly {
    readonly scopeMetrics: readonly {
      readonly scope: { readonly name: string }
      readonly metrics: readonly { readonly name: string }[]
    }[]
  }[]
}

interface InstrumentData {
  readonly descriptor: { readonly name: string; readonly type: string; readonly unit: string }
  readonly dataPoints: readonly { readonly attributes: Record<string, string>; readonly value: unknown }[]
}

t.test('the real SDK, its exporters and a collector are told', async (t) => {
  const program = join(PACKAGE_ROOT, 'build', 'test', 'programs', 'opentelemetry.js')
  const { stdout, stderr, code } = await runNode([program], { isBare: true })
  t.equal(code, 0, stderr)
  const { spans, metrics, afterwards, collected } = JSON.parse(stdout) as Told

  const [never, quick] = ['/never', '/quick'].map((path) =>
    spans.find(({ attributes }) => attributes['url.path'] === path),
  )
  const linked = spans.find(({ name }) => name === 'socket_leak_guard.leaked')
  t.match(never?.events, [
    {
      name: 'socket_leak_guard.leaked',
      attributes: {
        'socket_leak_guard.condition': 'eof-ignored',
        'socket_leak_guard.site': 'GET /never',
        'socket_leak_guard.diagnosis': /has not ended its side/,
        'network.peer.address': '127.0.0.1',
      },
    },
  ])
  t.same(quick?.events, [], 'its own connection is in order')
  t.equal(
    linked?.attributes['socket_leak_guard.direction'],
    'outbound',
    'of what leaked after its span was over',
  )
  t.same(
    linked?.links.map(({ context }) => context.spanId),
    [quick?.id],
    'by the request that opened it',
  )

  const instruments = new Map(
    metrics.flatMap((scope) => scope.metrics).map((one) => [one.descriptor.name, one]),
  )
  const value = (name: string, attribute = '', word = '') =>
    instruments
      .get(name)
      ?.dataPoints.find(
        (point) => attribute === '' || point.attributes[`socket_leak_guard.${attribute}`] === word,
      )?.value
  t.equal(value('socket_leak_guard.socket.count', 'verdict', 'leaked'), 1)
  t.equal(value('socket_leak_guard.socket.outcomes', 'verdict', 'reclaimed'), 1)
  t.equal(value('socket_leak_guard.site.leaks', 'site', 'GET /never'), 1)
  t.match(value('socket_leak_guard.socket.stuck.duration', 'verdict', 'reclaimed'), { count: 1 })
  t.equal(instruments.get('process.unix.file_descriptor.count')?.descriptor.unit, '{file_descriptor}')
  t.match(instruments.get('socket_leak_guard.sweep.time')?.descriptor, {
    type: 'OBSERVABLE_COUNTER',
    unit: 's',
  })
  // The SDK goes on with the last value.
  const sweeps = afterwards.find(({ descriptor }) => descriptor.name === 'socket_leak_guard.sweep.count')
  t.equal(
    sweeps?.dataPoints[0]?.value,
    value('socket_leak_guard.sweep.count'),
    'stopped, it observes nothing',
  )

  const [sent] = collected
  t.equal(sent?.path, '/v1/metrics')
  const [scope] = sent!.body.resourceMetrics[0]!.scopeMetrics
  t.equal(scope!.scope.name, 'socket-leak-guard')
  t.same(
    scope!.metrics.map(({ name }) => name).sort(),
    [...instruments.keys()].sort(),
    'all of it over HTTP too',
  )
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
