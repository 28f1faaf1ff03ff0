// `kSetKeepAlive` (lib/net.js; Node 20.20, 22.23, 24.21, 26.10). A TLS handle forwards `setKeepAlive` to `_parent`.
import { Socket } from 'node:net'
import { rawSocketOf, tcpHandleOf } from './fields.js'

const KEEP_ALIVE = symbolOf(new Socket(), 'kSetKeepAlive')

function symbolOf(object: object, name: string): symbol | undefined {
  return Object.getOwnPropertySymbols(object).find(({ description }) => description === name)
}

function keptKeepAlive(socket: Socket): unknown {
  return KEEP_ALIVE === undefined ? undefined : (socket as unknown as Record<symbol, unknown>)[KEEP_ALIVE]
}

/** Has the application switched keep-alive on? A TLS server's option is kept on the raw socket. */
export function isKeepAliveOn(socket: Socket): boolean {
  const raw = rawSocketOf(socket)
  return keptKeepAlive(socket) === true || (raw !== null && keptKeepAlive(raw) === true)
}

// Keep-alive on, or off with 0 seconds, without changing the setting Node keeps for the application. Node
// before 24.19 and 26.4 ignores interval and count. Returns whether the handle accepted it.
export function writeKeepAlive(
  socket: Socket,
  idleSeconds: number,
  intervalSeconds?: number,
  count?: number,
): boolean {
  const tcp = tcpHandleOf(socket)
  return tcp?.setKeepAlive?.(idleSeconds > 0, idleSeconds, intervalSeconds, count) === 0
}

export function isKeepAliveKnownOff(socket: Socket): boolean {
  return keptKeepAlive(socket) === false
}
