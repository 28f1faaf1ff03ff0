// The guard's metrics in a registry of prom-client, which calls `get()` of what is registered when it is scraped
// (prom-client 15.1.3, lib/registry.js; `Metric` in index.d.ts). prom-client itself is not loaded.
import { describeValue, SocketLeakGuardError } from '../base/errors.js'
import { installedGuard } from '../guard/registry.js'
import { invalidOption } from '../options/rules.js'
import { metricsOf, type Metric } from '../report/metrics.js'
import { seriesOf } from '../report/prometheus.js'

export interface MetricRegistry {
  registerMetric(metric: never): void
  removeSingleMetric(name: string): void
}

interface Collected {
  readonly name: string
  readonly help: string
  readonly type: 'gauge' | 'counter' | 'histogram'
  readonly aggregator: 'sum' | 'max'
  readonly values: readonly {
    readonly labels: Readonly<Record<string, string>>
    readonly value: number
    readonly metricName?: string
  }[]
}

/**
 * Adds the guard's metrics to a registry. One report is made for each scrape.
 * @param registry a `Registry` of prom-client 15, such as `register`
 * @returns a function that takes them out again
 * @throws `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNINSTALLED` without an installed guard
 * @example
 *   import { register } from 'prom-client'
 *   import { collect } from 'socket-leak-guard/prom-client'
 *   collect(register)
 */
export function collect(registry: MetricRegistry): () => void {
  if (typeof registry?.registerMetric !== 'function' || typeof registry.removeSingleMetric !== 'function')
    throw invalidOption('registry', 'a Registry of prom-client', describeValue(registry))
  if (installedGuard() === null)
    throw new SocketLeakGuardError(
      'SLG_ERR_UNINSTALLED',
      'there is no guard whose metrics could be collected: call install() first, or preload it',
    )
  let latest: ReadonlyMap<string, Metric> | null = null

  /** A registry asks all of its metrics in one turn. */
  function read(): ReadonlyMap<string, Metric> {
    if (latest !== null) return latest
    const guard = installedGuard()
    const metrics = guard === null ? [] : metricsOf(guard.report({ limit: 0 }))
    latest = new Map(metrics.map((metric) => [metric.name, metric]))
    queueMicrotask(() => (latest = null))
    return latest
  }

  const registered: string[] = []
  function remove(): void {
    for (const name of registered.splice(0)) registry.removeSingleMetric(name)
  }
  try {
    for (const metric of read().values()) {
      registry.registerMetric(collectorOf(metric, read) as never)
      registered.push(metric.name)
    }
  } catch (error) {
    remove()
    throw error
  }
  return remove
}

/** prom-client writes another name to the counters of an OpenMetrics registry. */
function collectorOf({ name: key, help, kind }: Metric, read: () => ReadonlyMap<string, Metric>) {
  const type = kind === 'count' ? 'gauge' : kind
  // Over the processes of a cluster (`AggregatorRegistry`).
  const aggregator = kind === 'gauge' ? 'max' : 'sum'
  return {
    ...{ name: key, help, type, aggregator },
    get(): Promise<Collected> {
      const metric = read().get(key)
      const series = metric === undefined ? [] : seriesOf(metric)
      const values = series.map(({ name, labels, value }) => ({
        ...{ labels, value },
        ...(kind === 'histogram' && { metricName: name }),
      }))
      return Promise.resolve({ name: this.name, help, type, aggregator, values })
    },
    reset() {},
  } as const
}
