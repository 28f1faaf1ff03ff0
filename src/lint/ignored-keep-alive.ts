/**
 * Keep-alive that was asked for and is off. `setKeepAlive()` holds whenever it is called, before `connect()` too. What Node
 * ignores is the option `keepAlive` where the socket was there first: `new Socket().connect({ keepAlive: true })` on Node
 * 20.20, 22.23, 24.21 and 26.10, and `tls.connect({ keepAlive: true })` on 20 and 22 (lib/net.js: only the constructor
 * reads it). Measured with getsockopt.
 */
import { formatEndpoint } from '../core/endpoint.js'
import { addressesOf, isHeldByAgent, isKeepAliveKnownOff } from '../socket/fields.js'
import type { SocketRecord } from '../socket/record.js'
import type { LostKeepAlive } from './rules.js'

export interface KeepAliveWatch {
  /** @param args what `connect()` was called with */
  onOpened(record: SocketRecord, args: ArrayLike<unknown>): void
  onReleased(record: SocketRecord): void
  /** One entry for each remote end. */
  lost(): LostKeepAlive[]
}

export function watchKeepAlive(openedAt: (record: SocketRecord) => string | null): KeepAliveWatch {
  const asked = new Set<SocketRecord>()
  return {
    onOpened(record, args) {
      if (asksForKeepAlive(args) && isKeepAliveKnownOff(record.socket)) asked.add(record)
    },
    onReleased(record) {
      if (asked.size > 0) asked.delete(record)
    },
    lost() {
      const byRemote = new Map<string, LostKeepAlive>()
      for (const record of asked) {
        // It was handed to another process.
        if (record.index === -1) asked.delete(record)
        // The agents of node:http switch it on themselves, once a request is done.
        else if (isLost(record)) add(byRemote, record, openedAt)
      }
      return [...byRemote.values()]
    },
  }
}

function asksForKeepAlive(args: ArrayLike<unknown>): boolean {
  // `net.connect()` and `tls.connect()` hand over `[options, callback]`.
  const options: unknown = Array.isArray(args[0]) ? args[0][0] : args[0]
  return (options as { keepAlive?: unknown } | null | undefined)?.keepAlive === true
}

function isLost({ socket }: SocketRecord): boolean {
  return !socket.connecting && isKeepAliveKnownOff(socket) && !isHeldByAgent(socket)
}

function add(
  byRemote: Map<string, LostKeepAlive>,
  record: SocketRecord,
  openedAt: (record: SocketRecord) => string | null,
): void {
  const { remote } = addressesOf(record)
  if (remote === null) return
  const key = formatEndpoint(remote)
  const known = byRemote.get(key)
  const where = known?.where ?? openedAt(record)
  byRemote.set(key, { remote: key, connections: (known?.connections ?? 0) + 1, where })
}
