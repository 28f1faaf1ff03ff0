import type {
  Attributes,
  BatchObservableCallback,
  Meter,
  MetricOptions,
  Observable,
} from '@opentelemetry/api'
import { BOUNDS_MS } from '../core/durations.js'
import type { GuardEvent, Report } from '../core/report.js'
import { metricsOf, type Labels, type Metric } from '../report/metrics.js'
import { INSTRUMENTS, OPEN_DESCRIPTORS } from './instruments.js'

export const NAMESPACE = 'socket_leak_guard.'
const PREFIX = 'socket_leak_guard_'

export function observeMetrics(meter: Meter, first: Report, read: () => Report | null): () => void {
  const observables = new Map<string, Observable>()
  for (const metric of metricsOf(first)) {
    const observable = createObservable(meter, metric)
    if (observable !== null) observables.set(metric.name, observable)
  }
  const callback: BatchObservableCallback = (result) => {
    const report = read()
    if (report === null) return
    for (const metric of metricsOf(report)) {
      const observable = observables.get(metric.name)
      if (observable === undefined || metric.kind === 'histogram') continue
      for (const { labels, value } of metric.samples) result.observe(observable, value, attributesOf(labels))
    }
  }
  const all = [...observables.values()]
  meter.addBatchObservableCallback(callback, all)
  return () => meter.removeBatchObservableCallback(callback, all)
}

function createObservable(meter: Meter, { name, kind, help }: Metric): Observable | null {
  const key = name.slice(PREFIX.length)
  const given = INSTRUMENTS[key]
  const [full, unit] = given === undefined ? OPEN_DESCRIPTORS : [NAMESPACE + given[0], given[1]]
  if (given === undefined && key !== 'open_descriptors') return null
  const options: MetricOptions = { description: help, unit }
  switch (kind) {
    case 'counter':
      return meter.createObservableCounter(full, options)
    case 'count':
      return meter.createObservableUpDownCounter(full, options)
    case 'gauge':
      return meter.createObservableGauge(full, options)
    case 'histogram':
      return null
  }
}

/** OpenTelemetry can't read a histogram when it collects, so it is told of each stuck socket that is no more. */
export function createStuckTimes(meter: Meter): (event: GuardEvent) => void {
  const histogram = meter.createHistogram(`${NAMESPACE}socket.stuck.duration`, {
    description: 'From the beginning of the trouble until the application (recovered) or the guard ended it.',
    unit: 's',
    advice: { explicitBucketBoundaries: BOUNDS_MS.map((ms) => ms / 1000) },
  })
  return ({ type, socket: { condition, sinceMs, direction } }) =>
    histogram.record(
      sinceMs / 1000,
      attributesOf({ direction, condition: condition ?? 'none', verdict: type }),
    )
}

export function attributesOf(labels: Labels): Attributes {
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [NAMESPACE + name, value]))
}
