import { once } from 'node:events'
import net from 'node:net'
import { AggregatorRegistry, Counter, Gauge, Registry } from 'prom-client'
import t from 'tap'
import { collect } from '../../src/prom-client/index.js'
import { install } from '../../src/index.js'
import { metricsOf } from '../../src/report/metrics.js'
import { renderPrometheus } from '../../src/report/prometheus.js'
import { hasPromtool, promtool } from '../support/promtool.js'

/** Without what changes from one report to the next. */
function settled(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !/sweep|open_descriptors/.test(line))
    .map((line) => line.replaceAll(/,?le="([\d.]+)"/g, (_, bound: string) => `le=${Number(bound)}`))
}

t.test('in a registry that exists, beside what is there', async (t) => {
  const guard = install({ sweepMs: 60_000 })
  t.teardown(() => guard.uninstall())
  const registry = new Registry()
  new Counter({ name: 'app_requests_total', help: 'Of the application.', registers: [registry] }).inc(3)
  const remove = collect(registry)
  const text = await registry.metrics()
  t.match(text, 'app_requests_total 3')
  const own = text.slice(text.indexOf('# HELP socket_leak_guard_'))
  const expected = renderPrometheus(guard.snapshot({ limit: 0 }))
  const isKnown = (line: string) => settled(own).includes(line)
  t.same(
    settled(expected).filter((line) => !isKnown(line)),
    [],
    'the same lines as of the endpoint',
  )
  t.throws(() => collect(registry), /already been registered/)
  t.match(await registry.metrics(), 'socket_leak_guard_tracked_sockets 0', 'and the first ones stay')
  registry.resetMetrics()
  remove()
  remove()
  t.notMatch(await registry.metrics(), 'socket_leak_guard')
  t.match(await registry.metrics(), 'app_requests_total')
  collect(registry)()
})

t.test('each scrape shows what is so then, and makes one report', async (t) => {
  const guard = install({ sweepMs: 60_000 })
  t.teardown(() => guard.uninstall())
  const server = net.createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const registry = new Registry()
  collect(registry)
  const tracked = async () => /^socket_leak_guard_tracked_sockets (\d+)$/m.exec(await registry.metrics())?.[1]
  t.equal(await tracked(), '0')
  const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1')
  t.teardown(() => client.destroy())
  const [socket] = (await once(server, 'connection')) as [net.Socket]
  t.teardown(() => socket.destroy())
  const { report } = guard
  let reports = 0
  Object.assign(guard, {
    report: (query: object) => {
      reports += 1
      return report(query)
    },
  })
  t.equal(await tracked(), '2')
  t.equal(reports, 1)
  guard.uninstall()
  t.equal(await tracked(), undefined, 'nothing is known any more')
  t.match(await registry.metrics(), '# TYPE socket_leak_guard_tracked_sockets gauge')
})

t.test('as OpenMetrics, and added up over a cluster', async (t) => {
  const guard = install({ sweepMs: 60_000 })
  t.teardown(() => guard.uninstall())
  const registry = new Registry()
  registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE as never)
  collect(registry)
  for (let i = 0; i < 2; i += 1) {
    const text = await registry.metrics()
    t.match(text, /^# TYPE socket_leak_guard_outcomes counter$/m)
    t.match(text, /^socket_leak_guard_outcomes_total\{verdict="dead"\} 0$/m)
    t.match(text, /^socket_leak_guard_half_closed_seconds_bucket\{direction="inbound",le="0.1"\} 0$/m)
  }
  const plain = new Registry()
  collect(plain)
  new Gauge({ name: 'app_gauge', help: 'Of the application.', registers: [plain] }).set(1)
  const workers = [await plain.getMetricsAsJSON(), await plain.getMetricsAsJSON()]
  const all = await AggregatorRegistry.aggregate(workers as never).metrics()
  const [own] = metricsOf(guard.snapshot()).filter(({ name }) => name.endsWith('descriptor_limit'))
  t.match(
    all,
    `socket_leak_guard_descriptor_limit ${own?.samples[0]?.value as number}\n`,
    'a limit is no sum',
  )
  t.match(all, /^socket_leak_guard_half_closed_seconds_bucket\{.*le="\+Inf".*\} 0$/m)
  t.match(all, 'app_gauge 2')
})

t.test('what is no registry, and without a guard', async (t) => {
  t.throws(() => collect(new Registry()), { code: 'SLG_ERR_UNINSTALLED' })
  for (const registry of [undefined, null, {}, { registerMetric() {} }])
    t.throws(() => collect(registry as never), {
      code: 'SLG_ERR_INVALID_OPTION',
      message: /registry must be/,
    })
})

t.test(
  'promtool finds nothing to say',
  { skip: !hasPromtool() && 'no promtool here: not checked' },
  async (t) => {
    const guard = install({ sweepMs: 60_000 })
    t.teardown(() => guard.uninstall())
    const registry = new Registry()
    collect(registry)
    t.same(promtool(['check', 'metrics'], await registry.metrics()), { status: 0, output: '' })
  },
)
