/**
 * Keep-alive probes of the guard's own. They are switched on at the handle, so that what Node keeps of `setKeepAlive()` is
 * always the application's word; where that word is "on", the guard touches nothing.
 */
import type { KeepAliveTimes, KernelProbe } from '../kernel/probe.js'
import { descriptorOf, isHttp2, isKeepAliveOn, writeKeepAlive } from '../observe/socket-fields.js'
import type { TrackedSocket } from '../observe/tracked-socket.js'

type KernelTimes = Pick<KernelProbe, 'setKeepAlive' | 'readKeepAlive'>

export function armKeepAlive(record: TrackedSocket, times: KeepAliveTimes, kernel: KernelTimes): void {
  const { socket } = record
  if (record.probes !== null || isKeepAliveOn(socket)) return
  // Its error would go to the session, which emits it where the application may not listen.
  if (isHttp2(socket)) return
  const fd = descriptorOf(socket)
  const isOn = (kernel.readKeepAlive?.(fd) ?? null) !== null
  if (isOn) return
  const before = kernel.readKeepAlive?.(fd, true) ?? null
  const { idleMs, intervalMs, count } = times
  if (!writeKeepAlive(socket, Math.ceil(idleMs / 1000), Math.ceil(intervalMs / 1000), count)) return
  record.probes = { before }
  kernel.setKeepAlive?.(fd, times)
}

export function disarmKeepAlive(record: TrackedSocket, kernel: KernelTimes): void {
  const { socket, probes } = record
  if (probes === null) return
  record.probes = null
  if (socket.destroyed || isKeepAliveOn(socket)) return
  writeKeepAlive(socket, 0)
  if (probes.before !== null) kernel.setKeepAlive?.(descriptorOf(socket), probes.before)
}
