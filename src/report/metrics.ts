// The report as metrics: what the endpoint, prom-client and OpenTelemetry show. Labels are closed sets of words, except
// the probe's name and 20 sites, because a time series for each address or path would outlive it.
import type { ConditionCount, DurationsReport, Report } from '../core/report.js'
import {
  CONDITIONS,
  DIRECTIONS,
  FAULTS,
  type Condition,
  type Direction,
  type Verdict,
} from '../core/vocabulary.js'
import { STANDING } from './build.js'
import { makePrintable, withoutQueries } from './printable.js'

export type Labels = Readonly<Record<string, string>>

export interface Histogram {
  readonly count: number
  readonly sum: number
  readonly buckets: readonly { readonly atMost: number; readonly count: number }[]
}

/** A family without samples is unknown. `count`: a gauge of which the sum over processes has a meaning. */
export type Metric = { readonly name: string; readonly help: string } & (
  | { readonly kind: 'count' | 'gauge' | 'counter'; readonly samples: readonly Sample<number>[] }
  | { readonly kind: 'histogram'; readonly samples: readonly Sample<Histogram>[] }
)

export interface Sample<Value> {
  readonly labels: Labels
  readonly value: Value
}

const PREFIX = 'socket_leak_guard_'
const LONGEST_LABEL = 100
const OUTCOMES = ['recovered', 'reclaimed', 'dead'] as const satisfies readonly Verdict[]

/** Without a view of the kernel these are unknown: no series, because 0 would lie. */
const SEEN_BY_KERNEL_ONLY: ReadonlySet<Condition> = new Set(['fin-unseen', 'window-closed'])

type Numbers = readonly Sample<number>[]

const SOCKETS =
  'Open sockets by verdict: suspect (grace runs), leaked (grace is over), ' +
  'stalled (open both ways, nothing moves), exempt (declared as meant).'
const OUTCOME =
  'Sockets since the guard was installed that the application put right (recovered), ' +
  'that the guard closed (reclaimed), or that were proven dead and closed at once (dead).'
const CONDITION =
  'Open sockets by condition and verdict. A condition that can not be seen on this system is absent.'
const STANDINGS =
  'Open sockets with a verdict by direction, phase (what the streams show) and condition. What there is none of is absent.'
const LEAKS =
  'Sockets that leaked since the guard was installed, by the site they had: the first 20, and other.'
const LEAKED = 'Of these, how many are neither healed nor closed.'
const HALF_CLOSED = 'How long closed connections that were in trouble had been half-closed.'
const RECLAIM = 'From the beginning of the trouble until the guard had closed the connection.'
const GROWTH = 'Leaked minus healed and reclaimed sockets over the last hour.'
const FORECAST =
  'Until the limit is reached if leaks go on as in the last hour; absent while that is not in sight.'
const PARTED = 'Pairs of connections of which one side has gone and the other goes on.'
const WAITING =
  'Connections that have waited for a grace or longer for an answer, for somebody to read one, or for any use.'
const QUEUED =
  'HTTP requests that queue for a connection, at clients that have let one wait for a grace or longer.'
const STALLS = 'Times that the event loop was blocked, as the sweep noticed.'
const LONGEST_STALL = 'The longest time that the event loop was blocked.'
const SWEEPING = 'Time that the sweeps have taken, with what subscribers did meanwhile.'
const LONGEST_SWEEP = 'The longest time that a sweep has held the event loop at once.'
const FAULT =
  'Errors that the guard has caught: its own, those of a probe, and those of functions it was given.'
const PROBE = 'The view of the kernel in use; none: there is no such view.'

export function metricsOf(report: Report): Metric[] {
  const { totals, kernel, descriptors, stalls, ports, census, measures } = report
  const { sites, halfClosed, reclaim, sweeps } = measures
  const heldPorts = ports.reduce((sum, peer) => sum + peer.heldPorts, 0)
  const queued = census.clients.reduce((sum, client) => sum + client.queued, 0)
  const { growthPerHour, limitReachedInMs: forecast } = report
  const { openDescriptors, descriptorLimit } = descriptors
  return [
    numbers('count', 'tracked_sockets', 'Open sockets that the guard tracks.', totals.tracked),
    numbers(
      'count',
      'sockets',
      SOCKETS,
      each('verdict', STANDING, (verdict) => totals[verdict]),
    ),
    numbers(
      'counter',
      'outcomes_total',
      OUTCOME,
      each('verdict', OUTCOMES, (verdict) => totals[verdict]),
    ),
    numbers('count', 'condition_sockets', CONDITION, countConditions(report)),
    numbers('count', 'judged_sockets', STANDINGS, countStandings(report)),
    numbers('counter', 'leaks_total', LEAKS, bySite(sites, 'leakedTotal')),
    numbers('count', 'leaked_sockets', LEAKED, bySite(sites, 'leaked')),
    histograms('half_closed_seconds', HALF_CLOSED, DIRECTIONS, (direction) => halfClosed[direction]),
    {
      ...{ name: `${PREFIX}reclaim_seconds`, kind: 'histogram', help: RECLAIM },
      samples: [{ labels: {}, value: inSeconds(reclaim) }],
    },
    numbers('gauge', 'oldest_seconds', 'Age of the oldest condition by verdict.', oldest(report)),
    numbers(
      'count',
      'unread_bytes',
      'Received bytes that nobody has read, by verdict.',
      byVerdict(report, (sum, entry) => sum + entry.unreadBytes),
    ),
    numbers(
      'count',
      'unsent_bytes',
      'Written bytes that the peer has not taken, by verdict.',
      byVerdict(report, (sum, entry) => sum + entry.unsentBytes),
    ),
    numbers('count', 'leak_growth_per_hour', GROWTH, growthPerHour),
    numbers('count', 'open_descriptors', 'Open file descriptors.', openDescriptors),
    numbers('gauge', 'descriptor_limit', 'The soft limit of open files.', descriptorLimit),
    numbers('gauge', 'descriptor_limit_reached_seconds', FORECAST, forecast && forecast / 1000),
    numbers('count', 'held_ports', 'Ports of peers that half-closed sockets of ours hold.', heldPorts),
    numbers('count', 'parted_pairs', PARTED, report.partedPairs),
    numbers(
      'count',
      'open_connections',
      'Open connections at the last census.',
      each('direction', DIRECTIONS, (direction) => census[direction].count),
    ),
    numbers('count', 'waiting_connections', WAITING, waitsIn(report, 0)),
    numbers('gauge', 'longest_wait_seconds', 'How long the longest of them has waited.', waitsIn(report, 1)),
    numbers(
      'count',
      'growing_sites',
      'Sites whose open connections have done nothing but grow.',
      census.growingSites,
    ),
    numbers('count', 'queued_requests', QUEUED, queued),
    numbers('counter', 'event_loop_stalls_total', STALLS, stalls.count),
    numbers('gauge', 'event_loop_stall_longest_seconds', LONGEST_STALL, stalls.longestMs / 1000),
    numbers('counter', 'sweeps_total', 'Looks at all tracked sockets.', sweeps.count),
    numbers('counter', 'sweep_seconds_total', SWEEPING, sweeps.totalMs / 1000),
    numbers('gauge', 'sweep_longest_seconds', LONGEST_SWEEP, sweeps.longestMs / 1000),
    numbers('counter', 'faults_total', FAULT, countFaults(report)),
    numbers('gauge', 'kernel_probe_info', PROBE, [{ labels: { probe: labelOf(kernel.probe) }, value: 1 }]),
  ]
}

function numbers(
  kind: 'count' | 'gauge' | 'counter',
  name: string,
  help: string,
  value: Numbers | number | null,
): Metric {
  const samples = typeof value === 'number' ? [{ labels: {}, value }] : (value ?? [])
  return { name: PREFIX + name, kind, help, samples }
}

function histograms(
  name: string,
  help: string,
  directions: readonly Direction[],
  of: (direction: Direction) => DurationsReport,
): Metric {
  const samples = directions.map((direction) => ({ labels: { direction }, value: inSeconds(of(direction)) }))
  return { name: PREFIX + name, kind: 'histogram', help, samples }
}

function inSeconds({ count, sumMs, buckets }: DurationsReport): Histogram {
  return {
    count,
    sum: sumMs / 1000,
    buckets: buckets.map((bucket) => ({ atMost: bucket.atMostMs / 1000, count: bucket.count })),
  }
}

function each<Word extends string>(
  label: string,
  words: readonly Word[],
  of: (word: Word) => number,
): Numbers {
  return words.map((word) => ({ labels: { [label]: word }, value: of(word) }))
}

function waitsIn({ census }: Report, which: 0 | 1): Numbers {
  return DIRECTIONS.flatMap((direction) => {
    const counts = census[direction]
    const waits = {
      answer: [counts.unanswered, counts.longestUnansweredMs / 1000],
      reader: [counts.unread, counts.longestUnreadMs / 1000],
      use: [counts.unused, counts.longestUnusedMs / 1000],
    } as const
    return Object.entries(waits).map(([what, of]) => ({ labels: { direction, for: what }, value: of[which] }))
  })
}

function countConditions({ conditions, kernel }: Report): Numbers {
  const samples: Sample<number>[] = []
  for (const condition of CONDITIONS) {
    const isBlind = kernel.probe === 'none' && SEEN_BY_KERNEL_ONLY.has(condition)
    for (const verdict of STANDING) {
      const entry = conditions.find((one) => one.condition === condition && one.verdict === verdict)
      if (entry !== undefined || !isBlind)
        samples.push({ labels: { condition, verdict }, value: entry?.count ?? 0 })
    }
  }
  return samples
}

function countStandings({ standings }: Report): Numbers {
  return standings.map(({ direction, phase, condition, verdict, count }) => ({
    labels: { direction, phase, condition: condition ?? 'none', verdict },
    value: count,
  }))
}

/** Two sites may look alike once they are cut. A series must not come twice. */
function bySite(sites: Report['measures']['sites'], field: 'leakedTotal' | 'leaked'): Numbers {
  const counts = new Map<string, number>()
  for (const { site, [field]: count } of withoutQueries(sites))
    counts.set(labelOf(site), (counts.get(labelOf(site)) ?? 0) + count)
  return [...counts].map(([site, value]) => ({ labels: { site }, value }))
}

function countFaults({ measures: { faults } }: Report): Numbers {
  const counts: Record<string, number> = { ...Object.fromEntries(FAULTS.map((code) => [code, 0])), ...faults }
  return each('code', Object.keys(counts), (code) => counts[code]!)
}

function oldest(report: Report): Numbers {
  return byVerdict(report, (longest, { oldestMs }) => Math.max(longest, oldestMs / 1000))
}

function byVerdict(report: Report, fold: (value: number, entry: ConditionCount) => number): Numbers {
  return each('verdict', STANDING, (verdict) =>
    report.conditions.filter((entry) => entry.verdict === verdict).reduce(fold, 0),
  )
}

function labelOf(text: string): string {
  return makePrintable(text, LONGEST_LABEL)
}
