// Keep-alive that was asked for and is off. The option is read by the constructor alone (lib/net.js), so Node ignores
// it in `new Socket().connect({ keepAlive: true })` on 20.20, 22.23, 24.21 and 26.10, and in `tls.connect({ keepAlive:
// true })` on 20 and 22 (measured with getsockopt). `setKeepAlive()` always works.
import type { Socket } from 'node:net'
import { formatEndpoint } from '../core/endpoint.js'
import { readField } from '../core/foreign.js'
import type { AdapterGuard } from '../guard/guard.js'
import { isHeldByAgent, readAddresses } from '../socket/fields.js'
import { isKeepAliveKnownOff } from '../socket/keep-alive-setting.js'
import { applyPatches, connectPatch } from '../socket/patches.js'
import { handlerIn, type LostKeepAlive } from './rules.js'

const FIRST_PURGE = 1000

export function watchKeepAlive(): (adapter: AdapterGuard | null) => LostKeepAlive[] {
  const asked = new Set<WeakRef<Socket>>()
  let purgeAt = FIRST_PURGE

  function onConnect(socket: Socket, args: ArrayLike<unknown>): void {
    if (!asksForKeepAlive(args) || !isKeepAliveKnownOff(socket)) return
    asked.add(new WeakRef(socket))
    if (asked.size >= purgeAt) purgeAt = Math.max(FIRST_PURGE, 2 * open().length)
  }

  function open(): Socket[] {
    const sockets: Socket[] = []
    for (const ref of asked) {
      const socket = ref.deref()
      if (socket === undefined || socket.destroyed) asked.delete(ref)
      else sockets.push(socket)
    }
    return sockets
  }

  try {
    applyPatches([connectPatch(onConnect, () => true)])
  } catch {
    // Frozen prototypes: the options of connect() stay unknown.
  }
  return function lostKeepAlives(adapter) {
    const byRemote = new Map<string, LostKeepAlive>()
    for (const socket of open()) {
      // The agents of node:http switch it on after a request.
      if (socket.connecting || !isKeepAliveKnownOff(socket) || isHeldByAgent(socket)) continue
      const { remote: end } = readAddresses(socket)
      if (end === null) continue
      const remote = formatEndpoint(end)
      const { connections = 0, where = handlerIn(adapter?.describe(socket)) } = byRemote.get(remote) ?? {}
      byRemote.set(remote, { remote, connections: connections + 1, where })
    }
    return [...byRemote.values()]
  }
}

function asksForKeepAlive(args: ArrayLike<unknown>): boolean {
  // `net.connect()` and `tls.connect()` pass `[options, callback]`.
  const options: unknown = Array.isArray(args[0]) ? args[0][0] : args[0]
  return typeof options === 'object' && options !== null && readField(options, 'keepAlive') === true
}
