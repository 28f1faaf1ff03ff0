// The listening servers, held weakly, and how their connections end. The channel `tracing:net.server.listen:asyncStart`
// speaks inside `listen()` (lib/net.js `Server.listen`), so one stack per server tells where it was called.
import { subscribe } from 'node:diagnostics_channel'
import { Server, Socket } from 'node:net'
import { Server as TlsServer } from 'node:tls'
import type { GuardEvent, SocketReport } from '../core/report.js'
import type { AdapterGuard } from '../guard/guard.js'
import type { Place } from '../owner/stacks/frames.js'
import { Places, siteOfPlaces } from '../owner/stacks/places.js'
import { isOwn } from '../base/process-wide.js'
import { activeHandles, serverOf } from '../socket/fields.js'
import { addUp, handlerIn, NOTHING_UNHEARD, type ServerFacts, type Unheard } from './rules.js'
import { isHttpServer, isUpgraded, unheardOn } from './unheard.js'

type Ends = Pick<ServerFacts, 'unheardEnds' | 'unheldUpgrades'>

const NO_ENDS: Ends = { unheardEnds: NOTHING_UNHEARD, unheldUpgrades: NOTHING_UNHEARD }

export function watchServers(): (adapter: AdapterGuard | null) => ServerFacts[] {
  const places = new Places()
  const listened = new WeakMap<Server, readonly Place[]>()
  const heard = new Set<WeakRef<Server>>()
  const past = new Map<number, Ends>()

  subscribe('tracing:net.server.listen:asyncStart', function onListen(message) {
    const { server } = message as { server: unknown }
    if (!(server instanceof Server) || listened.has(server)) return
    listened.set(server, places.capture())
    for (const ref of heard) if (ref.deref() === undefined) heard.delete(ref)
    heard.add(new WeakRef(server))
  })
  subscribe('socket-leak-guard:reclaimed', function onReclaimed(message) {
    const { socket } = message as Partial<GuardEvent>
    const port = socket?.local?.port ?? null
    if (socket?.condition !== 'eof-ignored' || socket.direction !== 'inbound' || port === null) return
    past.set(port, count(past.get(port) ?? NO_ENDS, socket))
  })

  /** Misses a server that was unref'd, listened before this module loaded, and has no connection. */
  function listening(): Server[] {
    const handles = activeHandles()
    const accepting = handles.map((handle) => (handle instanceof Socket ? serverOf(handle) : handle))
    const servers = new Set([...[...heard].map((ref) => ref.deref()), ...accepting])
    return [...servers].filter(
      (server) => server instanceof Server && server.listening && !isOwn(server),
    ) as Server[]
  }

  return function serverFacts(adapter) {
    const servers = listening()
    const ports = new Set(servers.map(portOf))
    for (const port of past.keys()) if (!ports.has(port)) past.delete(port)
    return servers.map((server) => {
      const open = adapter === null ? [] : unheardOn(server, adapter)
      const ends = open.reduce(count, past.get(portOf(server) ?? -1) ?? NO_ENDS)
      return describeServer(server, places.show(listened.get(server) ?? []), ends)
    })
  }
}

function count({ unheardEnds, unheldUpgrades }: Ends, socket: SocketReport): Ends {
  const one: Unheard = { connections: 1, handler: handlerIn(socket) }
  return isUpgraded(socket)
    ? { unheardEnds, unheldUpgrades: addUp(unheldUpgrades, one) }
    : { unheardEnds: addUp(unheardEnds, one), unheldUpgrades }
}

function describeServer(server: Server, listened: readonly Place[], ends: Ends): ServerFacts {
  const http = isHttpServer(server) ? server : null
  return {
    label: labelOf(server),
    where: siteOfPlaces(listened),
    isFastify: listened.some(({ file }) => /[\\/]node_modules[\\/]fastify[\\/]/.test(file)),
    requestTimeoutMs: http?.requestTimeout ?? null,
    idleTimeoutMs: http?.timeout ?? 0,
    keepAliveTimeoutMs: http?.keepAliveTimeout ?? null,
    ...ends,
  }
}

function portOf(server: Server): number | null {
  const address = server.address()
  return typeof address === 'object' ? (address?.port ?? null) : null
}

function labelOf(server: Server): string {
  const address = server.address()
  const on = typeof address === 'string' ? address : `port ${address?.port ?? 'unknown'}`
  const isTls = server instanceof TlsServer
  const protocol = isHttpServer(server) ? (isTls ? 'HTTPS' : 'HTTP') : isTls ? 'TLS' : 'TCP'
  return `the ${protocol} server on ${on}`
}
