import { KERNEL_STATES, type KernelState } from '../core/vocabulary.js'
import type { KernelSample } from './probe.js'

// `unreadBytes`: without the peer's FIN. `queued`: write_seq - snd_una (SIOCOUTQ, tx_queue).
export function sampleOf(
  number: number,
  unreadBytes: number | null,
  queued: number | null,
  more: Partial<KernelSample> = {},
): KernelSample {
  const state = KERNEL_STATES[number - 1] ?? null
  return {
    state,
    peerEnded: peerEndedIn(state),
    unreadBytes: state === null || state === 'LISTEN' ? null : unreadBytes,
    unsentBytes: queued === null ? null : unsentBytesIn(state, queued),
    lastDataReceivedMs: null,
    lastDataSentMs: null,
    lastAckReceivedMs: null,
    retransmits: null,
    probes: null,
    rttMs: null,
    ...more,
  }
}

/** CLOSE does not tell: a FIN, a reset and a timeout lead there. */
function peerEndedIn(state: KernelState | null): boolean | null {
  if (state === null || state === 'CLOSE' || state === 'LISTEN') return null
  return state === 'CLOSE_WAIT' || state === 'LAST_ACK' || state === 'CLOSING' || state === 'TIME_WAIT'
}

// `queued` counts an unacknowledged SYN or FIN as a byte. In CLOSE the kernel has discarded its write queue (tcp_done,
// tcp_write_queue_purge) but left the numbers.
function unsentBytesIn(state: KernelState | null, queued: number): number | null {
  switch (state) {
    case null:
    case 'LISTEN':
      return null
    case 'CLOSE':
    case 'TIME_WAIT':
    case 'SYN_SENT':
    case 'SYN_RECV':
      return 0
    case 'FIN_WAIT1':
    case 'CLOSING':
    case 'LAST_ACK':
      return Math.max(0, queued - 1)
    default:
      return queued
  }
}
