import { formatEndpoint, type Endpoint } from '../core/endpoint.js'
import {
  REPORT_SCHEMA,
  type CodeReport,
  type ConditionCount,
  type HealedSite,
  type HistoryReport,
  type LintFinding,
  type MeasuresReport,
  type PairReport,
  type Report,
  type SiteCount,
  type SiteTrend,
  type SnapshotQuery,
  type SocketReport,
  type StandingCount,
} from '../core/report.js'
import { buildCensus, type Census } from './census.js'
import { portsHeld } from './ports.js'
import {
  CONDITIONS,
  DIRECTIONS,
  type Condition,
  type Direction,
  type EventType,
  type Phase,
} from '../core/vocabulary.js'
import type { Verdict } from '../core/vocabulary.js'

export const DEFAULT_LIMIT = 200
export const MAX_LIMIT = 10_000
const MOST_HEALED_SITES = 20

export interface SocketRow {
  readonly id: number
  readonly direction: Direction
  readonly verdict: Verdict
  readonly condition: Condition | null
  readonly phase: Phase
  readonly sinceMs: number
  readonly isDisconnected: boolean
  fd(): number
  site(): string
  ends(): { readonly local: Endpoint | null; readonly remote: Endpoint | null }
  waiting(): { readonly unreadBytes: number; readonly unsentBytes: number }
  read(): void
  isGone(): boolean
  describe(): SocketReport
}

export type Gathered = Pick<
  Report,
  'stalls' | 'descriptors' | 'limitReachedInMs' | 'growthPerHour' | 'orphans'
> & {
  trendOf(site: string): SiteTrend
  lastHourOf(site: string): readonly number[]
  readonly healedSites: Iterable<HealedSite>
}

export interface SnapshotParts {
  readonly generatedAt: string
  readonly process: Report['process']
  readonly kernel: Report['kernel']
  readonly gathered: Gathered
  readonly census: Census
  readonly closing: Report['closing']
  readonly code: readonly CodeReport[]
  readonly measures: MeasuresReport
  readonly lint: readonly LintFinding[] | null
  readonly history: Omit<HistoryReport, 'sites'> | null
  readonly tracked: number
  readonly counts: Readonly<Record<EventType, number>>
  readonly partedPairs: number
  pairs(limit: number): readonly PairReport[]
  readonly rows: readonly SocketRow[]
}

export function buildReport(parts: SnapshotParts, query: SnapshotQuery): Report {
  const listed = pageOf(parts.rows, query)
  const sockets = listed.page.map((row) => row.describe())
  const steps = assemble(parts, query, listed, sockets)
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
  }
}

const ROWS_A_STEP = 128
const SOCKETS_A_STEP = 32

/** Between two steps the event loop may turn. A socket that closes meanwhile is counted and not listed. */
export function* buildInSteps(parts: SnapshotParts, query: SnapshotQuery): Generator<void, Report> {
  for (let from = 0; from < parts.rows.length; from += ROWS_A_STEP) {
    readRows(parts.rows, from)
    yield
  }
  const listed = pageOf(parts.rows, query)
  const sockets: SocketReport[] = []
  for (let from = 0; from < listed.page.length; from += SOCKETS_A_STEP) {
    const some = listed.page.slice(from, from + SOCKETS_A_STEP)
    sockets.push(...some.filter((row) => !row.isGone()).map((row) => row.describe()))
    yield
  }
  return yield* assemble(parts, query, listed, sockets)
}

/** Outside of the generator, where V8 compiles a loop while it runs. */
function readRows(rows: readonly SocketRow[], from: number): void {
  const to = Math.min(from + ROWS_A_STEP, rows.length)
  for (let i = from; i < to; i += 1) {
    const row = rows[i]!
    if (row.verdict !== 'none') row.read()
  }
}

interface Page {
  readonly page: readonly SocketRow[]
  readonly isLast: boolean
}

function* assemble(
  parts: SnapshotParts,
  query: SnapshotQuery,
  { page, isLast }: Page,
  sockets: readonly SocketReport[],
): Generator<void, Report> {
  const { trendOf, lastHourOf, healedSites, ...kept } = parts.gathered
  const limit = limitOf(query)
  // Of thousands each of these takes some milliseconds while V8 has not compiled it.
  const counted = countConditions(parts.rows)
  yield
  const conditions = counted.map(({ standings: _, ...count }) => count)
  const sites = sitesOf(parts.rows)
  yield
  const ports = portsHeld(parts.rows)
  yield
  const pairs = limit === 0 ? [] : parts.pairs(limit)
  yield
  const { recovered, reclaimed, dead } = parts.counts
  const { openDescriptors } = kept.descriptors
  return {
    schema: REPORT_SCHEMA,
    generatedAt: parts.generatedAt,
    process: parts.process,
    kernel: parts.kernel,
    totals: {
      tracked: parts.tracked,
      suspect: sumOf(conditions, 'suspect'),
      leaked: sumOf(conditions, 'leaked'),
      stalled: sumOf(conditions, 'stalled'),
      recovered,
      reclaimed,
      dead,
      exempt: sumOf(conditions, 'exempt'),
    },
    ...kept,
    code: parts.code,
    census: buildCensus(parts.census, kept.descriptors, query, limit),
    closing: parts.closing,
    ...(parts.lint === null ? {} : { lint: parts.lint }),
    ...(parts.history !== null && {
      history: { ...parts.history, sites: sites.map(({ site }) => ({ site, net: lastHourOf(site) })) },
    }),
    ports,
    conditions,
    standings: counted.flatMap(standingsOf).filter(({ count }) => count > 0),
    measures: parts.measures,
    sites: sites.map((site) => ({
      ...site,
      ...trendOf(site.site),
      descriptorShare: openDescriptors === null ? null : Math.min(1, site.count / openDescriptors),
    })),
    stalledSites: sitesOf(parts.rows, ['stalled']),
    partedPairs: parts.partedPairs,
    pairs,
    healedSites: healed(healedSites, sites),
    sockets,
    nextAfter: isLast ? null : (page.at(-1)?.id ?? null),
  }
}

function limitOf({ limit = DEFAULT_LIMIT }: SnapshotQuery): number {
  return Math.min(Math.max(0, limit), MAX_LIMIT)
}

function healed(healedSites: Iterable<HealedSite>, sites: readonly SiteCount[]): HealedSite[] {
  const inTrouble = new Set(sites.map(({ site }) => site))
  return [...healedSites].filter(({ site }) => !inTrouble.has(site)).slice(0, MOST_HEALED_SITES)
}

function pageOf(rows: readonly SocketRow[], query: SnapshotQuery): Page {
  const limit = limitOf(query)
  const { all = false, unsettled = false, after = 0, fd, id } = query
  const last = after === 0 ? null : rows.find(({ id }) => id === after)
  if (last === undefined) return { page: [], isLast: true }
  const isNamed = fd !== undefined || id !== undefined
  const listed = rows.filter(
    (row) =>
      (all || unsettled || isNamed || row.verdict !== 'none') &&
      (last === null || oldestFirst(last, row) < 0) &&
      isAskedFor(row, query),
  )
  const page = limit === 0 ? [] : listed.sort(oldestFirst).slice(0, limit)
  return { page, isLast: listed.length <= limit }
}

function isAskedFor(row: SocketRow, query: SnapshotQuery): boolean {
  const { id, verdict, condition, direction, minAgeMs, fd, peer, site } = query
  return (
    (id === undefined || row.id === id) &&
    (verdict === undefined || row.verdict === verdict) &&
    (condition === undefined || row.condition === condition) &&
    (direction === undefined || row.direction === direction) &&
    (minAgeMs === undefined || row.sinceMs >= minAgeMs) &&
    (fd === undefined || row.fd() === fd) &&
    (peer === undefined || isFrom(row.ends().remote, peer)) &&
    (site === undefined || row.site() === site)
  )
}

function isFrom(remote: Endpoint | null, peer: string): boolean {
  return remote !== null && formatEndpoint(remote).includes(peer)
}

function oldestFirst(a: SocketRow, b: SocketRow): number {
  return b.sinceMs - a.sinceMs || a.id - b.id
}

export const STANDING = ['suspect', 'leaked', 'stalled', 'exempt'] as const satisfies readonly Verdict[]

type Counted = { -readonly [K in keyof ConditionCount]: ConditionCount[K] } & {
  readonly standings: Map<Phase, Record<Direction, number>>
}

function countConditions(rows: readonly SocketRow[]): Counted[] {
  const none = { count: 0, oldestMs: 0, unreadBytes: 0, unsentBytes: 0 }
  const counts = [...CONDITIONS, null].map((condition) =>
    STANDING.map((verdict): Counted => ({ condition, verdict, ...none, standings: new Map() })),
  )
  const byCondition = new Map(counts.map((entries) => [entries[0]!.condition, entries]))
  for (const row of rows) {
    const entry = byCondition.get(row.condition)?.find(({ verdict }) => verdict === row.verdict)
    if (entry === undefined) continue
    const { unreadBytes, unsentBytes } = row.waiting()
    entry.count += 1
    entry.oldestMs = Math.max(entry.oldestMs, row.sinceMs)
    entry.unreadBytes += unreadBytes
    entry.unsentBytes += unsentBytes
    const standing = entry.standings.get(row.phase)
    if (standing === undefined)
      entry.standings.set(row.phase, { inbound: 0, outbound: 0, [row.direction]: 1 })
    else standing[row.direction] += 1
  }
  return counts.flat().filter(({ count }) => count > 0)
}

function standingsOf({ condition, verdict, standings }: Counted): StandingCount[] {
  return [...standings].flatMap(([phase, counts]) =>
    DIRECTIONS.map((direction) => ({ direction, phase, condition, verdict, count: counts[direction] })),
  )
}

function sumOf(conditions: readonly ConditionCount[], verdict: Verdict): number {
  return conditions.reduce((sum, entry) => sum + (entry.verdict === verdict ? entry.count : 0), 0)
}

export function sitesOf(
  rows: readonly Pick<SocketRow, 'verdict' | 'condition' | 'sinceMs' | 'site'>[],
  verdicts: readonly Verdict[] = ['suspect', 'leaked'],
): SiteCount[] {
  const bySite = new Map<string, { count: number; oldestMs: number; conditions: Record<string, number> }>()
  for (const row of rows) {
    const { verdict, condition, sinceMs } = row
    if (!verdicts.includes(verdict)) continue
    const site = row.site()
    let entry = bySite.get(site)
    if (entry === undefined) bySite.set(site, (entry = { count: 0, oldestMs: 0, conditions: {} }))
    entry.count += 1
    entry.oldestMs = Math.max(entry.oldestMs, sinceMs)
    if (condition !== null) entry.conditions[condition] = (entry.conditions[condition] ?? 0) + 1
  }
  return [...bySite]
    .map(([site, entry]) => ({ site, ...entry }))
    .sort((a, b) => b.count - a.count || b.oldestMs - a.oldestMs || (a.site < b.site ? -1 : 1))
}
