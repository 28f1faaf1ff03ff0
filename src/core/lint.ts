/**
 * Settings that leak sooner or later, found before they do. A finding rests on what is set and what was seen, never on
 * a guess: a rule that can't tell stays silent.
 */
export const LINT_RULES = [
  'half-open-unheard',
  'upgrade-unheld',
  'no-request-timeout',
  'keep-alive-race',
  'keep-alive-lost',
] as const
export type LintRule = (typeof LINT_RULES)[number]

export interface LintFinding {
  readonly rule: LintRule
  /** What is wrong and what it leads to. */
  readonly message: string
  readonly remedy: string
  /** Where the server was told to listen, `file:line`; `null` where that is not known. */
  readonly where: string | null
}

/** What was seen of one listening server. */
export interface ServerFacts {
  readonly kind: 'net' | 'http'
  readonly label: string
  readonly where: string | null
  /** Milliseconds; `null` for servers that have no such setting. */
  readonly requestTimeoutMs: number | null
  readonly keepAliveTimeoutMs: number | null
  /** Half-open connections, now or earlier, whose `'end'` nobody but Node itself listened for. */
  readonly unheardEnds: number
  /** The same among upgraded and CONNECT sockets. */
  readonly unheldUpgrades: number
}

export interface LintFacts {
  readonly servers: readonly ServerFacts[]
  /** Remote ends of connections on which the application's keep-alive did not hold. */
  readonly lostKeepAlives: readonly string[]
}

export interface LintOptions {
  /** How long the load balancer in front keeps an idle connection, in milliseconds; unknown if left out. */
  readonly loadBalancerIdleMs?: number | undefined
}

export function lint(facts: LintFacts, { loadBalancerIdleMs }: LintOptions = {}): LintFinding[] {
  return [
    ...facts.servers.flatMap((server) => [
      ...lintHalfOpen(server),
      ...lintUpgrades(server),
      ...lintRequestTimeout(server),
      ...lintKeepAliveTimeout(server, loadBalancerIdleMs),
    ]),
    ...facts.lostKeepAlives.map(lostKeepAlive),
  ]
}

function lintHalfOpen({ unheardEnds, label, where }: ServerFacts): LintFinding[] {
  if (unheardEnds === 0) return []
  return [
    {
      rule: 'half-open-unheard',
      message: `${label} allows half-open connections, but nobody listens for 'end' on ${connections(unheardEnds)}: they stay in CLOSE_WAIT when the peer ends`,
      remedy: "Call socket.end() on 'end', or drop allowHalfOpen: true.",
      where,
    },
  ]
}

function lintUpgrades({ unheldUpgrades, label, where }: ServerFacts): LintFinding[] {
  if (unheldUpgrades === 0) return []
  return [
    {
      rule: 'upgrade-unheld',
      message: `${label} has an upgrade or CONNECT handler that listens for no 'end' on ${connections(unheldUpgrades)}: the HTTP server has let go of them, so nobody will close them`,
      remedy: "Call socket.end() on 'end' in the handler, and socket.destroy() where it refuses.",
      where,
    },
  ]
}

function lintRequestTimeout({ kind, requestTimeoutMs, label, where }: ServerFacts): LintFinding[] {
  if (kind !== 'http' || requestTimeoutMs !== 0) return []
  return [
    {
      rule: 'no-request-timeout',
      message: `${label} has requestTimeout 0: a request whose body nobody reads is never given up`,
      remedy: 'Set requestTimeout to the longest time an upload may take (Node defaults to 300000 ms).',
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
      message: `${label} closes idle connections after ${keepAliveTimeoutMs} ms, the load balancer keeps them for ${loadBalancerIdleMs} ms: it will send requests into connections that are being closed (502)`,
      remedy: `Set keepAliveTimeout above ${loadBalancerIdleMs} ms.`,
      where,
    },
  ]
}

function lostKeepAlive(remote: string): LintFinding {
  return {
    rule: 'keep-alive-lost',
    message: `keep-alive was asked for on the connection to ${remote}, but the kernel has it off`,
    remedy: "Call socket.setKeepAlive() on 'connect', not before.",
    where: null,
  }
}

function connections(count: number): string {
  return count === 1 ? 'a connection' : `${count} connections`
}
