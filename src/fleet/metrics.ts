import { metricsOf, type Metric, type Sample } from '../report/metrics.js'
import type { Member } from './roll-up.js'

// Each process has its own metrics, with its name as the label `process`. A sum of counters would fall when a
// process is gone, which Prometheus takes for a restart of all.
export function fleetMetrics(members: readonly Member[]): Metric[] {
  const families = new Map<string, Metric>()
  for (const { process, report } of members) {
    for (const metric of report === null ? [] : metricsOf(report)) {
      const own = labelled(metric, process)
      const known = families.get(metric.name)
      const samples = [...(known?.samples ?? []), ...own]
      families.set(metric.name, { ...metric, samples } as Metric)
    }
  }
  const told = members.filter(({ report }) => report !== null).length
  const states = { told, silent: members.length - told }
  return [
    {
      name: 'socket_leak_guard_fleet_processes',
      kind: 'count',
      help: 'Processes with a socket in the folder, by whether they have told.',
      samples: Object.entries(states).map(([state, value]) => ({ labels: { state }, value })),
    },
    ...families.values(),
  ]
}

function labelled({ samples }: Metric, process: string): Sample<unknown>[] {
  return (samples as readonly Sample<unknown>[]).map(({ labels, value }) => ({
    labels: { process, ...labels },
    value,
  }))
}
