/**
 * The kernel's numbers for TCP states (include/net/tcp_states.h in Linux) and what a state says by itself.
 */
import type { KernelState } from '../core/vocabulary.js'

const STATE_BY_NUMBER: ReadonlyArray<KernelState | null> = [
  null,
  'ESTABLISHED',
  'SYN_SENT',
  'SYN_RECV',
  'FIN_WAIT1',
  'FIN_WAIT2',
  'TIME_WAIT',
  'CLOSE',
  'CLOSE_WAIT',
  'LAST_ACK',
  'LISTEN',
  'CLOSING',
]

/** `null` for a number that has no name here: a newer kernel may know more states. */
export function kernelStateOf(number: number): KernelState | null {
  return STATE_BY_NUMBER[number] ?? null
}

/** Has the peer's FIN arrived? CLOSE does not say: a FIN, a reset and a timeout all lead there. */
export function peerEndedIn(state: KernelState | null): boolean | null {
  switch (state) {
    case 'CLOSE_WAIT':
    case 'LAST_ACK':
    case 'CLOSING':
    case 'TIME_WAIT':
      return true
    case 'ESTABLISHED':
    case 'SYN_SENT':
    case 'SYN_RECV':
    case 'FIN_WAIT1':
    case 'FIN_WAIT2':
      return false
    default:
      return null
  }
}

/**
 * The bytes behind `queued` = write_seq - snd_una (SIOCOUTQ, and tx_queue in /proc/net/tcp), which counts our
 * SYN or FIN as one as long as it is not acknowledged. In CLOSE the kernel has thrown its write queue away
 * (tcp_done and tcp_write_queue_purge) but leaves the two numbers as they were: they count bytes that nobody
 * holds any more.
 */
export function unsentBytesIn(state: KernelState | null, queued: number): number | null {
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
