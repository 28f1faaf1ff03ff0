// The report that all renderers take. `test/report/schema.test.ts` compares it with `report.schema.json`.
import type { CensusReport } from './census.js'
import type { OrphansReport } from './orphans.js'
import type { HistoryReport } from './history.js'
import type { Endpoint } from './endpoint.js'
import type {
  Condition,
  Direction,
  EventType,
  KernelState,
  Kind,
  LintRule,
  Phase,
  Sensor,
  Tie,
  Verdict,
} from './vocabulary.js'

export const REPORT_SCHEMA = 'socket-leak-guard/report/v1'

export type * from './census.js'
export type * from './orphans.js'
export type * from './history.js'
export type * from './query.js'
export type { Endpoint } from './endpoint.js'

/** The request a socket serves, or that opened it. Never a query or a header. */
export interface RequestInfo {
  readonly method: string
  readonly path: string
  /** For an outgoing request: `http://10.0.0.5:8080`. */
  readonly origin?: string
}

/** The application's last accesses, innermost frame first: `app/proxy.js:42 - source.pipe(socket)`, or `null`. */
export interface AccessStacks {
  readonly created: readonly string[] | null
  /** An agent gave the connection to a request. */
  readonly assigned: readonly string[] | null
  readonly reader: readonly string[] | null
  readonly paused: readonly string[] | null
  readonly wrote: readonly string[] | null
  readonly ended: readonly string[] | null
}

export interface Owner {
  /** What leaks are grouped by: a route, upgrade path, listening port, remote host or place in the code. */
  readonly site: string
  readonly label: string | null
  readonly request: RequestInfo | null
  /** The context provider's values when the socket was opened or last used. */
  readonly context: Readonly<Record<string, string>>
  /** The code to look at, innermost frame first; `null` unless `stacks` is on. */
  readonly stack: readonly string[] | null
  readonly accesses?: AccessStacks
}

/** What a verdict rests on beyond Node's streams; `null` is unknown. */
export interface Evidence {
  readonly peer: 'alive' | 'gone' | 'unknown'
  readonly peerBasis: string
  readonly lastDataReceivedMs: number | null
  readonly lastDataSentMs: number | null
  readonly lastAckReceivedMs: number | null
  readonly retransmits: number | null
  readonly probes: number | null
  readonly rttMs: number | null
  readonly keepAlive: 'off' | 'guard' | 'application'
  /** Why output stays in this process: corked, an unfinished TLS handshake, or the peer's closed HTTP/2 window. */
  readonly heldBack: 'corked' | 'handshake' | 'window' | null
  /** What the application sees if the connection is closed; `null` if nothing is known to wait for it. */
  readonly ifClosed: string | null
  /** Its descriptor, as in `lsof` and `strace`; `null` on Windows, and if it has none. */
  readonly fd: number | null
  /** As in `ss -e` and /proc; `null` if not on Linux. */
  readonly inode: number | null
  /** The functions that hold it, by name: `data -> keepReading`. `guard.locate()` finds their places. */
  readonly heldBy: readonly string[]
  /** What a connection that is open both ways waits for, if known. */
  readonly waits: Waits | null
}

/**
 * `answer`: for the answer to a request. `end`: for the application to end its request. `reader`: for somebody to read
 * an answer. `use`: for its first byte.
 */
export type WaitsFor = 'answer' | 'end' | 'reader' | 'use'

export interface Waits {
  readonly for: WaitsFor
  /** At least so long: counted from the first sweep that saw it. */
  readonly ms: number
  readonly unreadBytes: number
}

export interface SocketReport {
  readonly id: number
  readonly direction: Direction
  readonly kind: Kind
  readonly local: Endpoint | null
  readonly remote: Endpoint | null
  readonly phase: Phase
  readonly condition: Condition | null
  readonly verdict: Verdict
  readonly kernelState: KernelState | null
  readonly seenBy: Sensor
  /** Milliseconds since the condition began, or since a healthy socket was first seen. */
  readonly sinceMs: number
  /** Milliseconds since a byte was last seen to move. */
  readonly idleMs: number
  readonly unreadBytes: number
  readonly unsentBytes: number
  readonly owner: Owner
  /** It was open when the guard was installed; its times begin then. */
  readonly bornBeforeGuard?: true
  /** The connection it is piped to or was opened for, if known. */
  readonly partner: PartnerReport | null
  /** Of an open HTTP/2 session. */
  readonly streams: StreamsReport | null
  /** One sentence: what happened, since when, whose code, what to do. */
  readonly diagnosis: string
  readonly evidence: Evidence
}

export interface StreamsReport {
  readonly open: number
  /** Closed to new streams, by `session.close()` or the peer. */
  readonly isClosed: boolean
  readonly oldest: readonly StreamReport[]
}

export interface StreamReport {
  readonly id: number | null
  readonly method: string | null
  readonly path: string | null
  /** Milliseconds since a sweep first met it. */
  readonly ageMs: number | null
  readonly unreadBytes: number
  readonly unsentBytes: number
}

export interface Usage {
  /** On the socket, or on the HTTP message that comes in on it. */
  readonly hasReadableListener: boolean
  /** `resetAndDestroy()` throws on TLS and pipes. */
  readonly canReset: boolean
  readonly isPiped: boolean
  /** The listeners of an unanswered upgrade or CONNECT, or an empty string. */
  readonly answerers: string
}

export interface ConditionCount {
  readonly condition: Condition | null
  readonly verdict: Verdict
  readonly count: number
  readonly oldestMs: number
  readonly unreadBytes: number
  readonly unsentBytes: number
}

export interface StandingCount {
  readonly direction: Direction
  readonly phase: Phase
  readonly condition: Condition | null
  readonly verdict: Verdict
  readonly count: number
}

export interface MeasuresReport {
  /** The first 20 sites that leaked, in that order, and `other` for the rest of them. */
  readonly sites: readonly SiteMeasure[]
  /** How long closed connections were half-closed, of those that a sweep met so. */
  readonly halfClosed: Readonly<Record<Direction, DurationsReport>>
  /** From the beginning of the condition until the guard had closed the connection. */
  readonly reclaim: DurationsReport
  readonly sweeps: SweepsReport
  /** Errors that the guard caught, by code. */
  readonly faults: Readonly<Record<string, number>>
}

export interface SiteMeasure {
  readonly site: string
  readonly leakedTotal: number
  /** Leaked, and neither healed nor closed. */
  readonly leaked: number
}

export interface DurationsReport {
  readonly count: number
  readonly sumMs: number
  readonly buckets: readonly { readonly atMostMs: number; readonly count: number }[]
}

export interface SweepsReport {
  readonly count: number
  /** All the time that sweeps and quick looks have taken, subscribers included. */
  readonly totalMs: number
  /** The longest that one of them held the event loop at once. */
  readonly longestMs: number
}

export interface CodePlace {
  /** `data`, `request data`, `server request`, `pipe`. */
  readonly how: string
  readonly name: string
  readonly file: string
  readonly line: number
  /** `null` for the application. */
  readonly package: string | null
  readonly place: string
}

export interface CodeReport {
  readonly id: number
  readonly site: string
  readonly code: readonly CodePlace[]
  /** Why nothing was found, or `null`. */
  readonly reason: string | null
  readonly blockedMs: number
}

export interface SiteCount {
  readonly site: string
  readonly count: number
  readonly oldestMs: number
  readonly conditions: Readonly<Partial<Record<Condition, number>>>
}

export interface SiteReport extends SiteCount {
  readonly leakedTotal: number
  /** Leaked minus healed and reclaimed over the last hour. */
  readonly growthPerHour: number
  /** Share of all open descriptors, 0 to 1; `null` if unknown. */
  readonly descriptorShare: number | null
}

export interface SiteTrend {
  readonly leakedTotal: number
  /** Leaked minus healed and reclaimed over the last hour, extrapolated from a shorter history. */
  readonly growthPerHour: number
}

/** A site that leaked and has nothing suspect or leaked now. */
export interface HealedSite {
  readonly site: string
  readonly leakedTotal: number
  /** How many of them the guard closed. If there are any, the code may still leak. */
  readonly reclaimed: number
  /** Milliseconds since the last of them was healed or closed. */
  readonly healedMs: number
}

/** `tracked`, `suspect`, `leaked`, `stalled` and `exempt` are current; the others count since the start. */
export interface Totals {
  readonly tracked: number
  readonly suspect: number
  readonly leaked: number
  readonly stalled: number
  readonly recovered: number
  readonly reclaimed: number
  readonly dead: number
  readonly exempt: number
}

export interface Report {
  readonly schema: typeof REPORT_SCHEMA
  readonly generatedAt: string
  readonly process: {
    readonly pid: number
    readonly node: string
    readonly platform: string
    readonly uptimeSeconds: number
  }
  readonly kernel: { readonly probe: string; readonly reason: string | null }
  readonly totals: Totals
  /** Blocks of the event loop. They do not count as a socket's idle time. */
  readonly stalls: StallReport
  /** Ports of each remote address held by half-closed sockets, worst first. */
  readonly ports: readonly PortsReport[]
  readonly descriptors: PressureReport
  /** Milliseconds to the descriptor limit at the last hour's rate; `null` if not in sight. */
  readonly limitReachedInMs: number | null
  /** Leaked minus healed and reclaimed over the last hour, all sites. */
  readonly growthPerHour: number
  /** Sockets the guard does not track; `null` if unknown or not counted yet. */
  readonly orphans: OrphansReport | null
  /** The latest 20 results of `locate()` and the option `code`, by site. */
  readonly code: readonly CodeReport[]
  /** Connections that are open both ways and may be forgotten. */
  readonly census: CensusReport
  /** Closed servers that have waited for connections for a grace, and the process if nothing listens any more. */
  readonly closing: readonly ClosingReport[]
  readonly lint?: readonly LintFinding[]
  /** The last hour, where the query asks for it. */
  readonly history?: HistoryReport
  /** In the order of `CONDITIONS`, without empty ones. */
  readonly conditions: readonly ConditionCount[]
  /** The same sockets by where they stand, without empty entries. */
  readonly standings: readonly StandingCount[]
  /** Since the guard was installed, for time series. */
  readonly measures: MeasuresReport
  /** Sites of suspect and leaked sockets, by count, then by age. */
  readonly sites: readonly SiteReport[]
  /** Sites of stalled sockets, in the same order. */
  readonly stalledSites: readonly SiteCount[]
  readonly partedPairs: number
  /** Pairs with a side gone or in trouble, oldest first; healthy ones on request. */
  readonly pairs: readonly PairReport[]
  /** Healed within the last hour, latest first, at most 20. */
  readonly healedSites: readonly HealedSite[]
  /** Sockets with a verdict, oldest first; healthy ones on request. */
  readonly sockets: readonly SocketReport[]
  /** `after` for the next page; `null` on the last one. */
  readonly nextAfter: number | null
}

export interface PressureReport {
  readonly openDescriptors: number | null
  readonly descriptorLimit: number | null
  /** From 0 (full grace) to 1 (the oldest suspects are closed); `null` without the option `pressure`. */
  readonly pressure: number | null
  readonly reclaimed: number
}

/** A connection as its partner knows it, also once it is closed. */
export interface PartnerName {
  readonly id: number
  readonly direction: Direction
  readonly remote: Endpoint | null
  readonly site: string
}

export interface PartnerReport extends PartnerName {
  /** `pipe`: one is piped to the other. `context`: one is used for the other's request. */
  readonly by: Tie
  /** `ended`: its peer has ended, and it is still open. */
  readonly state: 'open' | 'ended' | 'closed'
  readonly sinceMs: number | null
}

export interface PairSide extends PartnerName {
  readonly state: PartnerReport['state']
  readonly condition: Condition | null
  readonly sinceMs: number | null
  readonly bytesPerSecond: number | null
  /** Milliseconds since a byte was seen to move; `null` if not watched. */
  readonly idleMs: number | null
}

export interface PairReport {
  readonly by: Tie
  readonly sides: readonly [PairSide, PairSide]
  readonly line: string
}

export interface PortsReport {
  readonly remote: string
  readonly localPort: number
  readonly heldPorts: number
}

export interface ClosingReport {
  readonly server: string | null
  /** Milliseconds since a sweep found it closed. */
  readonly sinceMs: number
  readonly connections: number
  readonly holders: readonly Holder[]
  readonly line: string
}

export interface Holder {
  readonly how: Hold
  readonly site: string
  readonly count: number
  readonly oldestMs: number
}

export type Hold =
  'upgrade' | 'connect' | 'websocket' | 'h2' | 'half-open' | 'unanswered' | 'keep-alive' | 'open'

export interface StallReport {
  readonly count: number
  readonly longestMs: number
  readonly lastMs: number
  readonly lastEndedMs: number | null
}

export interface LintFinding {
  readonly rule: LintRule
  readonly message: string
  readonly remedy: string
  /** `file:line` of the handler or `connect()` if its stack was recorded, else of `listen()`; `null` if unknown. */
  readonly where: string | null
}

/** A changed verdict, for `guard.subscribe()` and the diagnostics channels. */
export interface GuardEvent {
  readonly type: EventType
  readonly at: string
  readonly socket: SocketReport
}
