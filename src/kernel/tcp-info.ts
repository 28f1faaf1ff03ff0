/**
 * Reads `struct tcp_info` (include/uapi/linux/tcp.h). The struct has only ever grown at its end: a kernel
 * says with the returned length how much of it it knows, and whatever lies beyond holds the bytes of an
 * earlier answer.
 */
import { kernelStateOf, peerEndedIn, unsentBytesIn } from './kernel-state.js'
import type { KernelSample } from './probe.js'

/** All that is read lies in the first 148 bytes; the kernel copies no more than there is room for. */
export const TCP_INFO_BYTES = 256

const STATE = 0
const RETRANSMITS = 2
const PROBES = 3
const UNACKED = 24
const LAST_DATA_SENT = 44
const LAST_DATA_RECV = 52
const LAST_ACK_RECV = 56
const RTT = 68
const NOTSENT_BYTES = 144

/**
 * A buffer for getsockopt with two views of it. Both read in the byte order of the machine, as the kernel
 * writes.
 */
export class TcpInfo {
  readonly bytes = new Uint8Array(TCP_INFO_BYTES)
  readonly #words = new Uint32Array(this.bytes.buffer)

  /** What the kernel has for us that nobody acknowledged yet; `null` when the struct is too short to tell. */
  hasUnsent(length: number): boolean | null {
    const unackedSegments = this.#u32(UNACKED, length)
    const notSentBytes = this.#u32(NOTSENT_BYTES, length)
    if (unackedSegments === null || notSentBytes === null) return null
    return unackedSegments > 0 || notSentBytes > 0
  }

  /**
   * @param unreadBytes SIOCINQ, which does not count a FIN; `null` when it failed
   * @param queuedBytes SIOCOUTQ, which does; `null` when it failed
   */
  sample(length: number, unreadBytes: number | null, queuedBytes: number | null): KernelSample {
    const state = kernelStateOf(this.#u8(STATE, length) ?? 0)
    const rttUs = this.#u32(RTT, length)
    return {
      state,
      peerEnded: peerEndedIn(state),
      unreadBytes: state === null || state === 'LISTEN' ? null : unreadBytes,
      unsentBytes: queuedBytes === null ? null : unsentBytesIn(state, queuedBytes),
      lastDataReceivedMs: this.#u32(LAST_DATA_RECV, length),
      lastDataSentMs: this.#u32(LAST_DATA_SENT, length),
      lastAckReceivedMs: this.#u32(LAST_ACK_RECV, length),
      retransmits: this.#u8(RETRANSMITS, length),
      probes: this.#u8(PROBES, length),
      timer: null,
      // 0 before the first round trip was measured
      rttMs: rttUs === null || rttUs === 0 ? null : rttUs / 1000,
    }
  }

  #u8(offset: number, length: number): number | null {
    return offset < length ? (this.bytes[offset] ?? null) : null
  }

  #u32(offset: number, length: number): number | null {
    return offset + 4 <= length ? (this.#words[offset / 4] ?? null) : null
  }
}
