import type { LintFinding, SocketReport } from '../core/report.js'

/** Half-open connections, open or closed by the guard, that nobody ends when the peer does. */
export interface Unheard {
  readonly connections: number
  readonly handler: string | null
}

export const NOTHING_UNHEARD: Unheard = { connections: 0, handler: null }

export interface ServerFacts {
  readonly label: string
  readonly where: string | null
  readonly isFastify: boolean
  readonly requestTimeoutMs: number | null
  readonly idleTimeoutMs: number
  readonly keepAliveTimeoutMs: number | null
  readonly unheardEnds: Unheard
  readonly unheldUpgrades: Unheard
}

/** Connections to one remote end whose option `keepAlive` had no effect. */
export interface LostKeepAlive {
  readonly remote: string
  readonly connections: number
  readonly where: string | null
}

export interface LintFacts {
  readonly servers: readonly ServerFacts[]
  readonly lostKeepAlives: readonly LostKeepAlive[]
}

export interface LintOptions {
  /** Milliseconds for which the load balancer keeps an idle connection, if known. */
  readonly loadBalancerIdleMs?: number | undefined
}

export function findingsIn(facts: LintFacts, { loadBalancerIdleMs = 0 }: LintOptions = {}): LintFinding[] {
  return [
    ...mergeTwins(facts.servers).flatMap((server) => [...lintServer(server, loadBalancerIdleMs)]),
    ...facts.lostKeepAlives.map(lintKeepAlive),
  ]
}

// Fastify makes a server for each address of `localhost`.
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

// The line that opened an outgoing socket or last touched an accepted one; `null` if not recorded.
export function handlerIn(socket: SocketReport | null | undefined): string | null {
  const stack = socket?.owner.stack ?? []
  const line = stack.find((frame) => !/\bnode_modules[\\/]/.test(frame)) ?? stack[0]
  return line === undefined ? null : (/^.+?:\d+(?=:\d+$| - |$)/.exec(line)?.[0] ?? line)
}

function* lintServer(server: ServerFacts, loadBalancerIdleMs: number): Generator<LintFinding> {
  const { label, where, unheardEnds, unheldUpgrades, isFastify, requestTimeoutMs, keepAliveTimeoutMs } =
    server
  if (unheardEnds.connections > 0) {
    yield {
      rule: 'half-open-unheard',
      message: `${label} allows half-open connections, and nobody ends ${countOf(unheardEnds)} when the peer does: CLOSE_WAIT lasts until something else closes them`,
      remedy: "Call socket.end() on 'end', or drop allowHalfOpen: true.",
      where: unheardEnds.handler ?? where,
    }
  }
  if (unheldUpgrades.connections > 0) {
    yield {
      rule: 'upgrade-unheld',
      message: `${label} has an upgrade or CONNECT handler that does not end ${countOf(unheldUpgrades)} when the peer does: the HTTP server has let go of them, so nobody else will`,
      remedy: "Call socket.end() on 'end' in the handler, and socket.destroySoon() where it refuses.",
      where: unheldUpgrades.handler ?? where,
    }
  }
  // An unread socket is idle, so an idle timeout ends such a request.
  if (requestTimeoutMs === 0 && server.idleTimeoutMs === 0) {
    yield {
      rule: 'no-request-timeout',
      message: `${label} has requestTimeout 0${isFastify ? ", Fastify's default" : ''}: a request whose body nobody reads is never given up`,
      remedy: isFastify
        ? 'Create it with Fastify({ requestTimeout: 300_000 }), or the longest time an upload may take.'
        : "Set server.requestTimeout to the longest time an upload may take (Node's default is 300000 ms).",
      where,
    }
  }
  if (keepAliveTimeoutMs !== null && keepAliveTimeoutMs > 0 && keepAliveTimeoutMs <= loadBalancerIdleMs) {
    yield {
      rule: 'keep-alive-race',
      message: `${label} has keepAliveTimeout ${keepAliveTimeoutMs} ms, the load balancer keeps idle connections for ${loadBalancerIdleMs} ms: it will send requests into connections that are being closed (502)`,
      remedy: `Set keepAliveTimeout above ${loadBalancerIdleMs} ms.`,
      where,
    }
  }
}

function lintKeepAlive({ remote, connections, where }: LostKeepAlive): LintFinding {
  return {
    rule: 'keep-alive-lost',
    message: `keepAlive: true was given to connect(), which ignores it there: keep-alive is off on ${countOf({ connections })} to ${remote}`,
    remedy: 'Call socket.setKeepAlive(true, delayMs), or give keepAlive to net.connect().',
    where,
  }
}

function countOf({ connections }: { readonly connections: number }): string {
  return connections === 1 ? 'a connection' : `${connections} connections`
}
