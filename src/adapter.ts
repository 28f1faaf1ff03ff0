/**
 * `socket-leak-guard/adapter`: everything that an adapter is written against. The adapters of this package import this file
 * and nothing else of `src`.
 *
 * An adapter exports `guardServer(server, options)`, which returns a {@link GuardedServer}. `server` is what the
 * application would call `close()` on: the `http.Server` of Express and Koa, the instance of Fastify, a WebSocketServer.
 */
import type { DrainOptions, DrainResult } from './drain/drain.js'

export interface GuardedServer<Options extends DrainOptions = DrainOptions> {
  /**
   * Stops the server gracefully: takes no more connections, lets what is under way finish, and closes by force what is
   * still open when the time is over. May be called again, with a shorter time for example.
   *
   * @throws (rejects) `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
   */
  readonly drain: (options?: Options) => Promise<DrainResult>
  /** Takes everything back that `guardServer()` has put in place; the server itself goes on. */
  readonly release: () => void
}

export type { DrainOptions, DrainResult }
export { install } from './install.js'
export { installedGuard } from './guard/registry.js'
export type { AdapterGuard, Guard, ServerOptions, SocketUse } from './guard/guard.js'
export type { RequestLike, ResponseLike, WebSocketLike } from './owner/request-name.js'
export type { RoutedRequest, RouteOf, ToldRoute } from './owner/request-name.js'
export { reportHandler } from './server/mounted-report.js'
export type { MountedReportOptions } from './server/mounted-report.js'

// Mistakes of the caller, told as the guard tells them.
export { describeValue, SocketLeakGuardError, wrongServer } from './base/errors.js'
export { invalidOption, isOptionBag } from './options/rules.js'
export { checkedMs, checkNames, checkServerOptions } from './options/check.js'
export { messageOf, warnOnce } from './base/warnings.js'
export { createDetached } from './base/detached.js'
export type { RunDetached } from './base/detached.js'

// The graceful stop.
export { closeByForce } from './drain/closing.js'
export { drain, drainServer, LONGEST_CLOSE_MS, within } from './drain/drain.js'
export type { DrainPlan } from './drain/drain.js'
export { drainHttpServer, planHttpDrain } from './drain/http.js'

// What a socket's own fields say.
export { bytesAccepted, hasBlockedOutput } from './socket/fields.js'

// Time that no fake clock has replaced.
export { clearTimeout, monotonicMs, setImmediate, setTimeout } from './base/real-time.js'
