/** Rules and dashboard ask for metrics that exist; with promtool they are tried as well. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { metricsOf } from '../../src/report/metrics.js'
import { seriesOf } from '../../src/report/prometheus.js'
import { LEAKY } from '../report/sample-reports.js'
import { PACKAGE_ROOT } from '../support/package-root.js'
import { hasPromtool, promtool } from '../support/promtool.js'

const FOLDER = join(PACKAGE_ROOT, 'examples', 'prometheus')
const UNCHECKED = { skip: !hasPromtool() && 'no promtool here: not checked' }

interface Dashboard {
  readonly panels: readonly { readonly targets: readonly { readonly expr: string }[] }[]
}

const rules = readFileSync(join(FOLDER, 'alerts.yml'), 'utf8')
const dashboard = JSON.parse(readFileSync(join(FOLDER, 'grafana-dashboard.json'), 'utf8')) as Dashboard
const queries = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))

/** The labels of each series by its name. */
const made = new Map(
  metricsOf(LEAKY)
    .flatMap(seriesOf)
    .map(({ name, labels }) => [name, Object.keys(labels)]),
)

t.test('every metric and label that is asked for exists', async (t) => {
  t.ok(queries.length > 15)
  const asked = [...queries, ...rules.split('\n').filter((line) => line.includes('expr:'))]
  for (const expr of asked) {
    const names = expr.match(/socket_leak_guard_\w+/g) ?? []
    t.ok(names.length > 0 && names.every((name) => made.has(name)), expr)
    const labels = [...expr.matchAll(/(\w+)=~?"/g), ...expr.matchAll(/by \(([^)]*)\)/g)]
      .flatMap(([, found]) => found!.split(/, */))
      .filter((label) => label !== 'job' && label !== 'instance')
    for (const label of labels) t.ok(made.get(names[0]!)?.includes(label), `${label} of ${names[0]}`)
  }
})

t.test('the alert rules do what their tests say', UNCHECKED, async (t) => {
  const { status, output } = promtool(['test', 'rules', join(FOLDER, 'alerts.test.yml')])
  t.equal(status, 0, output)
  t.equal(promtool(['check', 'config', join(FOLDER, 'prometheus.yml')]).status, 0)
})

t.test('every query of the dashboard is understood', UNCHECKED, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'socket-leak-guard-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'queries.json')
  const asRules = queries.map((expr, i) => ({
    record: `panel:query:${i}`,
    expr: expr.replaceAll('$__rate_interval', '5m'),
  }))
  // JSON is YAML too.
  writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules: asRules }] }))
  const { status, output } = promtool(['check', 'rules', file])
  t.equal(status, 0, output)
  t.match(output, `${queries.length} rules found`)
})
