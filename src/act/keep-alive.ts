import { Socket } from 'node:net'

export interface KeepAliveSettings {
  /** Idle time before the first probe. The kernel counts whole seconds. */
  readonly idleMs: number
  readonly intervalMs: number
  readonly count: number
}

/** Node 24.19+ and 26.4+ take interval and count; before that Node forces 1 s and 10 (deps/uv `uv_tcp_keepalive`). */
const TAKES_INTERVAL_AND_COUNT = Socket.prototype.setKeepAlive.length === 4

type SetKeepAlive = (enable: boolean, delayMs: number, intervalMs?: number, count?: number) => void

/** @returns whether interval and count could be set as well */
export function armKeepAlive(socket: Socket, { idleMs, intervalMs, count }: KeepAliveSettings): boolean {
  const delayMs = Math.ceil(idleMs / 1000) * 1000
  if (TAKES_INTERVAL_AND_COUNT) {
    const setKeepAlive = socket.setKeepAlive as SetKeepAlive
    setKeepAlive.call(socket, true, delayMs, Math.ceil(intervalMs / 1000) * 1000, count)
  } else {
    socket.setKeepAlive(true, delayMs)
  }
  return TAKES_INTERVAL_AND_COUNT
}

export function disarmKeepAlive(socket: Socket): void {
  socket.setKeepAlive(false)
}
