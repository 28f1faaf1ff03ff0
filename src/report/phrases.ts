import { formatEndpoint, type Endpoint } from '../core/endpoint.js'
import { formatBytes, formatDuration } from '../core/format.js'
import type {
  CodeReport,
  HealedSite,
  OrphanSocket,
  Owner,
  Report,
  RequestInfo,
  SiteReport,
  SocketReport,
  StallReport,
} from '../core/report.js'
import { CONDITIONS, type Condition } from '../core/vocabulary.js'

export const MOST_CENSUS_LINES = 20
export const MOST_SITES = 20
export const MOST_PAIRS = 20
export const MOST_PEERS = 10
const MOST_STREAMS = 3

export function countRest(rest: number, many: string): string[] {
  return rest > 0 ? [`and ${rest} more ${many}`] : []
}

export function nameEndpoint(endpoint: Endpoint | null): string {
  return endpoint === null ? 'unknown' : formatEndpoint(endpoint) || 'unnamed'
}

export function formatConnection(socket: SocketReport): string {
  const arrow = socket.direction === 'inbound' ? '<-' : '->'
  return `${nameEndpoint(socket.local)} ${arrow} ${nameEndpoint(socket.remote)}`
}

export function formatWaiting({
  unreadBytes,
  unsentBytes,
}: Pick<SocketReport, 'unreadBytes' | 'unsentBytes'>): string {
  const unread = unreadBytes > 0 ? `${formatBytes(unreadBytes)} unread` : ''
  const unsent = unsentBytes > 0 ? `${formatBytes(unsentBytes)} unsent` : ''
  return unread + (unread && unsent && ', ') + unsent
}

export function formatContext({ context }: Owner, separator: string): string {
  return Object.entries(context)
    .map(([key, value]) => `${key}=${value}`)
    .join(separator)
}

export function formatRequest({ method, origin = '', path }: RequestInfo): string {
  if (origin === '' || path.startsWith('/')) return `${method} ${origin}${path}`
  return `${method} ${path} ${path === '*' ? 'at' : 'via'} ${origin}`
}

export function formatPartner({ partner }: SocketReport): string {
  if (partner === null) return ''
  const who = `#${partner.id}, ${partner.direction} ${nameEndpoint(partner.remote)}`
  const since = partner.sinceMs === null ? '' : ` ${formatDuration(partner.sinceMs)} ago`
  return `pair with ${who}, ${partner.state}${since}, by ${partner.by}`
}

export function formatStreams({ streams }: SocketReport): string {
  if (streams === null || streams.open === 0) return ''
  const { open, oldest } = streams
  const shown = oldest.slice(0, MOST_STREAMS).map(({ id, method, path, ageMs, ...bytes }) => {
    const name = path === null ? `stream ${id ?? 'pending'}` : `${method ?? ''} ${path}`
    const waiting = formatWaiting(bytes)
    return `${name}${ageMs === null ? '' : ` for ${formatDuration(ageMs)}`}${waiting && ` (${waiting})`}`
  })
  const rest = open > shown.length ? [`and ${open - shown.length} more`] : []
  return `${countStreams(open)}: ${[...shown, ...rest].join(', ')}`
}

const ACCESS_WORDS = [
  ['created', 'opened at'],
  ['assigned', 'requested at'],
  ['reader', 'reader attached at'],
  ['paused', 'paused at'],
  ['wrote', 'last written at'],
  ['ended', 'ended at'],
] as const

/** `paused at app/proxy.js:42 - socket.pause()`: accesses whose innermost frame the stack does not show. */
export function describeAccesses({ accesses, stack }: Owner): string[] {
  if (accesses === undefined) return []
  return ACCESS_WORDS.flatMap(([kind, words]) => {
    const frame = accesses[kind]?.[0]
    return frame === undefined || frame === stack?.[0] ? [] : [`${words} ${frame}`]
  })
}

export function describeEvidence({ evidence }: SocketReport): string[] {
  const facts = [`peer ${evidence.peer}${evidence.peerBasis === '' ? '' : ` (${evidence.peerBasis})`}`]
  const ages = {
    'data received': evidence.lastDataReceivedMs,
    'data sent': evidence.lastDataSentMs,
    acknowledgement: evidence.lastAckReceivedMs,
  }
  for (const [what, age] of Object.entries(ages))
    if (age !== null) facts.push(`last ${what} ${formatDuration(age)} ago`)
  if (evidence.rttMs !== null) facts.push(`round trip ${Number(evidence.rttMs.toFixed(1))} ms`)
  if (evidence.retransmits) facts.push(`retransmits ${evidence.retransmits}`)
  if (evidence.probes) facts.push(`unanswered probes ${evidence.probes}`)
  if (evidence.keepAlive !== 'off') facts.push(`keep-alive set by the ${evidence.keepAlive}`)
  if (evidence.fd !== null)
    facts.push(`fd ${evidence.fd}${evidence.inode === null ? '' : `, inode ${evidence.inode}`}`)
  if (evidence.heldBy.length > 0) facts.push(`held by ${evidence.heldBy.join(', ')}`)
  if (evidence.ifClosed !== null) facts.push(`if closed: ${evidence.ifClosed}`)
  return facts
}

interface Moment {
  readonly agoMs: number
  readonly text: string
}

export function timelineOf(socket: SocketReport): Moment[] {
  const { evidence, condition, partner, sinceMs, idleMs, bornBeforeGuard } = socket
  const began = condition === null ? 'first seen' : `${condition}: ${DESCRIPTIONS[condition]}`
  const moments: readonly (readonly [number | null, string])[] = [
    [sinceMs, bornBeforeGuard === true && condition === null ? 'the guard was installed' : began],
    [idleMs, 'the last byte was seen to move'],
    [evidence.lastDataReceivedMs, 'data received (kernel)'],
    [evidence.lastDataSentMs, 'data sent (kernel)'],
    [evidence.lastAckReceivedMs, 'the peer acknowledged something (kernel)'],
    [partner?.sinceMs ?? null, `the other side of its pair (#${partner?.id}) ${partner?.state}`],
    [evidence.waits?.ms ?? null, `began to wait: ${evidence.waits?.for}`],
  ]
  return moments
    .flatMap(([agoMs, text]) => (agoMs === null ? [] : [{ agoMs, text }]))
    .sort((a, b) => b.agoMs - a.agoMs)
}

export function formatConditions(site: Pick<SiteReport, 'conditions'>): string {
  return CONDITIONS.filter((condition) => site.conditions[condition])
    .map((condition) => `${condition} ${site.conditions[condition]}`)
    .join(', ')
}

export function describeCode({ id, site, code, reason, blockedMs }: CodeReport): string[] {
  const cost = `found in ${formatDuration(blockedMs)}`
  const what = reason ?? (code.length === 0 ? 'no function of the application or its packages' : cost)
  const lines = code.map(
    ({ how, name, place, package: from }) =>
      `${how} -> ${name}${from === null ? '' : ` (${from})`}: ${place}`,
  )
  return [`Held at ${site} (#${id}): ${what}`, ...lines]
}

export function describeStalls({ count, longestMs, lastMs, lastEndedMs }: StallReport): string {
  if (count === 0 || lastEndedMs === null) return ''
  const times = count === 1 ? 'once' : `${count} times`
  const longest = count === 1 ? '' : `, for ${formatDuration(longestMs)} at the longest`
  return `blocked ${times}${longest}; last ${formatDuration(lastEndedMs)} ago, for ${formatDuration(lastMs)}`
}

export function countSockets(count: number): string {
  return `${count === 0 ? 'no' : count} socket${count === 1 ? '' : 's'}`
}

export function countStreams(count: number): string {
  return `${count === 0 ? 'no' : count} open stream${count === 1 ? '' : 's'}`
}

const NOTABLE_SHARE = 0.01
const NOTABLE_USAGE = 0.5

export function describeTrend({ count, leakedTotal, growthPerHour, descriptorShare }: SiteReport): string[] {
  const parts: string[] = []
  if (leakedTotal > count) parts.push(`${leakedTotal} leaked since start`)
  const growth = Math.abs(growthPerHour) < 10 ? Number(growthPerHour.toFixed(1)) : Math.round(growthPerHour)
  if (growth !== 0) parts.push(`${growth > 0 ? '+' : ''}${growth}/h`)
  if (descriptorShare !== null && descriptorShare >= NOTABLE_SHARE)
    parts.push(`${Math.round(descriptorShare * 100)} % of open descriptors`)
  return parts
}

/** A site whose leaks the guard closes still leaks. */
export function isRecovered({ reclaimed }: HealedSite): boolean {
  return reclaimed === 0
}

export function describeHealing({ leakedTotal, reclaimed, healedMs }: HealedSite): string {
  const closed = reclaimed === 0 ? '' : `, ${reclaimed} of them closed by the guard`
  return `${leakedTotal} leaked since start${closed}, none now (for ${formatDuration(healedMs)})`
}

export const DESCRIPTIONS: Readonly<Record<Condition, string>> = {
  'eof-ignored': 'the peer closed and the application was told, but never ended its own side',
  'eof-unread': 'the peer closed, but its end of stream waits behind bytes that nobody reads',
  'fin-unseen': 'the peer closed, but Node is not reading and has not noticed',
  'window-closed': 'the receive buffer is full because nobody reads; the peer can send no more',
  'reset-unseen': 'the connection is dead in the kernel and Node has not noticed',
  'fin-wait': 'the application ended its side and the peer never ends',
  'write-stalled': 'unsent bytes do not drain: the peer takes none, or they are held back here',
  'closed-unread': 'both sides closed in good order, but unread bytes keep the descriptor open',
  'self-connected': 'a client connected to its own address and port',
  abandoned: 'the other connection of its pair has left, and nobody told this one',
}

export function describeBooks(report: Report): { readonly name: string; readonly text: string }[] {
  return [
    { name: 'descriptors', text: describeDescriptors(report) },
    { name: 'untracked', text: describeOrphans(report) },
    ...(report.orphans?.closeWait ?? []).map((orphan) => ({
      name: 'untracked',
      text: describeOrphan(orphan),
    })),
    ...report.closing.map(({ server, line }) => ({
      name: 'closing',
      text: `${server ?? 'the process'}, ${line}`,
    })),
    ...(report.lint ?? []).map(({ message, remedy, where }) => ({
      name: 'lint',
      text: `${where === null ? '' : `${where}: `}${message}. ${remedy}`,
    })),
  ].filter(({ text }) => text !== '')
}

function describeDescriptors({ descriptors, limitReachedInMs }: Report): string {
  const { openDescriptors: open, descriptorLimit: limit, pressure, reclaimed } = descriptors
  if (open === null || limit === null) return ''
  const isNotable =
    open / limit >= NOTABLE_USAGE || (pressure ?? 0) > 0 || reclaimed > 0 || limitReachedInMs !== null
  if (!isNotable) return ''
  const forecast =
    limitReachedInMs === null
      ? ''
      : `; at the growth of the last hour the limit is reached in ${formatDuration(limitReachedInMs)}`
  return `${open} of ${limit} open${forecast}${reclaimed === 0 ? '' : `; ${reclaimed} reclaimed under pressure`}`
}

function describeOrphans({ orphans }: Report): string {
  if (orphans === null || orphans.tcp === 0) return ''
  const states = Object.entries(orphans.states).map(([state, count]) => `${count} ${state}`)
  const sockets = orphans.tcp === 1 ? '1 TCP socket' : `${orphans.tcp} TCP sockets`
  return `${sockets} (${states.join(', ')}) that the guard never saw; who opened or holds them can't be known`
}

function describeOrphan({ fd, local, remote, ...bytes }: OrphanSocket): string {
  const waiting = formatWaiting(bytes)
  return `fd ${fd} in CLOSE_WAIT: ${formatEndpoint(local)} - ${formatEndpoint(remote)}${waiting && `, ${waiting}`}`
}

export function formatInstant(iso: string): string {
  return iso.replace(/^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(?:\.\d+)?Z$/, '$1 $2 UTC')
}
