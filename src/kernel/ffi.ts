// Asks the descriptors themselves, which costs nothing for other sockets. Each socket gets a getsockopt(TCP_INFO),
// because poll can't tell FIN_WAIT2 from a healthy connection. A poll of the chunk first spares sockets without input
// the ioctl (on Linux 6.18: poll 0.15 us a socket, TCP_INFO 1.0 to 1.6 us, ioctl 0.5 to 1.2 us).
// Descriptors are read and used in the same tick, because their numbers are reused. SO_ERROR is not read: that would
// take the error away from Node.
import { monotonicMs } from '../base/real-time.js'
import * as sys from './libc.js'
import type { Libc } from './libc.js'
import type { KernelProbe, KernelSample, ProbeTarget } from './probe.js'
import { createSlicedProbe, type Steps } from './sliced.js'
import { sampleOf } from './tcp-state.js'

export type FfiCalls = Pick<Libc, 'poll' | 'getsockopt' | 'setsockopt' | 'ioctl'>

/** Limits the excess of a slice to about half a millisecond; larger chunks are not cheaper. */
const CHUNK = 256

/** Offsets in `struct tcp_info` (include/uapi/linux/tcp.h). */
const STATE = 0
const RETRANSMITS = 2
const PROBES = 3
const UNACKED = 24
const LAST_DATA_SENT = 44
const LAST_DATA_RECV = 52
const LAST_ACK_RECV = 56
const RTT = 68
const NOTSENT_BYTES = 144

export function createFfiProbe(libc: FfiCalls, now: () => number = monotonicMs): Required<KernelProbe> {
  const polled = sys.createPollList(CHUNK)
  const info = new Uint8Array(sys.TCP_INFO_BYTES)
  const words = new Uint32Array(info.buffer)
  const length = new Int32Array(1)
  const number = new Int32Array(1)
  const numberBytes = new Uint8Array(number.buffer)

  function* look(targets: readonly ProbeTarget[], samples: Array<KernelSample | null>): Steps {
    for (let start = 0; start < targets.length; start += CHUNK) {
      if (start > 0) yield
      const chunk = targets.slice(start, start + CHUNK)
      const fds = chunk.map((target) => target.fd())
      for (const [index, fd] of fds.entries()) polled.set(index, fd, sys.POLLIN | sys.POLLRDHUP)
      // If poll fails (EINTR by a profiler's signal, EINVAL above RLIMIT_NOFILE), ask each socket.
      const isPolled = libc.poll(polled.bytes, fds.length, 0) >= 0
      for (const [index, fd] of fds.entries()) {
        const revents = isPolled ? polled.revents(index) : null
        if (fd < 0) continue
        samples[start + index] = chunk[index]!.isPipe === true ? pipeSample(fd, revents) : sample(fd, revents)
      }
    }
  }

  function pipeSample(fd: number, revents: number | null): KernelSample | null {
    if (revents === null || (revents & sys.POLLNVAL) !== 0) return null
    return sampleOf(0, null, null, {
      peerEnded: (revents & sys.POLLRDHUP) !== 0,
      unreadBytes: revents === 0 ? 0 : ioctl(fd, sys.SIOCINQ),
      // unix_poll in net/unix/af_unix.c: the peer is closed, or each side has ended.
      hungUp: (revents & sys.POLLHUP) !== 0,
    })
  }

  /** `null` for no TCP socket (EOPNOTSUPP, ENOTSOCK, ENOPROTOOPT) or not open (POLLNVAL, EBADF). */
  function sample(fd: number, revents: number | null): KernelSample | null {
    if (revents !== null && (revents & sys.POLLNVAL) !== 0) return null
    length[0] = info.length
    if (libc.getsockopt(fd, sys.IPPROTO_TCP, sys.TCP_INFO, info, length) !== 0) return null
    const known = length[0]
    const hasNothingUnsent = u32(UNACKED, known) === 0 && u32(NOTSENT_BYTES, known) === 0
    return sampleOf(
      u8(STATE, known) ?? 0,
      revents === 0 ? 0 : ioctl(fd, sys.SIOCINQ),
      hasNothingUnsent ? 0 : ioctl(fd, sys.SIOCOUTQ),
      {
        lastDataReceivedMs: u32(LAST_DATA_RECV, known),
        lastDataSentMs: u32(LAST_DATA_SENT, known),
        lastAckReceivedMs: u32(LAST_ACK_RECV, known),
        retransmits: u8(RETRANSMITS, known),
        probes: u8(PROBES, known),
        rttMs: (u32(RTT, known) ?? 0) / 1000 || null,
      },
    )
  }

  // The struct grows at its end; bytes beyond the returned length are from an earlier answer.
  function u8(offset: number, known: number): number | null {
    return offset < known ? info[offset]! : null
  }

  function u32(offset: number, known: number): number | null {
    return offset + 4 <= known ? words[offset / 4]! : null
  }

  function ioctl(fd: number, request: number): number | null {
    return libc.ioctl(fd, request, numberBytes) === 0 ? number[0]! : null
  }

  function getOption(fd: number, level: number, name: number): number | null {
    length[0] = 4
    return libc.getsockopt(fd, level, name, numberBytes, length) === 0 && length[0] === 4 ? number[0]! : null
  }

  function setTcpOption(fd: number, name: number, value: number): boolean {
    number[0] = value
    const isSet = libc.setsockopt(fd, sys.IPPROTO_TCP, name, numberBytes, 4) === 0
    return isSet && getOption(fd, sys.IPPROTO_TCP, name) === value
  }

  return {
    ...createSlicedProbe('ffi', look, now),
    setKeepAlive: (fd, { idleMs, intervalMs, count }) =>
      // The idle time last, because setting it restarts the kernel's timer.
      setTcpOption(fd, sys.TCP_KEEPINTVL, Math.ceil(intervalMs / 1000)) &&
      setTcpOption(fd, sys.TCP_KEEPCNT, count) &&
      setTcpOption(fd, sys.TCP_KEEPIDLE, Math.ceil(idleMs / 1000)),
    readKeepAlive(fd, evenIfOff = false) {
      const isOn = evenIfOff || getOption(fd, sys.SOL_SOCKET, sys.SO_KEEPALIVE)
      const idleSeconds = getOption(fd, sys.IPPROTO_TCP, sys.TCP_KEEPIDLE)
      const intervalSeconds = getOption(fd, sys.IPPROTO_TCP, sys.TCP_KEEPINTVL)
      const count = getOption(fd, sys.IPPROTO_TCP, sys.TCP_KEEPCNT)
      if (!isOn || idleSeconds === null || intervalSeconds === null || count === null) return null
      return { idleMs: idleSeconds * 1000, intervalMs: intervalSeconds * 1000, count }
    },
    setUserTimeout: (fd, ms) => setTcpOption(fd, sys.TCP_USER_TIMEOUT, ms),
  }
}
