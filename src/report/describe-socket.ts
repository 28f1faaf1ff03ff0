/** Phrases about one socket that the text and the HTML report share. They are raw: whoever shows them escapes. */
import { formatEndpoint } from '../core/endpoint.js'
import { formatBytes, formatDuration } from '../core/format.js'
import type { Endpoint, Owner, RequestInfo, SiteReport, SocketReport, StallReport } from '../core/report.js'
import { CONDITIONS } from '../core/vocabulary.js'

/** `127.0.0.1:3000`, `[::1]:3000`, or the path of a pipe. */
export function nameEndpoint(endpoint: Endpoint | null): string {
  return endpoint === null ? 'unknown' : formatEndpoint(endpoint) || 'unnamed'
}

/** The arrow points to the end that accepted the connection: `here <- peer` when that is here. */
export function formatConnection(socket: SocketReport): string {
  const arrow = socket.direction === 'inbound' ? '<-' : '->'
  return `${nameEndpoint(socket.local)} ${arrow} ${nameEndpoint(socket.remote)}`
}

/** `1.5 KiB unread, 3 B unsent`: what waits, and nothing for what does not. */
export function formatWaiting({ unreadBytes, unsentBytes }: SocketReport): string {
  const parts: string[] = []
  if (unreadBytes > 0) parts.push(`${formatBytes(unreadBytes)} unread`)
  if (unsentBytes > 0) parts.push(`${formatBytes(unsentBytes)} unsent`)
  return parts.join(', ')
}

/** `GET /users/7`, and with its host where it goes out: `GET http://10.0.0.5:8080/users/7`. */
export function formatRequest({ method, origin, path }: RequestInfo): string {
  return `${method} ${origin ?? ''}${path}`
}

/** `pair with #3, client 10.0.0.7:50122, closed 2 min ago`: the other connection of the pair. */
export function formatPartner({ partner }: SocketReport): string {
  if (partner === null) return ''
  const who = `#${partner.id}, ${partner.direction} ${nameEndpoint(partner.remote)}`
  const since = partner.sinceMs === null ? '' : ` ${formatDuration(partner.sinceMs)} ago`
  return `pair with ${who}, ${partner.state}${since}, by ${partner.by}`
}

const ACCESS_WORDS = [
  ['created', 'opened at'],
  ['assigned', 'requested at'],
  ['reader', 'reader attached at'],
  ['paused', 'paused at'],
  ['wrote', 'last written at'],
  ['ended', 'ended at'],
] as const

/** `paused at app/proxy.js:42 - socket.pause()`: the innermost frame of each access that the stack does not show. */
export function describeAccesses({ accesses, stack }: Owner): string[] {
  if (accesses === undefined) return []
  return ACCESS_WORDS.flatMap(([kind, words]) => {
    const frame = accesses[kind]?.[0]
    return frame === undefined || frame === stack?.[0] ? [] : [`${words} ${frame}`]
  })
}

/** Everything a verdict rests on, in words; what no sensor could tell is left out. */
export function describeEvidence(socket: SocketReport): string[] {
  const { evidence } = socket
  const facts = [`peer ${evidence.peer}${evidence.peerBasis === '' ? '' : ` (${evidence.peerBasis})`}`]
  if (evidence.lastDataReceivedMs !== null)
    facts.push(`last data received ${formatDuration(evidence.lastDataReceivedMs)} ago`)
  if (evidence.lastDataSentMs !== null)
    facts.push(`last data sent ${formatDuration(evidence.lastDataSentMs)} ago`)
  if (evidence.lastAckReceivedMs !== null)
    facts.push(`last acknowledgement ${formatDuration(evidence.lastAckReceivedMs)} ago`)
  if (evidence.rttMs !== null) facts.push(`round trip ${Number(evidence.rttMs.toFixed(1))} ms`)
  if (evidence.retransmits) facts.push(`retransmits ${evidence.retransmits}`)
  if (evidence.probes) facts.push(`unanswered probes ${evidence.probes}`)
  if (evidence.keepAlive !== 'off') facts.push(`keep-alive set by the ${evidence.keepAlive}`)
  return facts
}

/** `eof-ignored 3, fin-wait 1`: in the order of the vocabulary. */
export function formatConditions(site: SiteReport): string {
  return CONDITIONS.filter((condition) => site.conditions[condition])
    .map((condition) => `${condition} ${site.conditions[condition]}`)
    .join(', ')
}

/** `blocked 3 times, for 4 s at the longest; last 2 min ago, for 800 ms`; empty when it never was. */
export function describeStalls({ count, longestMs, lastMs, lastEndedMs }: StallReport): string {
  if (count === 0 || lastEndedMs === null) return ''
  const times = count === 1 ? 'once' : `${count} times`
  const longest = count === 1 ? '' : `, for ${formatDuration(longestMs)} at the longest`
  return `blocked ${times}${longest}; last ${formatDuration(lastEndedMs)} ago, for ${formatDuration(lastMs)}`
}

/** `1 socket`, `2 sockets`, `no sockets`. */
export function countSockets(count: number): string {
  return `${count === 0 ? 'no' : count} socket${count === 1 ? '' : 's'}`
}
