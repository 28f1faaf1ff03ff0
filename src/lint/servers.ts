/**
 * The servers of this process, known since they were told to listen, and what was seen of the ends of their
 * connections. Feeds the linter; a server is never kept alive by it.
 *
 * The channel `tracing:net.server.listen:asyncStart` (lib/net.js `Server.listen`) speaks inside the call to `listen()`,
 * so one stack per server says where that was.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Server } from 'node:net'
import { Server as TlsServer } from 'node:tls'
import { CpuShare } from '../kernel/cpu-share.js'
import { monotonicMs } from '../real-time.js'
import { serverOf } from '../socket/fields.js'
import type { Place } from '../owner/stacks/frames.js'
import { Places, siteOfPlaces } from '../owner/stacks/places.js'
import type { SocketRecord } from '../socket/record.js'
import { addUp, NOTHING_UNHEARD, type ServerFacts, type Unheard } from './rules.js'
import { isHttpServer, isUpgraded, serverOfUnheard, wasUnheard } from './unheard-ends.js'

const LISTEN = 'tracing:net.server.listen:asyncStart'

export interface ServerWatch {
  onReleased(record: SocketRecord): void
  /** @param mayRest what was seen last will do while another look would take more than 1 % of one CPU */
  facts(look: Look, mayRest: boolean): ServerFacts[]
  stop(): void
}

export interface Look {
  readonly open: Iterable<SocketRecord>
  readonly nowMs: number
  isForeign(server: Server): boolean
}

/** What nobody listens for on the connections of one server. */
interface Ends {
  plain: Unheard
  upgraded: Unheard
}

interface Seen {
  /** The frames of the call to `listen()`. */
  readonly listened: readonly Place[]
  /** Of connections that are gone. */
  readonly past: Ends
  /** Of those that were open at the last look. */
  open: Ends
}

export function watchServers(handlerOf: (record: SocketRecord) => string | null): ServerWatch {
  const seen = new WeakMap<Server, Seen>()
  const known = new Set<WeakRef<Server>>()
  const places = new Places()
  const share = new CpuShare(monotonicMs)

  function onListen(message: unknown): void {
    const { server } = message as { server: Server }
    if (seen.has(server)) return
    seen.set(server, { listened: places.capture(), past: noEnds(), open: noEnds() })
    for (const ref of known) if (ref.deref() === undefined) known.delete(ref)
    known.add(new WeakRef(server))
  }

  function listening(isForeign: Look['isForeign']): Server[] {
    return [...known]
      .map((ref) => ref.deref())
      .filter((server) => server !== undefined && server.listening && !isForeign(server)) as Server[]
  }

  /** With 20,000 sockets it takes some 10 ms: their fields lie all over the memory. */
  function look(servers: readonly Server[], { open, nowMs }: Look): void {
    share.begin()
    const startedMs = monotonicMs()
    for (const server of servers) seen.get(server)!.open = noEnds()
    for (const record of open) {
      const server = serverOfUnheard(record, nowMs)
      const entry = server === null ? undefined : seen.get(server)
      if (entry !== undefined) count(entry.open, record, handlerOf)
    }
    share.spend(startedMs)
  }

  subscribe(LISTEN, onListen)
  return {
    onReleased(record) {
      if (record.case === null || !wasUnheard(record)) return
      const server = serverOf(record.socket)
      const entry = server === null ? undefined : seen.get(server)
      if (entry !== undefined) count(entry.past, record, handlerOf)
    },
    facts(what, mayRest) {
      const servers = listening(what.isForeign)
      if (!mayRest || share.restMs() === 0) look(servers, what)
      return servers.map((server) => describeServer(server, seen.get(server)!, places))
    },
    stop() {
      unsubscribe(LISTEN, onListen)
    },
  }
}

function noEnds(): Ends {
  return { plain: NOTHING_UNHEARD, upgraded: NOTHING_UNHEARD }
}

function count(ends: Ends, record: SocketRecord, handlerOf: (record: SocketRecord) => string | null): void {
  const which = isUpgraded(record) ? 'upgraded' : 'plain'
  const { connections, handler } = ends[which]
  ends[which] = { connections: connections + 1, handler: handler ?? handlerOf(record) }
}

function describeServer(server: Server, { listened, past, open }: Seen, places: Places): ServerFacts {
  const http = isHttpServer(server) ? server : null
  const shown = places.show(listened)
  return {
    kind: http === null ? 'net' : 'http',
    label: labelOf(server),
    where: siteOfPlaces(shown),
    isFastify: shown.some(({ file }) => /[\\/]node_modules[\\/]fastify[\\/]/.test(file)),
    requestTimeoutMs: http?.requestTimeout ?? null,
    idleTimeoutMs: http?.timeout ?? null,
    keepAliveTimeoutMs: http?.keepAliveTimeout ?? null,
    unheardEnds: addUp(past.plain, open.plain),
    unheldUpgrades: addUp(past.upgraded, open.upgraded),
  }
}

function labelOf(server: Server): string {
  const address = server.address()
  const on = typeof address === 'string' ? address : `port ${address?.port ?? 'unknown'}`
  const isTls = server instanceof TlsServer
  const protocol = isHttpServer(server) ? (isTls ? 'HTTPS' : 'HTTP') : isTls ? 'TLS' : 'TCP'
  return `the ${protocol} server on ${on}`
}
