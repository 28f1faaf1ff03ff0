import type { Owner, Usage, SocketReport, Waits } from '../core/report.js'
import type { Condition, Kind, Verdict } from '../core/vocabulary.js'
import { formatBytes, formatDuration } from '../core/format.js'
import { formatEndpoint } from '../core/endpoint.js'
import { countStreams, formatRequest } from './phrases.js'
import { describePartner, remedyForPair } from './pair-lines.js'

export type Undiagnosed = Omit<SocketReport, 'diagnosis'>

const UNUSED: Usage = { hasReadableListener: false, canReset: true, isPiped: false, answerers: '' }

export function diagnose(socket: Undiagnosed, usage = UNUSED): string {
  const { condition } = socket
  const what = condition === null ? describeCalm(socket, usage) : describeTrouble(socket, condition, usage)
  const subject = subjectOf(socket)
  return `${subject.slice(0, 1).toUpperCase()}${subject.slice(1)}: ${what}`
}

function isUnanswered({ context }: Owner): boolean {
  return context['upgrade'] === 'unanswered' || context['connect'] === 'unanswered'
}

const CALM: Readonly<Partial<Record<Verdict, string>>> = {
  recovered: 'has recovered; it was leaked',
  exempt: 'exempt, the application keeps it on purpose',
  reclaimed: 'closed by the guard',
  dead: 'died, its peer is gone',
}

function describeCalm(socket: Undiagnosed, usage: Usage): string {
  const { verdict, phase, owner, idleMs, evidence } = socket
  const calm = CALM[verdict]
  if (calm !== undefined) return `${calm}. Nothing to do.`
  if (isUnanswered(owner))
    return `${phase}, and ${describeUnanswered(socket, ` for ${formatDuration(idleMs)}`, usage)}.`
  const idle = idleMs < 1000 ? '' : `, no byte has moved for ${formatDuration(idleMs)}`
  if (phase === 'open' && evidence.heldBack === 'handshake')
    return `open on both sides${idle}: its TLS handshake is not finished. ${remedyForOutput(socket, usage)}`
  if (evidence.waits !== null) return `open on both sides; ${describeWaits(socket, evidence.waits)}`
  if (phase !== 'open') return `healthy (${phase}). Nothing to do.`
  return `open on both sides${idle}. Nothing to do.`
}

function describeWaits(socket: Undiagnosed, { for: what, ms, unreadBytes }: Waits): string {
  const time = formatDuration(ms)
  const unread = unreadBytes > 0 ? formatBytes(unreadBytes) : null
  switch (what) {
    case 'answer':
      return socket.direction === 'inbound'
        ? `nobody has answered its request for ${time}${unread === null ? '' : `, and ${unread} of its body are unread`}. If that lasts, look for a way through the handler that never answers.`
        : `its request has waited ${time} for an answer. Bound the wait: request.setTimeout(), or signal: AbortSignal.timeout().`
    case 'end':
      return `its request was not ended, and has not moved for ${time}. Call request.end().`
    case 'reader':
      return `nobody has read the ${unread ?? 'end'} of its answer for ${time}, which keeps the connection busy. ${remedyForUnread({ ...socket, kind: 'http' }, UNUSED)}`
    case 'use':
      return `${socket.kind === 'tls' ? 'nothing but its TLS handshake' : 'no byte'} has ever moved on it, for ${time}. Close what nobody uses.`
  }
}

function describeUnanswered({ kind, partner }: Undiagnosed, more: string, { answerers }: Usage): string {
  const who =
    partner !== null && partner.state === 'open' && partner.remote !== null
      ? ` (nor has its upstream ${formatEndpoint(partner.remote)})`
      : answerers === ''
        ? ''
        : ` (listeners: ${answerers})`
  return `nobody has answered its ${REQUESTS[kind]}${more}${who}`
}

function describeTrouble(socket: Undiagnosed, condition: Condition, usage: Usage): string {
  const silence = isUnanswered(socket.owner)
    ? `, and ${describeUnanswered(socket, ' nor ended it', usage)}`
    : ''
  const what = describeCondition(socket, condition) + silence + describePeer(socket) + describeLoss(socket)
  const { seenBy, verdict } = socket
  switch (verdict) {
    case 'recovered':
      return `has recovered; it was leaked: ${what}. Nothing to do.`
    case 'exempt':
      return `${what}. Exempt, the application keeps it on purpose.`
    case 'dead':
      return seenBy === 'stream'
        ? `${what}. It died: its peer is gone. Nothing to do.`
        : `${what}. The guard closed it, nothing was lost.`
    case 'stalled':
      return `${what}. That is no leak while both sides are open. ${remedyForStall(condition, socket, usage)}`
    case 'reclaimed':
      return `${what}, so the guard closed it. ${remedyOf(condition, socket, usage)}`
    default:
      return `${what}. ${remedyOf(condition, socket, usage)}`
  }
}

function describeLoss({ condition, partner }: Undiagnosed): string {
  return partner?.state === 'closed' && condition !== 'abandoned' ? `; ${describePartner(partner)}` : ''
}

function remedyOf(condition: Condition, socket: Undiagnosed, usage: Usage): string {
  const { partner } = socket
  return partner?.state === 'closed' || (condition === 'abandoned' && partner !== null)
    ? remedyForPair(partner, partner.by)
    : remedyFor(condition, socket, usage)
}

const REQUESTS: Readonly<Partial<Record<Kind, string>>> = { upgrade: 'upgrade', connect: 'CONNECT' }

const NOUNS: Readonly<Record<Kind, string>> = {
  tcp: 'connection',
  tls: 'TLS connection',
  http: 'HTTP connection',
  h2: 'HTTP/2 session',
  upgrade: 'upgraded connection',
  connect: 'tunnel',
  websocket: 'WebSocket',
  pipe: 'pipe',
}

function subjectOf({ direction, kind, owner, remote, bornBeforeGuard }: Undiagnosed): string {
  const label = owner.label === null ? '' : ` "${owner.label}"`
  const address = remote === null ? '' : formatEndpoint(remote)
  const peer = remote === null ? '' : `${direction === 'inbound' ? 'from' : 'to'} ${address}`
  const isNamedByPeer =
    owner.site === '' || (peer !== '' && owner.site.startsWith('to ')) || owner.site === 'outgoing'
  // `GET /proxy/:id → 10.0.0.5:443` names the peer already.
  const isPeerNamed = remote !== null && owner.site.endsWith(`→ ${address}`)
  const words = [
    `${isUnanswered(owner) ? 'connection' : NOUNS[kind]}${label}`,
    isNamedByPeer ? '' : `of ${isUnanswered(owner) ? owner.site : owner.site.replace(/^upgrade (?=\/)/, '')}`,
    isPeerNamed ? '' : peer,
    owner.request?.origin === undefined ? '' : `(${formatRequest(owner.request)})`,
    bornBeforeGuard === true ? '(born before the guard: times count from there)' : '',
  ]
  return (direction === 'outbound' ? 'outgoing ' : '') + words.filter((word) => word !== '').join(' ')
}

function describeCondition(socket: Undiagnosed, condition: Condition): string {
  const since = formatDuration(socket.sinceMs)
  const idle = formatDuration(socket.idleMs)
  const unread = socket.unreadBytes > 0 ? formatBytes(socket.unreadBytes) : null
  const waits = (some: string, none: string): string => (unread === null ? none : `${unread} ${some}`)
  const unsent = socket.unsentBytes > 0 ? formatBytes(socket.unsentBytes) : null
  switch (condition) {
    case 'eof-ignored':
      return isUnanswered(socket.owner)
        ? `the peer ended ${since} ago`
        : `the peer ended ${since} ago and the application has not ended its side`
    case 'eof-unread':
      return `the peer ended ${since} ago, but ${waits('that nobody reads keep', 'what nobody reads keeps')} the end from being noticed`
    case 'fin-unseen':
      return `the peer ended (seen ${since} ago), but nobody has read for ${idle}${unread === null ? '' : `: ${unread} wait before the end`}`
    case 'window-closed':
      if (socket.streams !== null) return `nobody has read a stream for ${idle}: ${unread} of it wait here`
      return `nobody has read for ${idle}: ${waits('wait', 'what came waits')} in the receive buffer and may hold the peer up`
    case 'reset-unseen':
      return `the connection died (seen ${since} ago) and Node was not told: ${waits('are unread', 'only the descriptor is left')}`
    case 'fin-wait':
      if (socket.streams !== null)
        return `the session is closed, and nothing has moved for ${idle}: it waits for the end of ${countStreams(socket.streams.open)}`
      return `the application ended its side ${since} ago, and the end of the peer has not been seen`
    case 'write-stalled':
      return describeOutput(socket, idle, unsent)
    case 'closed-unread':
      return `both sides are closed (seen ${since} ago), but ${waits('that nobody read keep', 'nobody reads on to the end, which keeps')} the descriptor open`
    case 'self-connected':
      return `it connected to its own address and port and talks to itself (seen ${since} ago)`
    case 'abandoned':
      return socket.partner === null
        ? `the other connection of its pair left ${since} ago, and nobody told it`
        : `${describePartner(socket.partner)}, and nobody told it`
  }
}

function hasPeerEnded({ phase, kernelState }: Undiagnosed): boolean {
  return phase === 'closing' || phase === 'peer-ended' || kernelState === 'CLOSE_WAIT'
}

function describeUnfinishedHandshake(socket: Undiagnosed, unsent: string | null): string {
  const who = hasPeerEnded(socket) ? 'the peer has ended, and the' : 'the'
  return `${who} TLS handshake was never finished: ${unsent ?? 'the output'} can't leave before that`
}

function describeOutput(socket: Undiagnosed, idle: string, unsent: string | null): string {
  const { phase, evidence } = socket
  if (evidence.heldBack === 'handshake') return describeUnfinishedHandshake(socket, unsent)
  if (evidence.heldBack === 'window')
    return `for ${idle} the peer's HTTP/2 window has taken nothing: ${unsent ?? 'output'} of a stream is waiting`
  const ends =
    phase === 'open' && !hasPeerEnded(socket)
      ? 'the connection is open both ways'
      : 'the connection is ending'
  return evidence.heldBack === 'corked'
    ? `${ends}, but the application holds ${unsent ?? 'output'} back: socket.cork() and for ${idle} no socket.uncork()`
    : `${ends}, but no output has left for ${idle}${unsent === null ? '' : `: ${unsent} are waiting`}`
}

function describePeer({ condition, evidence }: Undiagnosed): string {
  // The sentence says already that both sides are closed.
  if (condition === 'closed-unread' && evidence.peer === 'gone') return ''
  return evidence.peer === 'unknown' || evidence.peerBasis === ''
    ? ''
    : ` (peer ${evidence.peer}: ${evidence.peerBasis})`
}

function remedyForStall(condition: Condition, socket: Undiagnosed, usage: Usage): string {
  if (socket.kind === 'h2') return remedyFor(condition, socket, usage)
  if (condition !== 'window-closed') return remedyForOutput(socket, usage)
  return 'Nothing to do if it is meant; else look for who has paused it, or at what it is piped to.'
}

function remedyForOutput(socket: Undiagnosed, usage: Usage): string {
  const { phase, evidence } = socket
  if (evidence.heldBack === 'corked') return 'Call socket.uncork() as often as socket.cork().'
  if (evidence.heldBack === null) return `Bound the wait: ${remedyForStalled(socket, usage)}.`
  return phase === 'open'
    ? 'Bound the handshake: handshakeTimeout of a server, socket.setTimeout() of a client.'
    : 'Call socket.destroy() instead of end() where the handshake has failed.'
}

function remedyFor(condition: Condition, socket: Undiagnosed, usage: Usage): string {
  const { kind, owner } = socket
  if (isUnanswered(owner))
    return `Answer or destroy the socket in the '${kind}' listener also where nobody serves the target.`
  if (kind === 'h2' && socket.evidence.heldBack !== 'handshake') return remedyForSession(condition, socket)
  switch (condition) {
    case 'eof-ignored':
      return remedyForIgnoredEnd(socket)
    case 'eof-unread':
    case 'fin-unseen':
    case 'window-closed':
      return remedyForUnread(socket, usage)
    case 'reset-unseen':
      return `Call ${kind === 'websocket' ? 'ws.terminate()' : 'socket.destroy()'}; with reclaimDead the guard closes it once all that was delivered has been read.`
    case 'fin-wait':
      return kind === 'websocket'
        ? `Give the close a time limit: ws.terminate() some time after ws.close()${socket.direction === 'inbound' ? ', or closeTimeoutMs of the ws adapter' : ''}.`
        : "Give the peer a time limit: socket.destroy() some time after 'finish'."
    case 'write-stalled':
      return remedyForOutput(socket, usage)
    case 'closed-unread':
      return kind === 'websocket' || kind === 'http'
        ? remedyForUnread(socket, usage)
        : usage.hasReadableListener
          ? `${readAll('socket')} before or after socket.end(), or use socket.destroySoon().`
          : 'Read what the peer says (socket.resume()) before or after socket.end(), or use socket.destroySoon().'
    case 'self-connected':
      return 'Connect to a port outside the ephemeral range, or check that the server is up before connecting.'
    case 'abandoned':
      return 'Destroy both ends of a pair together.'
  }
}

// `session.socket` throws ERR_HTTP2_NO_SOCKET_MANIPULATION. `close()` and `destroy()` end the connection and wait for
// its output; only `destroy()` of an open session then destroys it (lib/internal/http2/core.js `finishSessionClose`).
function remedyForSession(condition: Condition, { direction, evidence, streams }: Undiagnosed): string {
  if (condition === 'window-closed')
    return 'Read the stream (stream.resume()) or give it up (stream.close(http2.constants.NGHTTP2_CANCEL)).'
  if (condition === 'write-stalled' && evidence.heldBack !== 'window') {
    const where =
      direction === 'inbound' ? "the server's 'connection' event gave" : 'createConnection() returned'
    return `Destroy the socket that ${where}: session.destroy() waits for the output too, and session.socket throws.`
  }
  return condition === 'write-stalled' && streams?.isClosed === false
    ? 'Bound the wait: session.setTimeout(ms, () => session.destroy()).'
    : 'Give the peer a limit: session.destroy(), or session.goaway() and session.destroy() some time later. What session.close() has closed waits for its peer for ever.'
}

function readAll(name: string): string {
  return `Call ${name}.read() until it returns null: with its 'readable' listener resume() has no effect;`
}

function remedyForIgnoredEnd({ kind, direction }: Undiagnosed): string {
  if (kind === 'upgrade' || kind === 'connect') return `Call socket.end() on 'end' in the ${kind} handler.`
  if (kind === 'websocket')
    return `Call ws.terminate() when its peer has gone${direction === 'inbound' ? ', or set closeTimeoutMs of the ws adapter' : ''}.`
  // An HTTP server keeps such a connection if it was told to.
  if (kind === 'http' && direction === 'inbound')
    return 'Call response.end(), or leave server.httpAllowHalfOpen at false.'
  return "Call socket.end() on 'end', or create it with allowHalfOpen: false."
}

function remedyForUnread({ kind, direction, owner }: Undiagnosed, usage: Usage): string {
  if (kind === 'http' && usage.hasReadableListener)
    return direction === 'inbound'
      ? `${readAll('req')} or destroy the request.`
      : `${readAll('res')} or give it up (res.destroy()).`
  if (kind === 'http') {
    return direction === 'inbound'
      ? 'Consume the request body (req.resume()) or destroy the request.'
      : 'Consume the response body (res.resume(), or body.cancel() with fetch) or give it up (res.destroy()).'
  }
  if (kind === 'websocket') {
    return owner.context.webSocket === 'paused'
      ? 'The application has paused it: call ws.resume(), or ws.terminate() to give it up.'
      : 'Resume the WebSocket (ws.resume()) or terminate it.'
  }
  const read = usage.hasReadableListener ? readAll('socket') : 'Read it, call socket.resume(),'
  if (kind === 'connect') return `${read} or destroy both ends of the tunnel.`
  return usage.isPiped
    ? `${read} or destroy both ends of the pipe (use stream.pipeline).`
    : `${read} or give it up (socket.destroy()).`
}

function remedyForStalled({ kind, direction }: Undiagnosed, { canReset }: Usage): string {
  if (kind === 'websocket') return 'ws.terminate() when ws.bufferedAmount does not go down'
  if (kind === 'http' && direction === 'inbound')
    return 'set server.timeout, which destroys a connection that makes no progress'
  if (kind === 'http')
    return 'request.destroy(), or an AbortSignal with fetch, when the output makes no progress'
  return `socket.${canReset ? 'resetAndDestroy' : 'destroy'}() when the output makes no progress`
}
