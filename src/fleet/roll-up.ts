/** One report of many processes, from the reports of each. Pure. */
import type { ConditionCount, Report, SiteCount, SocketReport, Totals } from '../core/report.js'

export const FLEET_SCHEMA = 'socket-leak-guard/fleet/v1'

/** A process as its socket in the folder tells: its report, or why there is none. */
export interface Member {
  /** The name of its socket, without `.sock`: the process id, for a worker thread `4711-1`. */
  readonly process: string
  readonly address: string
  readonly report: Report | null
  readonly reason: string | null
}

export interface FleetProcess {
  readonly process: string
  readonly address: string
  /** Why it has given no report; `null` if it has. Then nothing else is known of it. */
  readonly reason: string | null
  readonly pid: number | null
  readonly uptimeSeconds: number | null
  readonly totals: Totals | null
  readonly growthPerHour: number | null
  readonly openDescriptors: number | null
  readonly descriptorLimit: number | null
  readonly limitReachedInMs: number | null
}

export interface FleetSite extends SiteCount {
  readonly processes: number
}

export type FleetSocket = SocketReport & { readonly process: string }

export interface FleetReport {
  readonly schema: typeof FLEET_SCHEMA
  readonly generatedAt: string
  /** The most leaked first, then by name. */
  readonly processes: readonly FleetProcess[]
  readonly totals: Totals
  readonly growthPerHour: number
  readonly conditions: readonly ConditionCount[]
  readonly sites: readonly FleetSite[]
  /** With a verdict, oldest first. */
  readonly sockets: readonly FleetSocket[]
}

type Writable<T> = { -readonly [K in keyof T]: T[K] }

export function rollUp(members: readonly Member[], generatedAt: string, limit: number): FleetReport {
  const reports = members.flatMap(({ report }) => report ?? [])
  const totals: Writable<Totals> = {
    ...{ tracked: 0, suspect: 0, leaked: 0, stalled: 0 },
    ...{ recovered: 0, reclaimed: 0, dead: 0, exempt: 0 },
  }
  for (const report of reports)
    for (const key of Object.keys(totals) as (keyof Totals)[]) totals[key] += report.totals[key]
  const sockets = members.flatMap(({ process, report }) =>
    (report?.sockets ?? []).map((socket) => ({ process, ...socket })),
  )
  return {
    schema: FLEET_SCHEMA,
    generatedAt,
    processes: members.map(describeProcess).sort(worstFirst),
    totals,
    growthPerHour: reports.reduce((sum, { growthPerHour }) => sum + growthPerHour, 0),
    conditions: rollUpConditions(reports),
    sites: rollUpSites(reports),
    sockets: sockets.sort((a, b) => b.sinceMs - a.sinceMs).slice(0, limit),
  }
}

function describeProcess({ process, address, report, reason }: Member): FleetProcess {
  return {
    ...{ process, address, reason },
    pid: report?.process.pid ?? null,
    uptimeSeconds: report?.process.uptimeSeconds ?? null,
    totals: report?.totals ?? null,
    growthPerHour: report?.growthPerHour ?? null,
    openDescriptors: report?.descriptors.openDescriptors ?? null,
    descriptorLimit: report?.descriptors.descriptorLimit ?? null,
    limitReachedInMs: report?.limitReachedInMs ?? null,
  }
}

function worstFirst(a: FleetProcess, b: FleetProcess): number {
  return (b.totals?.leaked ?? 0) - (a.totals?.leaked ?? 0) || (a.process < b.process ? -1 : 1)
}

function rollUpConditions(reports: readonly Report[]): ConditionCount[] {
  const counts = new Map<string, Writable<ConditionCount>>()
  for (const { conditions } of reports)
    for (const one of conditions) {
      const key = `${one.condition} ${one.verdict}`
      const sum = counts.get(key)
      if (sum === undefined) counts.set(key, { ...one })
      else {
        sum.count += one.count
        sum.oldestMs = Math.max(sum.oldestMs, one.oldestMs)
        sum.unreadBytes += one.unreadBytes
        sum.unsentBytes += one.unsentBytes
      }
    }
  return [...counts.values()]
}

function rollUpSites(reports: readonly Report[]): FleetSite[] {
  const sites = new Map<string, Writable<FleetSite>>()
  for (const report of reports)
    for (const { site, count, oldestMs, conditions } of report.sites) {
      const sum = sites.get(site)
      if (sum === undefined) {
        sites.set(site, { site, count, oldestMs, conditions: { ...conditions }, processes: 1 })
        continue
      }
      sum.count += count
      sum.oldestMs = Math.max(sum.oldestMs, oldestMs)
      sum.processes += 1
      const merged: Record<string, number> = { ...sum.conditions }
      for (const [condition, more] of Object.entries(conditions))
        merged[condition] = (merged[condition] ?? 0) + more
      sum.conditions = merged
    }
  return [...sites.values()].sort((a, b) => b.count - a.count || b.oldestMs - a.oldestMs)
}
