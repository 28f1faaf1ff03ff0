/** Phrases about one socket that the text and the HTML report share. They are raw: whoever shows them escapes. */
import type { Endpoint, SiteReport, SocketReport } from '../core/report.js'
import { CONDITIONS } from '../core/vocabulary.js'
import { formatBytes } from './format-bytes.js'
import { formatDuration } from './format-duration.js'

/** `127.0.0.1:3000`, `[::1]:3000`, or the path of a pipe. */
export function formatEndpoint(endpoint: Endpoint | null): string {
  if (endpoint === null) return 'unknown'
  if (endpoint.port === null) return endpoint.address || 'pipe'
  const host = endpoint.address.includes(':') ? `[${endpoint.address}]` : endpoint.address
  return `${host}:${endpoint.port}`
}

/** The arrow points to the end that accepted the connection: `here <- peer` when that is here. */
export function formatConnection(socket: SocketReport): string {
  const arrow = socket.direction === 'inbound' ? '<-' : '->'
  return `${formatEndpoint(socket.local)} ${arrow} ${formatEndpoint(socket.remote)}`
}

/** `1.5 KiB unread, 3 B unsent`: what waits, and nothing for what does not. */
export function formatWaiting({ unreadBytes, unsentBytes }: SocketReport): string {
  const parts: string[] = []
  if (unreadBytes > 0) parts.push(`${formatBytes(unreadBytes)} unread`)
  if (unsentBytes > 0) parts.push(`${formatBytes(unsentBytes)} unsent`)
  return parts.join(', ')
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
  if (evidence.rttMs !== null) facts.push(`round trip ${Number(evidence.rttMs.toFixed(1))}ms`)
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

/** `1 socket`, `2 sockets`, `no sockets`. */
export function countSockets(count: number): string {
  return `${count === 0 ? 'no' : count} socket${count === 1 ? '' : 's'}`
}
