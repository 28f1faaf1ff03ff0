import type { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import type { GuardListener } from '../act/announcer.js'
import type { CodeReport, Report, SnapshotQuery, SocketReport } from '../core/report.js'
import type { Action, Kind } from '../core/vocabulary.js'
import type { PolicyOptions, ResolvedOptions } from '../options/options.js'
import type { RequestLike, ResponseLike, RouteOf, ToldRoute, WebSocketLike } from '../owner/request-name.js'

export interface ServerOptions extends PolicyOptions {
  label?: string | undefined
}

/** What an adapter knows about a socket. Fields left out keep their values. */
export interface SocketUse {
  readonly kind?: Kind | null
  /** The request the socket serves; method and path are read when a report is made. */
  readonly request?: RequestLike | null
  readonly response?: ResponseLike | null
  readonly webSocket?: WebSocketLike | null
  /** The server whose settings apply, if not those of the one that accepted the socket. */
  readonly server?: object | null
}

/** For adapters. After `uninstall()`, calls that would change something throw `SLG_ERR_UNINSTALLED`. */
export interface AdapterGuard {
  /**
   * Settings and a name for a server's open and future sockets, upgraded ones included. A later call replaces them.
   * @param server a `net.Server`, or one above it (a WebSocketServer) whose sockets `attribute()` names
   * @param routeOf finds a request's route in what its framework left on it; called when a report is made
   * @throws `SLG_ERR_WRONG_SERVER`, `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
   * @returns a function that takes the settings back
   */
  configureServer(server: EventEmitter, options: ServerOptions, routeOf?: RouteOf): () => void
  /** Open sockets of this server, upgraded ones included; a TLS connection counts once. */
  socketsOf(server: EventEmitter): Socket[]
  /** The tracked socket with this id of a report; `null` if it is gone. */
  socketOf(id: number): Socket | null
  attribute(socket: Socket, use: SocketUse): void
  /**
   * Names the route of a Node `http.IncomingMessage`, for frameworks that don't leave it there. Costs a WeakMap entry.
   * @param route the pattern, or a quick function that finds it when a report asks and once when the request ends
   * @throws `SLG_ERR_INVALID_OPTION`
   */
  nameRoute(request: RequestLike, route: ToldRoute): void
  /** What `attribute()` was told, or `null`. */
  useOf(socket: Socket): SocketUse | null
  /** As `guard.report()`, in steps of about a millisecond: the event loop may turn after each. */
  reportInSteps(query?: SnapshotQuery): Iterator<void, Report>
  /** The socket's report entry now; `null` if it is closed or not tracked. */
  describe(socket: Socket): SocketReport | null
}

/**
 * The guard of this process. Calls about a socket throw `SLG_ERR_NOT_A_SOCKET` for anything but a `net.Socket`. After
 * `uninstall()`, calls that would change something throw `SLG_ERR_UNINSTALLED`.
 */
export interface Guard {
  readonly options: ResolvedOptions
  /** Where the report endpoint listens; `null` without the option `report`. Rejects with `SLG_ERR_REPORT_LISTEN`. */
  readonly listening: Promise<{ readonly url: string }> | null

  /** The report as of the last sweep. Costs time for each odd socket and does not ask the kernel. */
  snapshot(query?: SnapshotQuery): Report
  /** Sweeps now, synchronously; then as `snapshot()`. */
  sweep(query?: SnapshotQuery): Report
  /** A quick look at JavaScript fields, then as `snapshot()`. The endpoint serves this. */
  report(query?: SnapshotQuery): Report
  /** Calls `listener` for each verdict change. @returns a function that unsubscribes it */
  subscribe(listener: GuardListener): () => void

  /**
   * The half-close of this socket (or its id) is meant; `false` undoes it. No action follows, except for proven death
   * (`reclaimDead`) or a remedy that has begun.
   */
  exempt(socket: Socket | number, isExempt?: boolean): void
  /** The socket's name in the report; `null` for its server's label. */
  label(socket: Socket, text: string | null): void
  /**
   * Adds settings for this socket, which win over its server's; `null` removes them. Throws `SLG_ERR_INVALID_OPTION`,
   * `SLG_ERR_UNKNOWN_OPTION`.
   */
  configure(socket: Socket, options: PolicyOptions | null): void
  /** For adapters; see `socket-leak-guard/adapter`. */
  readonly adapter: AdapterGuard
  /** Closes a socket, whatever its verdict, as reclaimed. Throws `SLG_ERR_NO_SUCH_SOCKET`. @default 'end' */
  reclaim(id: number, action?: Exclude<Action, 'report'>): void

  /**
   * Finds where the functions that hold a socket were written, without `stacks`. Blocks the event loop for about 0.1 s.
   * Does nothing while an inspector is attached or forbidden. Throws `SLG_ERR_NO_SUCH_SOCKET`.
   */
  locate(id: number): CodeReport

  /**
   * Saves the report as JSON for `socket-leak-guard explain`, readable by its owner alone, in pieces between turns of
   * the event loop. `redact` hides addresses, hosts, paths, labels, context values and lines of code.
   * @throws (rejects) `SLG_ERR_SAVE_REPORT`
   * @returns the absolute path
   */
  saveReport(path: string, options?: { readonly redact?: boolean }): Promise<string>

  /** Removes patches, listeners and the timer. Sockets stay as they are. */
  uninstall(): void
  [Symbol.dispose](): void
}
