import { formatDuration } from '../core/format.js'
import type { ClosingReport, Hold } from '../core/report.js'

const WORDS: Readonly<Record<Hold, string>> = {
  upgrade: 'upgraded',
  connect: 'CONNECT',
  websocket: 'WebSocket',
  h2: 'HTTP/2',
  'half-open': 'half-open',
  unanswered: 'unanswered',
  'keep-alive': 'keep-alive',
  open: 'open',
}

export function describeClosing({
  server,
  sinceMs,
  connections,
  holders,
}: Omit<ClosingReport, 'line'>): string {
  const since = formatDuration(sinceMs)
  const many = `${connections} ${connections === 1 ? 'connection keeps' : 'connections keep'}`
  const who = holders
    .map(({ how, site, count }) => `${count} ${WORDS[how]}${site === server ? '' : ` (${site})`}`)
    .join(', ')
  return server === null
    ? `nothing has listened for ${since}, and ${many} the process alive: ${who}. Close them, or unref() them.`
    : `closed ${since} ago, and ${many} it open: ${who}. ${remedyFor(holders[0]?.how ?? 'open')}`
}

function remedyFor(how: Hold): string {
  switch (how) {
    case 'upgrade':
    case 'connect':
    case 'websocket':
      return 'Destroy them, as drainHttpServer() does: server.closeAllConnections() leaves them out.'
    case 'h2':
      return 'Call session.close() for each session, and after a limit session.destroy() instead.'
    case 'unanswered':
    case 'keep-alive':
      return 'Call server.closeAllConnections() when they have had their time.'
    case 'half-open':
    case 'open':
      return 'Destroy them when they have had their time.'
  }
}
