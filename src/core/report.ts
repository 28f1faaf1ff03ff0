/**
 * The report: the one shape that every renderer takes and that the endpoint serves as JSON.
 * Published as a JSON Schema in `report.schema.json`; `test/report/schema.test.ts` keeps the two together.
 */
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

export type { Endpoint } from './endpoint.js'

/** The HTTP request that a socket serves, or that opened it. Never a query string, never a header. */
export interface RequestInfo {
  readonly method: string
  readonly path: string
  /** Of an outgoing request: where it goes, `http://10.0.0.5:8080`. */
  readonly origin?: string
}

/**
 * Who did what to a socket last: frames of the application, innermost first, `app/proxy.js:42 - source.pipe(socket)`.
 * `null`: nobody did, or Node alone.
 */
export interface AccessStacks {
  /** `connect()` was called. */
  readonly created: readonly string[] | null
  /** An agent gave the connection to a request. */
  readonly assigned: readonly string[] | null
  /** A reader was attached: `on('data')`, `on('readable')`, `pipe()`. */
  readonly reader: readonly string[] | null
  readonly paused: readonly string[] | null
  readonly wrote: readonly string[] | null
  readonly ended: readonly string[] | null
}

export interface Owner {
  /** Where leaks are grouped: a route, an upgrade path, a listening port, a remote host, a place in the code. */
  readonly site: string
  readonly label: string | null
  readonly request: RequestInfo | null
  /** What the context provider knew when the socket was opened or last used. */
  readonly context: Readonly<Record<string, string>>
  /**
   * The code to look at, innermost frame first: where an outgoing socket was opened or its request made, where an
   * accepted one was last touched. `null` unless `stacks` is on.
   */
  readonly stack: readonly string[] | null
  /** Only of a socket whose stacks are recorded. */
  readonly accesses?: AccessStacks
}

/** What a verdict rests on beyond Node's streams. `null` means: no sensor could tell. */
export interface Evidence {
  /** Does the peer's kernel still answer? */
  readonly peer: 'alive' | 'gone' | 'unknown'
  /** What `peer` rests on, in words. */
  readonly peerBasis: string
  readonly lastDataReceivedMs: number | null
  readonly lastDataSentMs: number | null
  readonly lastAckReceivedMs: number | null
  readonly retransmits: number | null
  readonly probes: number | null
  readonly rttMs: number | null
  /** Who set keep-alive on this socket, if anybody. */
  readonly keepAlive: 'off' | 'guard' | 'application'
  /** Why output can't leave this process: the application has corked it, or its TLS handshake is not finished. */
  readonly heldBack: 'corked' | 'handshake' | null
  /** What the application sees if the connection is closed; `null` where nothing is known to wait for it. */
  readonly ifClosed: string | null
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
  /** Milliseconds since the condition began (for a healthy socket: since it was first seen). */
  readonly sinceMs: number
  /** Milliseconds since a byte last moved in either direction, as far as was observed. */
  readonly idleMs: number
  readonly unreadBytes: number
  readonly unsentBytes: number
  readonly owner: Owner
  /** The other connection of a pair, that it is piped to or was opened for; `null` where none is known. */
  readonly partner: PartnerReport | null
  /** One plain sentence: what happened, since when, whose code, what to do. */
  readonly diagnosis: string
  readonly evidence: Evidence
}

/** How a socket is used at this moment: what helps depends on it. */
export interface Usage {
  readonly hasReadableListener: boolean
  /** Something is piped to or from it. */
  readonly isPiped: boolean
}

/** Open sockets of one condition and verdict. */
export interface ConditionCount {
  /** `null`: of an exempt socket, whose half-close is none. */
  readonly condition: Condition | null
  readonly verdict: Verdict
  readonly count: number
  readonly oldestMs: number
  readonly unreadBytes: number
  readonly unsentBytes: number
}

export interface SiteCount {
  readonly site: string
  readonly count: number
  readonly oldestMs: number
  readonly conditions: Readonly<Partial<Record<Condition, number>>>
}

export interface SiteReport extends SiteCount {
  /** Sockets of this site that were called leaked since the start. */
  readonly leakedTotal: number
  /** Leaked minus healed and reclaimed, over the last hour. */
  readonly growthPerHour: number
  /** What it holds of all open descriptors, 0 to 1; `null` where they can't be counted. */
  readonly descriptorShare: number | null
}

/** What has become of a site lately. */
export interface SiteTrend {
  /** Sockets of this site that were called leaked since the start. */
  readonly leakedTotal: number
  /** Leaked minus healed or reclaimed over the last hour, scaled to an hour while the history is shorter. */
  readonly growthPerHour: number
}

/** A site that leaked and, for now, has nothing suspect or leaked any more. */
export interface HealedSite {
  readonly site: string
  /** Sockets of this site that were called leaked since the start. */
  readonly leakedTotal: number
  /** Those of them that the guard closed. The code may well leak on, where there are any. */
  readonly reclaimed: number
  /** Milliseconds since the last of them was put right or closed. */
  readonly healedMs: number
}

/** `tracked`, `suspect`, `leaked`, `stalled` and `exempt` are now; the others count since the guard was installed. */
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
  /** Blocked event loops: a socket that looked stuck meanwhile is not counted as a leak. */
  readonly stalls: StallReport
  /** For each remote address: how many of its ports half-closed sockets of ours hold. Worst first. */
  readonly ports: readonly PortsReport[]
  readonly descriptors: PressureReport
  /** Milliseconds until the limit of descriptors is reached if leaks go on as in the last hour; `null`: not in sight. */
  readonly limitReachedInMs: number | null
  /** Leaked minus healed and reclaimed, over the last hour, of all sites together. */
  readonly growthPerHour: number
  /** Sockets of the process that nobody tracks; `null` where they can't be seen, or were not looked for yet. */
  readonly orphans: OrphansReport | null
  /** Settings that will leak sooner or later. Only where `socket-leak-guard/lint` was loaded. */
  readonly lint?: readonly LintFinding[]
  /** In the order of `CONDITIONS`; what nothing is in is left out. */
  readonly conditions: readonly ConditionCount[]
  /** Worst first: by count, then by age. Counts the sockets whose verdict is `suspect` or `leaked`. */
  readonly sites: readonly SiteReport[]
  /** Where stalled connections come from, in the same order. They are no leaks, and in no other number of sites. */
  readonly stalledSites: readonly SiteCount[]
  /** Pairs of which one side left in the middle of an exchange, and the other goes on. */
  readonly partedPairs: number
  /** Pairs of which one side has gone or is in trouble, oldest first; healthy ones only when asked for. */
  readonly pairs: readonly PairReport[]
  /** Healed within the last hour, the latest first, 20 at the most. */
  readonly healedSites: readonly HealedSite[]
  /** Oldest first. Those whose verdict is not `none`; healthy ones only when asked for. */
  readonly sockets: readonly SocketReport[]
  /** The `after` value of the next page, or `null` on the last one. */
  readonly nextAfter: number | null
}

/** Descriptors against their limit; `null` where the platform does not tell. */
export interface PressureReport {
  readonly openDescriptors: number | null
  /** The soft RLIMIT_NOFILE. */
  readonly descriptorLimit: number | null
  /** 0: none, grace is as configured; 1: the top, the oldest suspects go. `null`: the option `pressure` is off. */
  readonly pressure: number | null
  /** Sockets reclaimed because of pressure, since the start. */
  readonly reclaimed: number
}

/** A connection as its partner knows it, also when it is gone. */
export interface PartnerName {
  readonly id: number
  readonly direction: Direction
  readonly remote: Endpoint | null
  /** Its site. */
  readonly site: string
}

/** The other connection of the pair, as it stands in the report's entry of one socket. */
export interface PartnerReport extends PartnerName {
  /** `pipe`: bytes are piped between the two. `context`: one is used in the work of the other's request. */
  readonly by: Tie
  /** `closed`: it is gone, and this one goes on. `ended`: its peer has ended, and it is still open. */
  readonly state: 'open' | 'ended' | 'closed'
  /** Milliseconds since it closed, or its peer ended; `null` while it is open. */
  readonly sinceMs: number | null
}

/** One connection of a pair, as it is now. */
export interface PairSide extends PartnerName {
  readonly state: PartnerReport['state']
  /** What it is stuck in, if it is. */
  readonly condition: Condition | null
  /** Milliseconds since it closed, its peer ended or its condition began; `null` where nothing has. */
  readonly sinceMs: number | null
  /** Bytes received and sent per second, lately; `null` where nobody has looked twice. */
  readonly bytesPerSecond: number | null
  /** Milliseconds since a byte moved, as far as was observed; `null` where nobody has watched. */
  readonly idleMs: number | null
}

export interface PairReport {
  readonly by: Tie
  /** The accepted connection first. */
  readonly sides: readonly [PairSide, PairSide]
  /** What happened, since when, whose code, what to do: one line. */
  readonly line: string
}

/** Ports of one peer that half-closed sockets of ours hold. */
export interface PortsReport {
  readonly remote: string
  /** The port of ours that the connections came in on. */
  readonly localPort: number
  /** How many different ports of that address half-closed sockets of ours hold. */
  readonly heldPorts: number
}

/**
 * Socket descriptors of the process that no tracked socket stands for. The guard knows that they are there and what the
 * kernel's tables say of them; it can't know who opened them, who else holds them, or whether anybody will close them.
 */
export interface OrphansReport {
  readonly tcp: number
  /** The TCP ones by kernel state. */
  readonly states: Readonly<Partial<Record<KernelState, number>>>
  /** Among them are the channel to a parent process and the pipes to children. */
  readonly unix: number
  /** UDP, netlink, TCP sockets that were never connected, and TCP sockets whose connection the kernel has closed. */
  readonly other: number
  /** Untracked sockets that listen: servers, no orphans. */
  readonly listeners: number
  /** All socket descriptors, the tracked ones included. */
  readonly socketDescriptors: number
  /** How old this count is. */
  readonly ageMs: number
}

/** How often and for how long the event loop was blocked, as far as the sweep's own timer noticed. */
export interface StallReport {
  readonly count: number
  readonly longestMs: number
  readonly lastMs: number
  /** Milliseconds since the last one ended; `null` when there was none. */
  readonly lastEndedMs: number | null
}

export interface LintFinding {
  readonly rule: LintRule
  /** What is wrong and what it leads to. */
  readonly message: string
  readonly remedy: string
  /**
   * `file:line`: the handler or the `connect()` where its stack was recorded, else where the server was told to listen;
   * `null` where neither is known.
   */
  readonly where: string | null
}

/** What to put into a report. */
export interface SnapshotQuery {
  /** List healthy sockets too. @default false */
  readonly all?: boolean
  /**
   * List what has only just become odd too: its verdict is still `none`, its condition is named, if it has one. Every
   * close in good order looks like this for a round trip. @default false
   */
  readonly unsettled?: boolean
  /** At most so many sockets and pairs, 0 to 10000; the numbers are those of all. @default 1000 */
  readonly limit?: number
  /**
   * Only sockets after the one with this id in the report's order (paging); 0 is before the first. When that socket is
   * no longer listed, the page is empty: begin again. @default 0
   */
  readonly after?: number
}

/** A verdict that changed, as `guard.subscribe()` and the diagnostics channels tell it. */
export interface GuardEvent {
  readonly type: EventType
  /** Wall-clock time, ISO 8601. */
  readonly at: string
  /** The socket as it was at that moment. */
  readonly socket: SocketReport
}
