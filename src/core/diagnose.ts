/**
 * The one sentence that a tired reader needs: what happened, since when, whose code, what to do.
 * Every claim in it is a fact of the same report entry.
 */
import type { SocketReport } from './report.js'
import type { Condition, Kind } from './vocabulary.js'
import { formatBytes } from './format-bytes.js'
import { formatDuration } from './format-duration.js'

export type Undiagnosed = Omit<SocketReport, 'diagnosis'>

export function diagnose(socket: Undiagnosed): string {
  if (socket.condition === null) return describeHealthy(socket)
  const what = describeCondition(socket, socket.condition)
  const peer = describePeer(socket)
  return `${capitalize(subjectOf(socket))}: ${what}${peer}. ${remedyFor(socket.condition, socket)}`
}

function describeHealthy(socket: Undiagnosed): string {
  switch (socket.verdict) {
    case 'recovered':
      return `${capitalize(subjectOf(socket))}: was leaked and has recovered. Nothing to do.`
    case 'exempt':
      return `${capitalize(subjectOf(socket))}: exempt, the application keeps it on purpose. Nothing to do.`
    default:
      return `${capitalize(subjectOf(socket))}: healthy (${socket.phase}). Nothing to do.`
  }
}

function subjectOf({ direction, kind, owner, remote }: Undiagnosed): string {
  const name = {
    tcp: 'connection',
    tls: 'TLS connection',
    pipe: 'pipe',
    http: 'HTTP connection',
    websocket: 'WebSocket',
  }
  const noun = (name as Partial<Record<Kind, string>>)[kind] ?? 'tunnel'
  const label = owner.label === null ? '' : ` "${owner.label}"`
  const site = owner.site === '' ? '' : ` of ${owner.site}`
  if (direction === 'outbound') return `outgoing ${noun}${label}${site}`
  const from = remote === null ? '' : ` from ${formatEndpoint(remote)}`
  return `${noun}${label}${site}${from}`
}

function describeCondition(socket: Undiagnosed, condition: Condition): string {
  const since = formatDuration(socket.sinceMs)
  const unread = socket.unreadBytes > 0 ? formatBytes(socket.unreadBytes) : 'bytes'
  const unsent = formatBytes(socket.unsentBytes)
  const idle = formatDuration(socket.idleMs)
  switch (condition) {
    case 'eof-ignored':
      return `the peer ended ${since} ago and the application has not ended its side`
    case 'eof-unread':
      return `the peer ended ${since} ago, but ${unread} that nobody reads keep the end from being noticed`
    case 'fin-unseen':
      return `the peer ended, and nobody has read for ${since}: ${unread} wait in the kernel`
    case 'window-closed':
      return `nobody has read for ${idle}: ${unread} fill the receive buffer and the peer can't send on`
    case 'reset-unseen':
      return `the connection died (seen ${since} ago) and Node was not told; only the descriptor is left`
    case 'fin-wait':
      return `the application ended its side ${since} ago and the peer never did`
    case 'write-stalled':
      return `the connection is ending, but the peer has taken nothing for ${idle}: ${unsent} can't be sent`
    case 'closed-unread':
      return `both sides closed ${since} ago, but ${unread} that nobody read keep the descriptor open`
    case 'self-connected':
      return 'it connected to its own address and port and talks to itself'
  }
}

function describePeer({ evidence }: Undiagnosed): string {
  return evidence.peer === 'unknown' || evidence.peerBasis === ''
    ? ''
    : ` (peer ${evidence.peer}: ${evidence.peerBasis})`
}

function remedyFor(condition: Condition, { kind, direction }: Undiagnosed): string {
  switch (condition) {
    case 'eof-ignored':
      return kind === 'upgrade' || kind === 'connect'
        ? `Call socket.end() on 'end' in the ${kind} handler.`
        : "Call socket.end() on 'end', or create it with allowHalfOpen: false."
    case 'eof-unread':
    case 'fin-unseen':
    case 'window-closed':
      return remedyForUnread(kind, direction)
    case 'reset-unseen':
      return 'Call socket.destroy(); the guard does so by itself once all that was delivered has been read.'
    case 'fin-wait':
      return "Give the peer a time limit: socket.destroy() some time after 'finish'."
    case 'write-stalled':
      return 'Bound the wait: socket.resetAndDestroy() when the output makes no progress.'
    case 'closed-unread':
      return 'Read what the peer says (socket.resume()) before or after socket.end(), or use socket.destroySoon().'
    case 'self-connected':
      return 'Connect to a port outside the ephemeral range, or check that the server is up before connecting.'
  }
}

function remedyForUnread(kind: Kind, direction: 'inbound' | 'outbound'): string {
  if (kind === 'http' && direction === 'inbound')
    return 'Consume the request body (req.resume()) or destroy the request.'
  if (kind === 'websocket') return 'Resume the WebSocket (ws.resume()) or terminate it.'
  if (direction === 'outbound')
    return 'Consume the response body (res.resume(), body.cancel()) or destroy the request.'
  return 'Read it, call socket.resume(), or destroy both ends of the pipe (use stream.pipeline).'
}

export function formatEndpoint({
  address,
  port,
}: {
  readonly address: string
  readonly port: number | null
}): string {
  if (port === null) return address
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

function capitalize(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}
