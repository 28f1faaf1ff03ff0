// `socket-leak-guard/adapter`: what adapters are written against. An adapter exports `guardServer(server, options)`,
// which returns a `GuardedServer`. `server` is what the application calls `close()` on.
import type { DrainOptions, DrainResult } from './drain/drain.js'

export interface GuardedServer<Options extends DrainOptions = DrainOptions> {
  /**
   * Stops the server: accepts no more connections, lets work in progress finish, and closes what is left when the time
   * is over. May be called again, for example with a shorter time.
   * @throws (rejects) `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
   */
  readonly drain: (options?: Options) => Promise<DrainResult>
  /** Undoes `guardServer()`; the server goes on. */
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

export { describeValue, SocketLeakGuardError, wrongServer } from './base/errors.js'
export { invalidOption, isOptionBag } from './options/rules.js'
export { checkedMs, checkNames, checkServerOptions } from './options/check.js'
export { messageOf, warnOnce } from './base/warnings.js'
export { createDetached } from './base/detached.js'
export type { RunDetached } from './base/detached.js'

export { closeByForce } from './drain/closing.js'
export { drain, drainServer, LONGEST_CLOSE_MS, within } from './drain/drain.js'
export type { DrainPlan } from './drain/drain.js'
export { drainHttpServer, planHttpDrain } from './drain/http.js'

export { bytesAccepted, hasBlockedOutput } from './socket/fields.js'

export { clearTimeout, monotonicMs, setImmediate, setTimeout } from './base/real-time.js'
