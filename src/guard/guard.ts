import type { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import type { GuardListener } from '../act/announcer.js'
import type { Report, SnapshotQuery, SocketReport } from '../core/report.js'
import type { Action, Kind } from '../core/vocabulary.js'
import type { PolicyOptions, ResolvedOptions } from '../options/options.js'
import type { RequestLike, ResponseLike, RouteOf, ToldRoute, WebSocketLike } from '../owner/request-name.js'

/** Settings of one server: any of the per-socket options, and a name for the report. */
export interface ServerOptions extends PolicyOptions {
  /** What this server is for, shown with each of its sockets. */
  label?: string | undefined
}

/** What an adapter tells about a socket. What is left out stays as it was. */
export interface SocketUse {
  readonly kind?: Kind | null
  /** The request that the socket now serves; method and path are read from it when a report is made. */
  readonly request?: RequestLike | null
  /** The response to that request. */
  readonly response?: ResponseLike | null
  /** The WebSocket that the socket carries. */
  readonly webSocket?: WebSocketLike | null
  /** The server by whose settings the socket lives from now on, if not by those of the one that accepted it. */
  readonly server?: object | null
}

/**
 * The part of the guard that adapters use. After `uninstall()` every call that would change something throws
 * `SLG_ERR_UNINSTALLED`.
 */
export interface AdapterGuard {
  /**
   * Settings and a name for every socket that this server has accepted and will accept, its upgraded ones included.
   * A later call for the same server replaces the earlier one.
   *
   * @param server a `net.Server`, or a server above one (a WebSocketServer) whose sockets `attribute()` names
   * @param routeOf finds the route of a request from what its framework left on it, for the report; see `nameRoute()` for
   *   frameworks that leave nothing. It is called when a report is made, never on the way
   * @throws `SLG_ERR_WRONG_SERVER`, `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
   * @returns what takes the settings back
   */
  configureServer(server: EventEmitter, options: ServerOptions, routeOf?: RouteOf): () => void
  /** The open sockets of this server: upgraded ones too, TLS folded with its raw socket. */
  socketsOf(server: EventEmitter): Socket[]
  /** What this socket is used for. */
  attribute(socket: Socket, use: SocketUse): void
  /**
   * The route that serves this request, as its framework writes it (`/users/:id`). Only for frameworks that
   * don't leave it on the request, as Express does. Costs one entry of a WeakMap, and is formatted when a report asks.
   *
   * @param request Node's own request (`http.IncomingMessage`), as the server emitted it
   * @param route the pattern, or a function that finds it later; it is called when a report is made and once when the request is
   *   over, so it must be quick, and what it throws counts as no route
   * @throws `SLG_ERR_INVALID_OPTION`
   * @example
   * fastify.addHook('onRequest', (request, reply, done) => {
   *   guard.adapter.nameRoute(request.raw, request.routeOptions.url ?? '')
   *   done()
   * })
   */
  nameRoute(request: RequestLike, route: ToldRoute): void
  /** What is known of that, or `null` for a socket that nobody said anything about. */
  useOf(socket: Socket): SocketUse | null
  /** The report's entry of one socket, as of now; `null` for one that is closed or not tracked. */
  describe(socket: Socket): SocketReport | null
}

/**
 * The guard of this process, as `install()` returns it. Calls about a socket accept any `net.Socket` or
 * `tls.TLSSocket` and throw `SLG_ERR_NOT_A_SOCKET` for anything else; after `uninstall()` every call that would
 * change something throws `SLG_ERR_UNINSTALLED`.
 */
export interface Guard {
  /** The options in force, with their defaults. */
  readonly options: ResolvedOptions
  /** Where the report endpoint listens; rejects with `SLG_ERR_REPORT_LISTEN`. `null` without the option `report`. */
  readonly listening: Promise<{ readonly url: string }> | null

  /** The report as of the last sweep. Costs time in proportion to the odd sockets, and asks the kernel nothing. */
  snapshot(query?: SnapshotQuery): Report
  /** Looks at every socket now, in one go, instead of waiting for the next sweep; then as `snapshot()`. */
  sweep(query?: SnapshotQuery): Report
  /** A quick look at JavaScript fields, then as `snapshot()`. What the endpoint serves. */
  report(query?: SnapshotQuery): Report
  /** Calls `listener` at every verdict change. @returns what unsubscribes it */
  subscribe(listener: GuardListener): () => void

  /**
   * This half-close is meant: the verdict is `exempt`, and no action follows. Proven death is still acted on
   * (`reclaimDead`), and a remedy that has begun goes on.
   *
   * @param isExempt `false`: it is judged like any other again. @default true
   */
  exempt(socket: Socket, isExempt?: boolean): void
  /** A name for the report: what this socket is for. `null`: as its server is called. */
  label(socket: Socket, text: string | null): void
  /**
   * Other settings for this socket, on top of those of earlier calls; `null` takes them all back. They hold whatever its
   * server is given, before or later.
   *
   * @throws `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
   */
  configure(socket: Socket, options: PolicyOptions | null): void
  /** What adapters are written against; see `socket-leak-guard/adapter`. */
  readonly adapter: AdapterGuard
  /**
   * Closes one socket, whatever its verdict, and counts it as reclaimed.
   *
   * @param id as the report shows it
   * @param action @default 'end'
   * @throws `SLG_ERR_NO_SUCH_SOCKET`
   */
  reclaim(id: number, action?: Exclude<Action, 'report'>): void

  /** Takes every patch and listener out again and stops the timer; sockets stay as they are. */
  uninstall(): void
  [Symbol.dispose](): void
}
