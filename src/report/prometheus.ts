/**
 * Prometheus text exposition, version 0.0.4. Every label comes from a closed set of words (the probe's name, which the
 * application chooses, is one per process): never an address, a path, a label or a site, because a time series that
 * appears for every client outlives the client.
 */
import type { ConditionCount, Report } from '../core/report.js'
import { CONDITIONS, type Condition, type Verdict } from '../core/vocabulary.js'
import { makePrintable } from './printable.js'

export const PROMETHEUS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

const PREFIX = 'socket_leak_guard_'
const STANDING = ['suspect', 'leaked', 'exempt'] as const satisfies readonly Verdict[]
const OUTCOMES = ['recovered', 'reclaimed', 'dead'] as const satisfies readonly Verdict[]

/** Without a view of the kernel these can't be seen at all: an absent series says so, a zero would lie. */
const SEEN_BY_KERNEL_ONLY: ReadonlySet<Condition> = new Set(['fin-unseen', 'window-closed'])

type Labels = Readonly<Record<string, string>>
type Sample = readonly [labels: Labels, value: number]

/** Takes counts alone: give it a report of `limit: 0`, and no socket needs to be described. */
export function renderPrometheus(report: Report): string {
  const { totals, kernel, descriptors } = report
  return [
    family('tracked_sockets', 'gauge', 'Open sockets that the guard tracks.', [[{}, totals.tracked]]),
    family(
      'sockets',
      'gauge',
      'Open sockets by verdict: suspect (grace runs), leaked (grace is over), exempt (declared as meant).',
      STANDING.map((verdict) => [{ verdict }, totals[verdict]]),
    ),
    family(
      'outcomes_total',
      'counter',
      'Sockets since the guard was installed that the application put right (recovered), ' +
        'that the guard closed (reclaimed), or that were proven dead and closed at once (dead).',
      OUTCOMES.map((verdict) => [{ verdict }, totals[verdict]]),
    ),
    family(
      'condition_sockets',
      'gauge',
      'Open sockets by condition and verdict. A condition that can not be seen on this system is absent.',
      countConditions(report),
    ),
    family(
      'oldest_seconds',
      'gauge',
      'Age of the oldest condition by verdict.',
      byVerdict(report, (longest, { oldestMs }) => Math.max(longest, oldestMs / 1000)),
    ),
    family(
      'unread_bytes',
      'gauge',
      'Received bytes that nobody has read, by verdict.',
      byVerdict(report, (sum, { unreadBytes }) => sum + unreadBytes),
    ),
    family(
      'unsent_bytes',
      'gauge',
      'Written bytes that the peer has not taken, by verdict.',
      byVerdict(report, (sum, { unsentBytes }) => sum + unsentBytes),
    ),
    family('leak_growth_per_hour', 'gauge', 'Leaked minus healed and reclaimed sockets over the last hour.', [
      [{}, report.growthPerHour],
    ]),
    family('open_descriptors', 'gauge', 'Open file descriptors.', known(descriptors.openDescriptors)),
    family('descriptor_limit', 'gauge', 'The soft limit of open files.', known(descriptors.descriptorLimit)),
    family(
      'descriptor_limit_reached_seconds',
      'gauge',
      'Until the limit is reached if leaks go on as in the last hour; absent while that is not in sight.',
      known(seconds(report.limitReachedInMs)),
    ),
    family('held_ports', 'gauge', 'Ports of peers that half-closed sockets of ours hold.', [
      [{}, report.ports.reduce((sum, { heldPorts }) => sum + heldPorts, 0)],
    ]),
    family(
      'parted_pairs',
      'gauge',
      'Pairs of connections of which one side has gone and the other goes on.',
      [[{}, report.partedPairs]],
    ),
    family(
      'event_loop_stalls_total',
      'counter',
      'Times that the event loop was blocked, as the sweep noticed.',
      [[{}, report.stalls.count]],
    ),
    family('event_loop_stall_longest_seconds', 'gauge', 'The longest time that the event loop was blocked.', [
      [{}, report.stalls.longestMs / 1000],
    ]),
    family('kernel_probe_info', 'gauge', 'The view of the kernel in use; none: there is no such view.', [
      [{ probe: kernel.probe }, 1],
    ]),
  ].join('')
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

/** What is unknown is absent, not 0. */
function known(value: number | null): Sample[] {
  return value === null ? [] : [[{}, value]]
}

function seconds(ms: number | null): number | null {
  return ms === null ? null : ms / 1000
}

function family(name: string, type: 'gauge' | 'counter', help: string, samples: readonly Sample[]): string {
  if (samples.length === 0) return ''
  const lines = [`# HELP ${PREFIX}${name} ${help}`, `# TYPE ${PREFIX}${name} ${type}`]
  for (const [labels, value] of samples) lines.push(`${PREFIX}${name}${formatLabels(labels)} ${value}`)
  return `${lines.join('\n')}\n`
}

function formatLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escapeLabel(value: string): string {
  return makePrintable(value, 100).replaceAll('\\', '\\\\').replaceAll('"', '\\"')
}
