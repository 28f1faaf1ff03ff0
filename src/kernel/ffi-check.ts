// Verifies the ffi view with a loopback connection of its own: half-closes it, resets it, and compares what poll and
// TCP_INFO say. This finds a wrong calling convention or struct layout, and a sandbox or an imitation of Linux. About
// 20 system calls, 0.2 to 1 ms, once, synchronous; gives up after WAIT_MS if a firewall drops loopback packets.
import { KERNEL_STATES } from '../core/vocabulary.js'
import * as sys from './libc.js'
import type { Libc } from './libc.js'

const WAIT_MS = 50
const INTERRUPTIONS = 5
const SOCKADDR_IN_BYTES = 16
const STREAM = sys.SOCK_STREAM | sys.SOCK_NONBLOCK | sys.SOCK_CLOEXEC

export function whyFfiFails(libc: Libc): string | null {
  const opened: number[] = []
  try {
    checkPair(libc, opened)
    return null
  } catch (error) {
    return `self-check failed: ${error instanceof Error ? error.message : String(error)}`
  } finally {
    for (const fd of opened) libc.close(fd)
  }
}

function checkPair(libc: Libc, opened: number[]): void {
  const listener = open('socket', libc.socket(sys.AF_INET, STREAM, 0))
  const address = loopbackAddress()
  must('bind', libc.bind(listener, address, address.length))
  must('listen', libc.listen(listener, 1))
  must('getsockname', libc.getsockname(listener, address, Int32Array.of(address.length)))
  const client = open('socket', libc.socket(sys.AF_INET, STREAM, 0))
  if (libc.connect(client, address, address.length) !== 0 && libc.errno() !== sys.EINPROGRESS) {
    must('connect', -1)
  }
  awaitEvent('connect', client, sys.POLLOUT)
  awaitEvent('accept4', listener, sys.POLLIN)
  const server = open('accept4', libc.accept(listener, null, null, sys.SOCK_NONBLOCK | sys.SOCK_CLOEXEC))
  expectState('ESTABLISHED', client)
  expectState('ESTABLISHED', server)

  must('shutdown', libc.shutdown(client, sys.SHUT_WR))
  awaitEvent('POLLRDHUP', server, sys.POLLRDHUP)
  expectState('CLOSE_WAIT', server)
  // The kernel may delay its acknowledgement of the FIN by 40 ms.
  expectState('FIN_WAIT1 or FIN_WAIT2', client)

  const resetOnClose = new Uint8Array(Int32Array.of(1, 0).buffer)
  must(
    'setsockopt',
    libc.setsockopt(client, sys.SOL_SOCKET, sys.SO_LINGER, resetOnClose, resetOnClose.length),
  )
  opened.splice(opened.indexOf(client), 1)
  must('close', libc.close(client))
  awaitEvent('POLLHUP', server, 0)
  expectState('CLOSE', server)
  for (const request of [sys.SIOCINQ, sys.SIOCOUTQ])
    must('ioctl', libc.ioctl(server, request, new Uint8Array(4)))

  function open(call: string, fd: number): number {
    must(call, fd)
    opened.push(fd)
    return fd
  }

  function must(call: string, result: number): void {
    if (result < 0) throw new Error(`${call} failed with errno ${libc.errno()}`)
  }

  /** On loopback the kernel usually delivers before the call returns. */
  function awaitEvent(what: string, fd: number, events: number): void {
    const list = sys.createPollList(1)
    list.set(0, fd, events)
    let ready = -1
    for (let tries = 0; tries <= INTERRUPTIONS && ready < 0; tries += 1) {
      ready = libc.poll(list.bytes, 1, WAIT_MS)
      if (ready < 0 && libc.errno() !== sys.EINTR) break
    }
    if (ready !== 1 || list.revents(0) === 0) throw new Error(`no ${what}`)
  }

  function expectState(expected: string, fd: number): void {
    const info = new Uint8Array(sys.TCP_INFO_BYTES)
    must('getsockopt', libc.getsockopt(fd, sys.IPPROTO_TCP, sys.TCP_INFO, info, Int32Array.of(info.length)))
    const state = KERNEL_STATES[info[0]! - 1] ?? 'nothing'
    if (!expected.split(' or ').includes(state))
      throw new Error(`TCP_INFO says ${state} instead of ${expected}`)
  }
}

function loopbackAddress(): Uint8Array {
  const address = new Uint8Array(SOCKADDR_IN_BYTES)
  new Uint16Array(address.buffer)[0] = sys.AF_INET
  address.set([127, 0, 0, 1], 4)
  return address
}
