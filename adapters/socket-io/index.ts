// The types name none of Socket.IO's, so that servers with any events fit.
import type { EventEmitter } from 'node:events'
import { checkServerOptions, messageOf, warnOnce } from '../../src/adapter.js'
import type { DrainOptions, DrainResult, GuardedServer, ServerOptions } from '../../src/adapter.js'
import { isSocketIoServer, refuse, refuseServer } from '../server-kinds.js'
import { GOING_AWAY, guardWebSockets, type ClosingOptions } from '../websockets.js'
import { engineOf, httpServerOf, isOlderSocketIo, webSocketsOf } from './internals.js'

export type { DrainOptions, DrainResult, ServerOptions }

export interface SocketIoLike {
  close(done?: (error?: Error) => void): unknown
  of(name: string): unknown
}

/** Socket.IO finds silent clients itself (`pingInterval`, `pingTimeout`). */
export type SocketIoOptions = ClosingOptions

/**
 * Guards the WebSockets of this server; for long polling guard its HTTP server too. Installs a guard with default
 * options if there is none. A second call replaces the first. Costs a listener and an unref'd timer a server.
 *
 * `drain` stops the Socket.IO server and its HTTP server, as `io.close()` does: clients reconnect, to another process,
 * and HTTP requests in progress finish.
 * @param io a Socket.IO `Server` attached to an `http.Server` or `https.Server`
 * @throws `SLG_ERR_WRONG_SERVER`, `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 * @example
 *   const chat = guardServer(new Server(httpServer), { label: 'chat' })
 *   process.once('SIGTERM', () => chat.drain({ timeoutMs: 5_000 }))
 */
export function guardServer(io: SocketIoLike, options: SocketIoOptions = {}): GuardedServer {
  const wanted = 'a Socket.IO server, 4.1 or later'
  if (isOlderSocketIo(io)) throw refuse(wanted, 'one of an older version', 'update the package socket.io')
  if (!isSocketIoServer(io)) throw refuseServer(wanted, io)
  const engine = engineOf(io)
  if (engine === null) {
    const advice = 'call io.attach() or io.listen() first'
    throw refuse('a Socket.IO server with an HTTP server', 'one that is not attached', advice)
  }
  checkServerOptions(options, ['closeTimeoutMs'])
  let closing: Promise<void> | null = null
  const { drain, release } = guardWebSockets(
    {
      server: io as SocketIoLike & EventEmitter,
      engine,
      own: null,
      httpServer: () => httpServerOf(io),
      list: () => webSocketsOf(engine),
      close: () => (closing ??= close(io)),
    },
    options,
  )
  return { drain: (drainOptions) => drain((webSocket) => webSocket.close(GOING_AWAY), drainOptions), release }
}

// Not `disconnectSockets(true)`, after which clients do not reconnect. Never rejects: an adapter's goodbye may fail.
async function close(io: SocketIoLike): Promise<void> {
  try {
    await io.close()
  } catch (error) {
    warnOnce('SLG_WARN_INTERNAL', `closing a Socket.IO server failed: ${messageOf(error)}`)
  }
}
