/**
 * Settings that leak sooner or later, found before they do. A finding rests on what is set and what was seen, never on
 * a guess: a rule that can't tell stays silent.
 */
import type { LintFinding } from '../core/report.js'

/** Half-open connections, now or earlier, whose `'end'` nobody but Node itself listened for. */
export interface Unheard {
  readonly connections: number
  /** Where the handler touched one of them, if that was recorded. */
  readonly handler: string | null
}

export const NOTHING_UNHEARD: Unheard = { connections: 0, handler: null }

/** What was seen of one listening server. */
export interface ServerFacts {
  readonly kind: 'net' | 'http'
  readonly label: string
  readonly where: string | null
  readonly isFastify: boolean
  /** Milliseconds; `null` for servers that have no such setting. */
  readonly requestTimeoutMs: number | null
  readonly idleTimeoutMs: number | null
  readonly keepAliveTimeoutMs: number | null
  readonly unheardEnds: Unheard
  /** The same among upgraded and CONNECT sockets. */
  readonly unheldUpgrades: Unheard
}

/** Connections to one remote end that were opened with the option `keepAlive`, and without effect. */
export interface LostKeepAlive {
  readonly remote: string
  readonly connections: number
  /** Where one was opened, if that was recorded. */
  readonly where: string | null
}

export interface LintFacts {
  readonly servers: readonly ServerFacts[]
  readonly lostKeepAlives: readonly LostKeepAlive[]
}

export interface LintOptions {
  /** How long the load balancer in front keeps an idle connection, in milliseconds; unknown if left out. */
  readonly loadBalancerIdleMs?: number | undefined
}

export function lint(facts: LintFacts, { loadBalancerIdleMs }: LintOptions = {}): LintFinding[] {
  return [
    ...mergeTwins(facts.servers).flatMap((server) => [
      ...lintHalfOpen(server),
      ...lintUpgrades(server),
      ...lintRequestTimeout(server),
      ...lintKeepAliveTimeout(server, loadBalancerIdleMs),
    ]),
    ...facts.lostKeepAlives.map(lostKeepAlive),
  ]
}

/** Fastify makes one server for each address of `localhost`: to the reader they are one. */
function mergeTwins(servers: readonly ServerFacts[]): ServerFacts[] {
  const merged = new Map<string, ServerFacts>()
  for (const server of servers) {
    const { unheardEnds, unheldUpgrades, ...setUp } = server
    const key = JSON.stringify(setUp)
    const twin = merged.get(key)
    merged.set(key, {
      ...setUp,
      unheardEnds: addUp(twin?.unheardEnds ?? NOTHING_UNHEARD, unheardEnds),
      unheldUpgrades: addUp(twin?.unheldUpgrades ?? NOTHING_UNHEARD, unheldUpgrades),
    })
  }
  return [...merged.values()]
}

export function addUp(a: Unheard, b: Unheard): Unheard {
  return { connections: a.connections + b.connections, handler: a.handler ?? b.handler }
}

function lintHalfOpen({ unheardEnds, label, where }: ServerFacts): LintFinding[] {
  const { connections, handler } = unheardEnds
  if (connections === 0) return []
  return [
    {
      rule: 'half-open-unheard',
      message: `${label} allows half-open connections, but nobody listens for 'end' on ${countOf(connections)}: when the peer ends, CLOSE_WAIT lasts until something else closes them`,
      remedy: "Call socket.end() on 'end', or drop allowHalfOpen: true.",
      where: handler ?? where,
    },
  ]
}

function lintUpgrades({ unheldUpgrades, label, where }: ServerFacts): LintFinding[] {
  const { connections, handler } = unheldUpgrades
  if (connections === 0) return []
  return [
    {
      rule: 'upgrade-unheld',
      message: `${label} has an upgrade or CONNECT handler that listens for no 'end' on ${countOf(connections)}: the HTTP server has let go of them, so nobody closes them when the peer ends`,
      remedy: "Call socket.end() on 'end' in the handler, and socket.destroySoon() where it refuses.",
      where: handler ?? where,
    },
  ]
}

function lintRequestTimeout(server: ServerFacts): LintFinding[] {
  const { kind, requestTimeoutMs, idleTimeoutMs, isFastify, label, where } = server
  // An idle timeout ends such a request as well: a socket that nobody reads is idle.
  if (kind !== 'http' || requestTimeoutMs !== 0 || (idleTimeoutMs ?? 0) > 0) return []
  return [
    {
      rule: 'no-request-timeout',
      message: `${label} has requestTimeout 0${isFastify ? ", Fastify's default" : ''}: a request whose body nobody reads is never given up`,
      remedy: isFastify
        ? 'Create it with Fastify({ requestTimeout: 300_000 }), or the longest time an upload may take.'
        : "Set server.requestTimeout to the longest time an upload may take (Node's default is 300000 ms).",
      where,
    },
  ]
}

function lintKeepAliveTimeout(server: ServerFacts, loadBalancerIdleMs: number | undefined): LintFinding[] {
  const { kind, keepAliveTimeoutMs, label, where } = server
  if (kind !== 'http' || loadBalancerIdleMs === undefined || keepAliveTimeoutMs === null) return []
  if (keepAliveTimeoutMs === 0 || keepAliveTimeoutMs > loadBalancerIdleMs) return []
  return [
    {
      rule: 'keep-alive-race',
      message: `${label} has keepAliveTimeout ${keepAliveTimeoutMs} ms, the load balancer keeps idle connections for ${loadBalancerIdleMs} ms: it will send requests into connections that are being closed (502)`,
      remedy: `Set keepAliveTimeout above ${loadBalancerIdleMs} ms.`,
      where,
    },
  ]
}

function lostKeepAlive({ remote, connections, where }: LostKeepAlive): LintFinding {
  return {
    rule: 'keep-alive-lost',
    message: `keepAlive: true was given to connect(), which ignores it there: keep-alive is off on ${countOf(connections)} to ${remote}`,
    remedy: 'Call socket.setKeepAlive(true, delayMs), or give keepAlive to net.connect().',
    where,
  }
}

function countOf(connections: number): string {
  return connections === 1 ? 'a connection' : `${connections} connections`
}
