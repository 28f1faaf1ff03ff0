/**
 * The servers of this process, known since they were told to listen, and what was seen of the ends of their
 * connections. Feeds the linter; a server is never kept alive by it.
 *
 * The channel `tracing:net.server.listen:asyncStart` (lib/net.js `Server.listen`) speaks inside the call to `listen()`,
 * so one stack per server says where that was.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Server as HttpServer } from 'node:http'
import { Server as HttpsServer } from 'node:https'
import { Socket, type Server } from 'node:net'
import type { ServerFacts } from '../core/lint.js'
import { placesOf, siteOfPlaces } from './stack-frames.js'
import { serverOf } from './socket-fields.js'
import type { TrackedSocket } from './tracked-socket.js'

const LISTEN = 'tracing:net.server.listen:asyncStart'
/** A handler may well attach its listeners a little later; after this long it won't. */
const SETTLED_MS = 1000

export interface ServerWatch {
  /** The peer ended: has anybody but Node listened for it? Two comparisons unless the socket is half-open. */
  onPeerEnded(record: TrackedSocket): void
  facts(open: Iterable<TrackedSocket>, nowMs: number, isForeign: (server: Server) => boolean): ServerFacts[]
  stop(): void
}

interface Seen {
  /** Made in the call to `listen()`; its stack is read only when there is something to tell. */
  readonly listened: Error
  unheardEnds: number
  unheldUpgrades: number
}

export function watchServers(): ServerWatch {
  const seen = new WeakMap<Server, Seen>()
  const known = new Set<WeakRef<Server>>()
  /** Node's own listener for `'end'` (lib/net.js `onReadableStreamEnd`). */
  const ownEndListeners = new Socket().listenerCount('end')

  function onListen(message: unknown): void {
    const { server } = message as { server: Server }
    if (seen.has(server)) return
    seen.set(server, { listened: new Error('listen'), unheardEnds: 0, unheldUpgrades: 0 })
    for (const ref of known) if (ref.deref() === undefined) known.delete(ref)
    known.add(new WeakRef(server))
  }

  function isUnheard({ socket }: TrackedSocket): boolean {
    return socket.allowHalfOpen && !socket.writableEnded && socket.listenerCount('end') <= ownEndListeners
  }

  function isUpgraded({ attribution }: TrackedSocket): boolean {
    return attribution?.kind === 'upgrade' || attribution?.kind === 'connect'
  }

  subscribe(LISTEN, onListen)
  return {
    onPeerEnded(record) {
      if (!record.socket.allowHalfOpen || !isUnheard(record)) return
      const server = serverOf(record.socket)
      const entry = server === null ? undefined : seen.get(server)
      if (entry === undefined) return
      if (isUpgraded(record)) entry.unheldUpgrades += 1
      else entry.unheardEnds += 1
    },
    facts(open, nowMs, isForeign) {
      const unheard = [...open].filter(
        (record) => record.peerEndedMs === 0 && nowMs - record.firstSeenMs >= SETTLED_MS && isUnheard(record),
      )
      return [...known].flatMap((ref) => {
        const server = ref.deref()
        if (server === undefined || !server.listening || isForeign(server)) return []
        const { listened, unheardEnds, unheldUpgrades } = seen.get(server)!
        const mine = unheard.filter(({ socket }) => serverOf(socket) === server)
        const upgraded = mine.filter(isUpgraded).length
        const isHttp = server instanceof HttpServer || server instanceof HttpsServer
        return [
          {
            kind: isHttp ? ('http' as const) : ('net' as const),
            label: describeServer(server, isHttp),
            where: siteOfPlaces(placesOf(listened)),
            requestTimeoutMs: isHttp ? server.requestTimeout : null,
            keepAliveTimeoutMs: isHttp ? server.keepAliveTimeout : null,
            unheardEnds: unheardEnds + mine.length - upgraded,
            unheldUpgrades: unheldUpgrades + upgraded,
          },
        ]
      })
    },
    stop() {
      unsubscribe(LISTEN, onListen)
    },
  }
}

function describeServer(server: Server, isHttp: boolean): string {
  const address = server.address()
  const on = typeof address === 'string' ? address : `port ${address?.port ?? 'unknown'}`
  return `the ${isHttp ? 'HTTP' : 'TCP'} server on ${on}`
}
