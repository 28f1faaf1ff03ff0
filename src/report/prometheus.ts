// Prometheus text exposition, version 0.0.4. Labels are closed sets of words (and the probe's name), because a time
// series for each address, path or site would outlive it.
import type { ConditionCount, Report } from '../core/report.js'
import { CONDITIONS, type Condition, type Direction, type Verdict } from '../core/vocabulary.js'
import { STANDING } from './build.js'
import { makePrintable } from './printable.js'

export const PROMETHEUS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

const PREFIX = 'socket_leak_guard_'
const DIRECTIONS = ['inbound', 'outbound'] as const satisfies readonly Direction[]
const OUTCOMES = ['recovered', 'reclaimed', 'dead'] as const satisfies readonly Verdict[]

/** Without a view of the kernel these are unknown: no series, because 0 would lie. */
const SEEN_BY_KERNEL_ONLY: ReadonlySet<Condition> = new Set(['fin-unseen', 'window-closed'])

type Labels = Readonly<Record<string, string>>
type Sample = readonly [labels: Labels, value: number]

type Family = readonly [name: string, type: 'gauge' | 'counter', help: string, samples: readonly Sample[]]

/** Uses counts alone, so `limit: 0` suffices. */
export function renderPrometheus(report: Report): string {
  return familiesOf(report).map(renderFamily).join('')
}

const SOCKETS =
  'Open sockets by verdict: suspect (grace runs), leaked (grace is over), ' +
  'stalled (open both ways, nothing moves), exempt (declared as meant).'
const OUTCOME =
  'Sockets since the guard was installed that the application put right (recovered), ' +
  'that the guard closed (reclaimed), or that were proven dead and closed at once (dead).'
const GROWTH = 'Leaked minus healed and reclaimed sockets over the last hour.'
const PARTED = 'Pairs of connections of which one side has gone and the other goes on.'
const STALLS = 'Times that the event loop was blocked, as the sweep noticed.'
const LONGEST_STALL = 'The longest time that the event loop was blocked.'
const PROBE = 'The view of the kernel in use; none: there is no such view.'
const CONDITION =
  'Open sockets by condition and verdict. A condition that can not be seen on this system is absent.'
const FORECAST =
  'Until the limit is reached if leaks go on as in the last hour; absent while that is not in sight.'

const WAITING =
  'Connections that have waited for a grace or longer for an answer, for somebody to read one, or for any use.'
const QUEUED =
  'HTTP requests that queue for a connection, at clients that have let one wait for a grace or longer.'

function familiesOf(report: Report): Family[] {
  const { totals, kernel, descriptors, stalls, ports, census } = report
  const open = DIRECTIONS.map((direction): Sample => [{ direction }, census[direction].count])
  const queued = census.clients.reduce((sum, client) => sum + client.queued, 0)
  const heldPorts = ports.reduce((sum, peer) => sum + peer.heldPorts, 0)
  const oldest = byVerdict(report, (longest, { oldestMs }) => Math.max(longest, oldestMs / 1000))
  const unread = byVerdict(report, (sum, { unreadBytes }) => sum + unreadBytes)
  const unsent = byVerdict(report, (sum, { unsentBytes }) => sum + unsentBytes)
  const standing = STANDING.map((verdict): Sample => [{ verdict }, totals[verdict]])
  const outcomes = OUTCOMES.map((verdict): Sample => [{ verdict }, totals[verdict]])
  const { growthPerHour, partedPairs, limitReachedInMs: forecast } = report
  const { openDescriptors, descriptorLimit } = descriptors
  return [
    gauge('tracked_sockets', 'Open sockets that the guard tracks.', totals.tracked),
    ['sockets', 'gauge', SOCKETS, standing],
    ['outcomes_total', 'counter', OUTCOME, outcomes],
    ['condition_sockets', 'gauge', CONDITION, countConditions(report)],
    ['oldest_seconds', 'gauge', 'Age of the oldest condition by verdict.', oldest],
    ['unread_bytes', 'gauge', 'Received bytes that nobody has read, by verdict.', unread],
    ['unsent_bytes', 'gauge', 'Written bytes that the peer has not taken, by verdict.', unsent],
    gauge('leak_growth_per_hour', GROWTH, growthPerHour),
    gauge('open_descriptors', 'Open file descriptors.', openDescriptors),
    gauge('descriptor_limit', 'The soft limit of open files.', descriptorLimit),
    gauge('descriptor_limit_reached_seconds', FORECAST, forecast && forecast / 1000),
    gauge('held_ports', 'Ports of peers that half-closed sockets of ours hold.', heldPorts),
    gauge('parted_pairs', PARTED, partedPairs),
    ['open_connections', 'gauge', 'Open connections at the last census.', open],
    ['waiting_connections', 'gauge', WAITING, waitsIn(report, 0)],
    ['longest_wait_seconds', 'gauge', 'How long the longest of them has waited.', waitsIn(report, 1)],
    gauge('growing_sites', 'Sites whose open connections have done nothing but grow.', census.growingSites),
    gauge('queued_requests', QUEUED, queued),
    ['event_loop_stalls_total', 'counter', STALLS, [[{}, stalls.count]]],
    gauge('event_loop_stall_longest_seconds', LONGEST_STALL, stalls.longestMs / 1000),
    ['kernel_probe_info', 'gauge', PROBE, [[{ probe: kernel.probe }, 1]]],
  ]
}

function waitsIn({ census }: Report, which: 0 | 1): Sample[] {
  return DIRECTIONS.flatMap((direction) => {
    const counts = census[direction]
    const waits = {
      answer: [counts.unanswered, counts.longestUnansweredMs / 1000],
      reader: [counts.unread, counts.longestUnreadMs / 1000],
      use: [counts.unused, counts.longestUnusedMs / 1000],
    } as const
    return Object.entries(waits).map(([what, numbers]): Sample => [{ direction, for: what }, numbers[which]])
  })
}

function countConditions({ conditions, kernel }: Report): Sample[] {
  const samples: Sample[] = []
  for (const condition of CONDITIONS) {
    const isBlind = kernel.probe === 'none' && SEEN_BY_KERNEL_ONLY.has(condition)
    for (const verdict of STANDING) {
      const entry = conditions.find((one) => one.condition === condition && one.verdict === verdict)
      if (entry !== undefined || !isBlind) samples.push([{ condition, verdict }, entry?.count ?? 0])
    }
  }
  return samples
}

function byVerdict(report: Report, fold: (value: number, entry: ConditionCount) => number): Sample[] {
  return STANDING.map((verdict) => [
    { verdict },
    report.conditions.filter((entry) => entry.verdict === verdict).reduce(fold, 0),
  ])
}

function gauge(name: string, help: string, value: number | null): Family {
  return [name, 'gauge', help, value === null ? [] : [[{}, value]]]
}

function renderFamily([name, type, help, samples]: Family): string {
  if (samples.length === 0) return ''
  const lines = samples.map(([labels, value]) => `${PREFIX}${name}${formatLabels(labels)} ${value}\n`)
  return `# HELP ${PREFIX}${name} ${help}\n# TYPE ${PREFIX}${name} ${type}\n${lines.join('')}`
}

function formatLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escapeLabel(value: string): string {
  return makePrintable(value, 100).replaceAll(/[\\"]/g, '\\$&')
}
