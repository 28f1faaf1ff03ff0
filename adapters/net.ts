/** Guards a `net` or `tls` server: settings of its own, a name in the report, and a graceful stop. */
import { Server, type Socket } from 'node:net'
import {
  drainServer,
  install,
  installedGuard,
  wrongServer,
  type DrainOptions,
  type DrainResult,
  type ServerOptions,
} from '../src/index.js'

export interface GuardedServer {
  /** Stops the server gracefully and destroys what is still open when the time is over. */
  drain(options?: DrainOptions): Promise<DrainResult>
  /** Takes the settings back; the server itself goes on. */
  release(): void
}

/**
 * Guards every socket of this server, those already open included. Installs a guard with default options when the
 * process has none yet.
 *
 * @param server a `net.Server` or `tls.Server`
 * @param options per-server options; what is left out is as given to `install()`
 * @throws `SLG_ERR_WRONG_SERVER`, `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 * @example
 * const guarded = guardServer(net.createServer(onConnection), { graceMs: 30_000, label: 'ingest' })
 * process.once('SIGTERM', () => guarded.drain({ timeoutMs: 5_000 }))
 */
export function guardServer(server: Server, options: ServerOptions = {}): GuardedServer {
  if (!(server instanceof Server)) throw wrongServer('a net.Server or tls.Server', server)
  const guard = installedGuard() ?? install()
  const release = guard.configureServer(server, options)
  return {
    drain: (drainOptions) => drainServer(guard, server, { finish: endSocket }, drainOptions),
    release,
  }
}

function endSocket(socket: Socket): void {
  socket.end()
}
