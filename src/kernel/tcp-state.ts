/** What a state of Linux (include/net/tcp_states.h) says by itself, and what the kernel's numbers mean in it. */
import { KERNEL_STATES, type KernelState } from '../core/vocabulary.js'
import type { KernelSample } from './probe.js'

/**
 * @param number the kernel's number for the state; one without a name here (a newer kernel's) says nothing
 * @param unreadBytes without the peer's FIN; `null`: unknown
 * @param queued write_seq - snd_una (SIOCOUTQ, and tx_queue in /proc/net/tcp); `null`: unknown
 */
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

/** Has the peer's FIN arrived? CLOSE does not say: a FIN, a reset and a timeout all lead there. */
function peerEndedIn(state: KernelState | null): boolean | null {
  if (state === null || state === 'CLOSE' || state === 'LISTEN') return null
  return state === 'CLOSE_WAIT' || state === 'LAST_ACK' || state === 'CLOSING' || state === 'TIME_WAIT'
}

/**
 * `queued` counts our SYN or FIN as one byte as long as it is not acknowledged. In CLOSE the kernel has thrown its write
 * queue away (tcp_done and tcp_write_queue_purge) but leaves the two numbers as they were.
 */
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
