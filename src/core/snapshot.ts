/** Puts a report together from described sockets. Order, paging, sites and totals are decided here. */
import {
  REPORT_SCHEMA,
  type Report,
  type HealedSite,
  type SiteCount,
  type SiteReport,
  type SnapshotQuery,
  type SocketReport,
  type Totals,
  type PairReport,
} from './report.js'
import { portsHeld } from './ports.js'
import type { SiteTrend } from './site-history.js'
import type { EventType } from './vocabulary.js'

export const DEFAULT_LIMIT = 1000
export const MAX_LIMIT = 10_000
const MOST_HEALED_SITES = 20

export type Kept = Pick<
  Report,
  | 'stalls'
  | 'descriptors'
  | 'limitReachedInMs'
  | 'growthPerHour'
  | 'orphans'
  | 'handedOver'
  | 'halfCloses'
  | 'lint'
> & {
  trendOf(site: string): SiteTrend
  /** The latest first. */
  readonly healedSites: Iterable<HealedSite>
}

export interface SnapshotParts {
  readonly generatedAt: string
  readonly process: Report['process']
  readonly kernel: Report['kernel']
  /** What is kept beside the sockets themselves. */
  readonly kept: Kept
  /** How many ports a peer chooses from. */
  readonly ephemeralPorts: number
  readonly tracked: number
  readonly counts: Readonly<Record<EventType, number>>
  /** Pairs of connections, in any order. */
  readonly pairs: readonly PairReport[]
  /** Every socket to be considered, described, in any order. */
  readonly sockets: readonly SocketReport[]
}

export function buildReport(parts: SnapshotParts, query: SnapshotQuery): Report {
  const listsAll = query.all === true || query.unsettled === true
  const listed = parts.sockets.filter((socket) => listsAll || socket.verdict !== 'none')
  const ordered = listed.sort(oldestFirst)
  const limit = limitOf(query)
  const start = startOf(ordered, query.after)
  const page = ordered.slice(start, start + limit)
  const sites = sitesOf(parts.sockets)
  return {
    schema: REPORT_SCHEMA,
    generatedAt: parts.generatedAt,
    process: parts.process,
    kernel: parts.kernel,
    totals: totalsOf(parts),
    ...reportable(parts.kept),
    ports: portsHeld(parts.sockets, parts.ephemeralPorts),
    sites: sites.map((site) => withTrend(site, parts.kept)),
    pairs: [...parts.pairs].sort(longestFirst).slice(0, limit),
    healedSites: healed(parts.kept.healedSites, sites),
    sockets: page,
    nextAfter: start + limit < ordered.length ? (page.at(-1)?.id ?? null) : null,
  }
}

/** How many sockets, and how many pairs. */
export function limitOf({ limit = DEFAULT_LIMIT }: SnapshotQuery): number {
  return Math.min(Math.max(1, limit), MAX_LIMIT)
}

function withTrend(site: SiteCount, { trendOf, descriptors: { openDescriptors } }: Kept): SiteReport {
  const descriptorShare = openDescriptors === null ? null : Math.min(1, site.count / openDescriptors)
  return { ...site, ...trendOf(site.site), descriptorShare }
}

function reportable({ trendOf: _, healedSites: __, ...kept }: Kept): Omit<Kept, 'trendOf' | 'healedSites'> {
  return kept
}

/** Those that have nothing suspect again. */
function healed(healedSites: Iterable<HealedSite>, sites: readonly SiteCount[]): HealedSite[] {
  const inTrouble = new Set(sites.map(({ site }) => site))
  return [...healedSites].filter(({ site }) => !inTrouble.has(site)).slice(0, MOST_HEALED_SITES)
}

/** Where the socket of the last page is gone, its place is too. To begin again might never end, so the listing ends. */
function startOf(ordered: readonly SocketReport[], after: number | undefined): number {
  // Ids begin at 1, so 0 stands for the beginning.
  if (after === undefined || after === 0) return 0
  const index = ordered.findIndex(({ id }) => id === after)
  return index === -1 ? ordered.length : index + 1
}

function longestFirst(a: PairReport, b: PairReport): number {
  return ageOf(b) - ageOf(a) || a.sides[0].id - b.sides[0].id
}

function ageOf({ sides }: PairReport): number {
  return Math.max(...sides.map(({ sinceMs }) => sinceMs ?? 0))
}

function oldestFirst(a: SocketReport, b: SocketReport): number {
  return b.sinceMs - a.sinceMs || a.id - b.id
}

function totalsOf({ tracked, counts, sockets }: SnapshotParts): Totals {
  let suspect = 0
  let leaked = 0
  let exempt = 0
  for (const { verdict } of sockets) {
    if (verdict === 'suspect') suspect += 1
    else if (verdict === 'leaked') leaked += 1
    else if (verdict === 'exempt') exempt += 1
  }
  const { recovered, reclaimed, dead } = counts
  return { tracked, suspect, leaked, recovered, reclaimed, dead, exempt }
}

/** Groups what is suspect or leaked by where it comes from, worst first. */
export function sitesOf(sockets: readonly SocketReport[]): SiteCount[] {
  const bySite = new Map<string, { count: number; oldestMs: number; conditions: Record<string, number> }>()
  for (const { verdict, condition, owner, sinceMs } of sockets) {
    if (verdict !== 'suspect' && verdict !== 'leaked') continue
    let entry = bySite.get(owner.site)
    if (entry === undefined) bySite.set(owner.site, (entry = { count: 0, oldestMs: 0, conditions: {} }))
    entry.count += 1
    entry.oldestMs = Math.max(entry.oldestMs, sinceMs)
    if (condition !== null) entry.conditions[condition] = (entry.conditions[condition] ?? 0) + 1
  }
  return [...bySite]
    .map(([site, entry]) => ({ site, ...entry }))
    .sort((a, b) => b.count - a.count || b.oldestMs - a.oldestMs || (a.site < b.site ? -1 : 1))
}
