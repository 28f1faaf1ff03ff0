import type { KernelFacts } from '../core/kernel-facts.js'
import { formatDuration } from '../core/format.js'

export interface PeerVerdict {
  readonly peer: 'alive' | 'gone' | 'unknown'
  readonly peerBasis: string
}

export interface PeerFacts {
  readonly disconnected: boolean
  readonly kernel: KernelFacts | null
  /** How long no byte has moved. A younger acknowledgement answered a probe, ours or the peer's own. */
  readonly idleMs: number
  readonly keepAlive: 'off' | 'guard' | 'application'
}

const FRESH_MS = 60_000
const MARGIN_MS = 1000

export function judgePeer({ disconnected, kernel, idleMs, keepAlive }: PeerFacts): PeerVerdict {
  if (disconnected) {
    const basis =
      kernel?.hungUp === true
        ? 'it has closed its end (poll: POLLHUP)'
        : 'the kernel has closed the connection (getpeername: ENOTCONN)'
    return { peer: 'gone', peerBasis: basis }
  }
  if (kernel !== null) {
    const unanswered = describeUnanswered(kernel)
    if (unanswered !== null) return { peer: 'unknown', peerBasis: unanswered }
    const answered = describeAnswered(kernel, idleMs)
    if (answered !== null) return { peer: 'alive', peerBasis: answered }
  }
  return { peer: 'unknown', peerBasis: keepAlive === 'off' ? '' : 'keep-alive is on, no answer is known yet' }
}

function describeUnanswered({ probes, retransmits }: KernelFacts): string | null {
  if ((retransmits ?? 0) > 0) return `${retransmits} retransmissions are unanswered`
  if ((probes ?? 0) > 0) return `${probes} probes are unanswered`
  return null
}

function describeAnswered(
  { lastDataReceivedMs, lastAckReceivedMs }: KernelFacts,
  idleMs: number,
): string | null {
  if (
    lastDataReceivedMs !== null &&
    lastDataReceivedMs < FRESH_MS &&
    lastDataReceivedMs + MARGIN_MS < idleMs
  ) {
    return `it sent data ${formatDuration(lastDataReceivedMs)} ago`
  }
  if (lastAckReceivedMs !== null && lastAckReceivedMs < FRESH_MS && lastAckReceivedMs + MARGIN_MS < idleMs) {
    return `it sent an acknowledgement ${formatDuration(lastAckReceivedMs)} ago`
  }
  return null
}
