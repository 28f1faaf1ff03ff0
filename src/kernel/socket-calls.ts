/** The system calls of the ffi view on one descriptor or a chunk of them. */
import type { Libc } from './libc.js'
import { PollList } from './poll-list.js'
import type { KernelSample } from './probe.js'
import * as sys from './socket-constants.js'
import { TcpInfo } from './tcp-info.js'

/** What it takes of the C library. */
export type FfiCalls = Pick<Libc, 'poll' | 'getsockopt' | 'setsockopt' | 'ioctl'>

/**
 * Asks and sets what the kernel knows about a descriptor. Owns the memory that the kernel writes to, and
 * counts the calls.
 */
export class SocketCalls {
  syscalls = 0
  readonly #libc: FfiCalls
  readonly #polled: PollList
  readonly #info = new TcpInfo()
  readonly #length = new Int32Array(1)
  readonly #number = new Int32Array(1)
  readonly #numberBytes = new Uint8Array(this.#number.buffer)
  #hasTriage = false

  /** @param chunk how many descriptors a triage takes at most */
  constructor(libc: FfiCalls, chunk: number) {
    this.#libc = libc
    this.#polled = new PollList(chunk)
  }

  /**
   * Asks with a single poll which descriptors have something to say. When it fails (EINTR by a profiler's
   * signal, EINVAL above RLIMIT_NOFILE) every socket counts as one that may have.
   */
  triage(fds: readonly number[]): void {
    for (const [index, fd] of fds.entries()) this.#polled.set(index, fd, sys.POLLIN | sys.POLLRDHUP)
    this.syscalls += 1
    this.#hasTriage = this.#libc.poll(this.#polled.bytes, fds.length, 0) >= 0
  }

  /**
   * `null` for what is not a TCP socket (EOPNOTSUPP, ENOTSOCK, ENOPROTOOPT) or not open (POLLNVAL, EBADF).
   */
  sample(fd: number, indexInTriage: number): KernelSample | null {
    const revents = this.#hasTriage ? this.#polled.revents(indexInTriage) : sys.POLLIN
    if ((revents & sys.POLLNVAL) !== 0) return null
    this.#length[0] = this.#info.bytes.length
    this.syscalls += 1
    if (this.#libc.getsockopt(fd, sys.IPPROTO_TCP, sys.TCP_INFO, this.#info.bytes, this.#length) !== 0)
      return null
    const length = this.#length[0]
    const unreadBytes = revents === 0 ? 0 : this.#ioctl(fd, sys.SIOCINQ)
    const queuedBytes = this.#info.hasUnsent(length) === false ? 0 : this.#ioctl(fd, sys.SIOCOUTQ)
    return this.#info.sample(length, unreadBytes, queuedBytes)
  }

  #ioctl(fd: number, request: number): number | null {
    this.syscalls += 1
    return this.#libc.ioctl(fd, request, this.#numberBytes) === 0 ? this.#number[0]! : null
  }

  getOption(fd: number, level: number, name: number): number | null {
    this.#length[0] = 4
    this.syscalls += 1
    const result = this.#libc.getsockopt(fd, level, name, this.#numberBytes, this.#length)
    return result === 0 && this.#length[0] === 4 ? this.#number[0]! : null
  }

  /** Believes only what it reads back. */
  setOption(fd: number, level: number, name: number, value: number): boolean {
    this.#number[0] = value
    this.syscalls += 1
    const result = this.#libc.setsockopt(fd, level, name, this.#numberBytes, 4)
    return result === 0 && this.getOption(fd, level, name) === value
  }
}
