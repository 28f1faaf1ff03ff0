import { formatEndpoint } from '../core/endpoint.js'
import { formatDuration } from '../core/format.js'
import type { SocketReport } from '../core/report.js'
import { SocketLeakGuardError } from '../base/errors.js'
import type { LeaksFoundError } from './index.js'

const LISTED_AT_MOST = 20
const FRAMES_AT_MOST = 4

export function leaksFound(sockets: readonly SocketReport[]): LeaksFoundError {
  const title =
    sockets.length === 1 ? '1 socket was left behind:' : `${sockets.length} sockets were left behind:`
  const lines = sockets.slice(0, LISTED_AT_MOST).map((socket) => `  - ${describeLeak(socket)}`)
  if (sockets.length > LISTED_AT_MOST) lines.push(`  - and ${sockets.length - LISTED_AT_MOST} more`)
  const error = new SocketLeakGuardError('SLG_ERR_LEAKS_FOUND', [title, ...lines].join('\n'))
  Object.defineProperty(error, 'sockets', { value: sockets })
  return error as LeaksFoundError
}

function describeLeak(socket: SocketReport): string {
  const text = socket.condition === null ? describeOpen(socket) : socket.diagnosis
  const frames = (socket.owner.stack ?? []).slice(0, FRAMES_AT_MOST)
  return [text, ...frames.map((frame) => `      ${frame.trim()}`)].join('\n')
}

function describeOpen({ direction, kind, owner, remote, sinceMs }: SocketReport): string {
  const label = owner.label === null ? '' : ` "${owner.label}"`
  const from = direction === 'outbound' || remote === null ? '' : ` from ${formatEndpoint(remote)}`
  return `${direction === 'inbound' ? 'Inbound' : 'Outgoing'} ${kind} socket${label}, ${owner.site}${from}: still open, first seen ${formatDuration(sinceMs)} ago`
}
