// The text formats of Prometheus (0.0.4) and OpenMetrics (1.0.0), which differ in the name of a counter's family and in
// the last line. Bounds of buckets have a decimal point in both, so that they are the same series in both.
import type { Report } from '../core/report.js'
import { metricsOf, type Labels, type Metric } from './metrics.js'

export const PROMETHEUS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'
export const OPENMETRICS_CONTENT_TYPE = 'application/openmetrics-text; version=1.0.0; charset=utf-8'

export interface Series {
  readonly name: string
  readonly labels: Labels
  readonly value: number
}

export function renderPrometheus(report: Report): string {
  return renderMetrics(metricsOf(report))
}

export function renderOpenMetrics(report: Report): string {
  return renderMetrics(metricsOf(report), true)
}

/** @param accept the header (RFC 9110, section 12.5.1): Prometheus asks for both, most of all for OpenMetrics */
export function prefersOpenMetrics(accept = ''): boolean {
  let open = 0
  let text = 0
  for (const range of accept.toLowerCase().split(',')) {
    const [type, ...parameters] = range.split(';').map((part) => part.trim())
    const given = new Map(parameters.map((one) => one.split('=', 2) as [string, string | undefined]))
    const quality = Number(given.get('q') ?? 1) || 0
    const version = given.get('version') ?? '1.0.0'
    if (type === 'application/openmetrics-text' && version === '1.0.0') open = Math.max(open, quality)
    else if (type === 'text/plain' || type === 'text/*' || type === '*/*') text = Math.max(text, quality)
  }
  return open > 0 && open >= text
}

export function seriesOf({ name, ...metric }: Metric): Series[] {
  if (metric.kind !== 'histogram') return metric.samples.map(({ labels, value }) => ({ name, labels, value }))
  return metric.samples.flatMap(({ labels, value: { count, sum, buckets } }) => [
    ...[...buckets, { atMost: Infinity, count }].map((bucket) => ({
      name: `${name}_bucket`,
      labels: { ...labels, le: formatBound(bucket.atMost) },
      value: bucket.count,
    })),
    { name: `${name}_sum`, labels, value: sum },
    { name: `${name}_count`, labels, value: count },
  ])
}

export function renderMetrics(metrics: readonly Metric[], isOpenMetrics = false): string {
  const families = metrics.map((metric) => renderMetric(metric, isOpenMetrics)).join('')
  return isOpenMetrics ? `${families}# EOF\n` : families
}

function renderMetric(metric: Metric, isOpenMetrics: boolean): string {
  const { name, kind, help, samples } = metric
  if (samples.length === 0) return ''
  const family = isOpenMetrics && kind === 'counter' ? name.replace(/_total$/, '') : name
  const type = kind === 'count' ? 'gauge' : kind
  const lines = seriesOf(metric).map(
    ({ name: of, labels, value }) => `${of}${formatLabels(labels)} ${value}\n`,
  )
  return `# HELP ${family} ${help}\n# TYPE ${family} ${type}\n${lines.join('')}`
}

function formatBound(bound: number): string {
  if (bound === Infinity) return '+Inf'
  return Number.isInteger(bound) ? bound.toFixed(1) : String(bound)
}

function formatLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(
    ([name, value]) => `${name}="${value.replaceAll(/[\\"]/g, '\\$&')}"`,
  )
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}
