import { formatDuration } from '../core/format.js'
import type {
  CensusReport,
  CensusSite,
  HttpClientReport,
  PressureReport,
  RequestCount,
  SnapshotQuery,
} from '../core/report.js'

export type CountedSite = Omit<CensusSite, 'limitReachedInMs' | 'line'>
export type CountedClient = Omit<HttpClientReport, 'line'>

export type Census = Omit<CensusReport, 'growingSites' | 'sites' | 'clients'> & {
  readonly sites: readonly CountedSite[]
  readonly clients: readonly CountedClient[]
}

const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000

export function buildCensus(
  { sites, clients, ...census }: Census,
  descriptors: PressureReport,
  { all = false }: SnapshotQuery,
  limit: number,
): CensusReport {
  const told = sites.filter((site) => all || site.growing || waitingAt(site) > 0)
  return {
    ...census,
    growingSites: sites.filter(({ growing }) => growing).length,
    sites: told
      .sort((a, b) => waitingAt(b) - waitingAt(a) || b.count - a.count)
      .slice(0, limit)
      .map((site) => {
        const limitReachedInMs = forecast(site, descriptors)
        return { ...site, limitReachedInMs, line: describeSite(site, limitReachedInMs) }
      }),
    clients: clients.map((client) => ({ ...client, line: describeClient(client) })),
  }
}

function waitingAt({ unanswered, unread, unused }: CountedSite): number {
  return unanswered + unread + unused
}

function forecast(
  { growing, growthPerMinute, growthPerHour }: CountedSite,
  { openDescriptors: open, descriptorLimit: limit }: PressureReport,
): number | null {
  const perMs = Math.max((growthPerMinute ?? 0) / MINUTE_MS, (growthPerHour ?? 0) / HOUR_MS)
  if (!growing || perMs <= 0 || open === null || limit === null) return null
  return Math.round(Math.max(0, limit - open) / perMs)
}

function describeSite(site: CountedSite, limitReachedInMs: number | null): string {
  const { direction, count, oldestMs, unanswered, unread, unused } = site
  const kind = direction === 'inbound' ? 'connection' : 'outgoing connection'
  const facts = [
    `${count} ${kind}${count === 1 ? '' : 's'} open, the oldest for ${formatDuration(oldestMs)}`,
    unanswered > 0 && `${unanswered} not answered for up to ${formatDuration(site.longestUnansweredMs)}`,
    unread > 0 &&
      `${unread} with an answer that nobody has read for up to ${formatDuration(site.longestUnreadMs)}`,
    site.requests.length > 0 && formatRequests(site.requests),
    unused > 0 && `${unused} never used, for up to ${formatDuration(site.longestUnusedMs)}`,
    site.growing && `growing by ${describeGrowth(site)}`,
    limitReachedInMs !== null && `the limit of open files is reached in ${formatDuration(limitReachedInMs)}`,
  ]
  return `${site.site}: ${facts.filter(Boolean).join('; ')}. ${adviceFor(site)}`.trimEnd()
}

function formatRequests(requests: readonly RequestCount[]): string {
  return requests.map(({ site, count }) => (count === 1 ? site : `${site} (${count})`)).join(', ')
}

function describeGrowth({ growthPerMinute, growthPerHour }: CountedSite): string {
  const perMinute = growthPerMinute ?? 0
  return perMinute >= 1
    ? `${rounded(perMinute)} a minute`
    : `${rounded(growthPerHour ?? perMinute * 60)} an hour`
}

function rounded(number: number): string {
  return number < 10 ? String(Number(number.toFixed(1))) : String(Math.round(number))
}

function adviceFor({ direction, unanswered, unread, unused, growing }: CountedSite): string {
  if (unanswered > 0)
    return direction === 'inbound'
      ? 'Look for a way through the handler that never answers.'
      : 'Bound the wait: request.setTimeout(), or signal: AbortSignal.timeout().'
  if (unread > 0) return 'Consume each answer (res.resume()) or give it up (res.destroy()).'
  if (unused > 0) return 'Close what nobody uses.'
  return growing
    ? 'Look for an agent, a client or a channel that is made for each call and never closed.'
    : ''
}

function describeClient(client: CountedClient): string {
  const { origin, library, busy, free, queued, longestQueuedMs } = client
  const requests = queued === 1 ? '1 request waits' : `${queued} requests wait`
  const running = formatRequests(client.busyWith)
  return (
    `${origin} (${library}): ${requests} for a connection, the longest for ${formatDuration(longestQueuedMs)}; ` +
    `${busy} busy${running === '' ? '' : ` with ${running}`}, ${free} free. ` +
    'Consume or destroy each answer, and bound each request by a time limit.'
  )
}
