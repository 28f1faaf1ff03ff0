// Set on the handle, so that Node's field still holds the application's setting. Where that is on, nothing changes.
import { EventEmitter } from 'node:events'
import { readFileSync } from 'node:fs'
import { hasListener } from '../core/foreign.js'
import type { KernelProbe } from '../kernel/probe.js'
import type { KeepAliveTimes } from '../core/kernel-facts.js'
import { clientRequestOf, descriptorOf } from '../socket/fields.js'
import { isKeepAliveOn, writeKeepAlive } from '../socket/keep-alive-setting.js'
import { isHttp2 } from '../socket/http2.js'
import type { SocketRecord } from '../socket/record.js'
import { isAcceptedForTls } from '../socket/usage.js'

type KernelTimes = Pick<KernelProbe, 'setKeepAlive' | 'readKeepAlive'>

export function armKeepAlive(record: SocketRecord, times: KeepAliveTimes, kernel: KernelTimes): void {
  const { socket } = record
  if (record.probes !== null || isKeepAliveOn(socket) || !mayFail(record)) return
  // The application's setting is on the TLSSocket above, which can't be reached from here.
  if (isAcceptedForTls(socket)) return
  const fd = descriptorOf(socket)
  const isOn = (kernel.readKeepAlive?.(fd) ?? null) !== null
  if (isOn) return
  const before = kernel.readKeepAlive?.(fd, true) ?? null
  const { idleMs, intervalMs, count } = times
  if (!writeKeepAlive(socket, Math.ceil(idleMs / 1000), Math.ceil(intervalMs / 1000), count)) return
  record.probes = { before }
  kernel.setKeepAlive?.(fd, times)
}

// Not where Node re-emits an error on an object without a listener: an HTTP/2 session or an outgoing HTTP request.
export function mayFail({ socket, direction }: SocketRecord): boolean {
  if (isHttp2(socket)) return false
  const request = direction === 'outbound' ? clientRequestOf(socket) : null
  return !(request instanceof EventEmitter) || hasListener(request, 'error')
}

/** The defaults of tcp(7). */
const LINUX_DEFAULT: KeepAliveTimes = { idleMs: 7_200_000, intervalMs: 75_000, count: 9 }

function systemDefault(): KeepAliveTimes {
  try {
    const [time = 0, interval = 0, count = 0] = ['time', 'intvl', 'probes'].map((name) =>
      Number(readFileSync(`/proc/sys/net/ipv4/tcp_keepalive_${name}`, 'latin1')),
    )
    return { idleMs: time * 1000, intervalMs: interval * 1000, count }
  } catch {
    return LINUX_DEFAULT
  }
}

export function disarmKeepAlive(record: SocketRecord, kernel: KernelTimes): void {
  const { socket, probes } = record
  if (probes === null) return
  record.probes = null
  if (socket.destroyed || isKeepAliveOn(socket)) return
  const { idleMs, intervalMs, count } = probes.before ?? systemDefault()
  writeKeepAlive(socket, idleMs / 1000, intervalMs / 1000, count)
  writeKeepAlive(socket, 0)
  if (probes.before !== null) kernel.setKeepAlive?.(descriptorOf(socket), probes.before)
}
