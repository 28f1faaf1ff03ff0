/** Settings that hold for the sockets of one server, and for whom they hold. */
import type { Ledger } from './core/ledger.js'
import { serverOf } from './observe/socket-fields.js'
import type { TrackedSocket } from './observe/tracked-socket.js'
import { applySettings, type SocketSettings } from './observe/tracker.js'

export interface ServerSettings {
  /** What holds for a socket that this server has accepted. */
  of(server: object | null): SocketSettings
  /** What holds for this socket. */
  for(record: TrackedSocket): SocketSettings
  isOf(record: TrackedSocket, server: object): boolean
  /** From now on, for the open sockets too. @returns what takes the settings back */
  set(server: object, settings: SocketSettings): () => void
}

export function keepServerSettings(ledger: Ledger<TrackedSocket>, defaults: SocketSettings): ServerSettings {
  const servers = new WeakMap<object, SocketSettings>()

  function of(server: object | null): SocketSettings {
    return server === null ? defaults : (servers.get(server) ?? defaults)
  }

  /** The server by whose settings a socket lives. */
  function settledBy({ attribution, socket }: TrackedSocket): object | null {
    return attribution?.server ?? serverOf(socket)
  }

  function settle(record: TrackedSocket, settings: SocketSettings): void {
    if (record.attribution !== null) record.attribution.label = null
    applySettings(record, settings)
  }

  /** Back to the settings of whoever accepted the socket. */
  function leave(server: object): void {
    for (const record of ledger) {
      if (settledBy(record) !== server) continue
      if (record.attribution?.server === server) record.attribution.server = null
      settle(record, of(serverOf(record.socket)))
    }
  }

  return {
    of,
    for: (record) => of(settledBy(record)),
    isOf: (record, server) => serverOf(record.socket) === server || settledBy(record) === server,
    set(server, settings) {
      servers.set(server, settings)
      for (const record of ledger) if (settledBy(record) === server) settle(record, settings)
      return function releaseServer() {
        if (servers.get(server) !== settings) return
        servers.delete(server)
        leave(server)
      }
    },
  }
}
