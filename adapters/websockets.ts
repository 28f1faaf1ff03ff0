/** What the adapters for ws and Socket.IO share: names and settings, a bound on closing handshakes, the graceful stop. */
import type { EventEmitter } from 'node:events'
import type { IncomingMessage, Server as HttpServer } from 'node:http'
import { Socket } from 'node:net'
import {
  bytesAccepted,
  checkedMs,
  clearTimeout,
  drain,
  createDetached,
  hasBlockedOutput,
  install,
  installedGuard,
  LONGEST_CLOSE_MS,
  messageOf,
  planHttpDrain,
  setTimeout,
  warnOnce,
  within,
  type DrainOptions,
  type DrainResult,
  type Guard,
  type ServerOptions,
  type WebSocketLike,
} from '../src/adapter.js'
import { webSocketOn } from './ws/internals.js'

/** RFC 6455, section 7.4.1. */
export const GOING_AWAY = 1001
const CLOSE_TIMEOUT_MS = 30_000
const CLOSING = 2
const SHORTEST_LOOK_MS = 10
const LONGEST_LOOK_MS = 5000

/** Kept on the server itself, so that nothing of it outlives the server. */
const RELEASE = Symbol.for('socket-leak-guard/release')

/** Every WebSocket of a server with the socket under it. */
export type Connections<W extends WebSocketLike> = () => ReadonlyMap<W, Socket>

export interface ClosingOptions extends ServerOptions {
  /**
   * How long a closing handshake may take without a byte moving, in milliseconds, 1 to 2147483647, or off. The limits of
   * ws (its option `closeTimeout`) and of Socket.IO do not hold where the peer ended first and can't take what is still to
   * be sent: such a WebSocket is closed here, by RST.
   * @default 30000
   */
  closeTimeoutMs?: number | 'off' | false | null | undefined
}

export interface Kind<W extends WebSocketLike> {
  readonly server: EventEmitter
  /** Emits `'headers'` when a handshake is about to be answered. */
  readonly engine: EventEmitter
  /** The HTTP server that it made for itself gets the same settings. */
  readonly own: HttpServer | null
  /** The HTTP server that is stopped as well. */
  httpServer(): HttpServer | null
  /** The WebSockets that the framework lists. Others are known from their handshake. */
  list(): Iterable<readonly [W, Socket]>
  /** Stops the server. @returns when it has, or `null` where it was stopped before */
  close(): Promise<unknown> | null
}

/** A second call for the same server replaces the first. @throws `SLG_ERR_INVALID_OPTION` */
export function guardWebSockets<W extends WebSocketLike>(
  { server, engine, own, httpServer, list, close }: Kind<W>,
  { closeTimeoutMs, ...settings }: ClosingOptions,
) {
  const closeLimitMs = readCloseTimeout(closeTimeoutMs)
  const guard = installedGuard() ?? install()
  // All that can throw comes before anything that would have to be undone.
  const undos = [guard.adapter.configureServer(server, settings)]
  if (own !== null) undos.push(guard.adapter.configureServer(own, settings))
  const guarded = server as EventEmitter & { [RELEASE]?: () => void }
  guarded[RELEASE]?.()
  Object.defineProperty(server, RELEASE, { value: release, configurable: true })

  /** Engine.IO emits this for polling requests as well. */
  function onHeaders(_headers: unknown, request: IncomingMessage): void {
    const { socket } = request
    if (request.headers.upgrade === undefined || installedGuard() !== guard) return
    if (!(socket instanceof Socket)) return
    guard.adapter.attribute(socket, { kind: 'websocket', server, request })
    // By then the WebSocket exists.
    process.nextTick(() => introduceUnknown(webSocketOn(socket), socket))
  }

  function introduceUnknown(webSocket: WebSocketLike | null, socket: Socket): void {
    if (!guard.adapter.useOf(socket)?.webSocket) introduce(webSocket, socket)
  }

  function introduce(webSocket: WebSocketLike | null, socket: Socket | null): void {
    if (webSocket === null || socket === null || installedGuard() !== guard) return
    guard.adapter.attribute(socket, { kind: 'websocket', server, webSocket })
  }

  function connections(): Map<W, Socket> {
    const found = new Map<W, Socket>()
    for (const [webSocket, socket] of list()) {
      // Opened before this call, or given to a handler of the application's own.
      introduceUnknown(webSocket, socket)
      found.set(webSocket, socket)
    }
    for (const socket of guard.adapter.socketsOf(server)) {
      const webSocket = guard.adapter.useOf(socket)?.webSocket
      if (webSocket) found.set(webSocket as W, socket)
    }
    return found
  }

  engine.on('headers', onHeaders)
  connections()
  if (closeLimitMs !== null) undos.push(boundClosing(guard, connections, closeLimitMs))

  function release(): void {
    engine.off('headers', onHeaders)
    for (const undo of undos) undo()
    if (guarded[RELEASE] === release) delete guarded[RELEASE]
  }

  /** @param more the names of options that the caller has read already */
  async function drainWebSockets(
    sayGoodbye: (webSocket: WebSocketLike) => void,
    options: DrainOptions | undefined,
    more: readonly string[] = [],
  ): Promise<DrainResult> {
    const below = httpServer()
    const http = below === null ? null : planHttpDrain(guard, below)
    let gone: Promise<unknown> | null = null

    const result = await drain(
      {
        server: below,
        sockets() {
          const open = connections().values()
          return [...new Set([...open, ...guard.adapter.socketsOf(server), ...(http?.sockets() ?? [])])]
        },
        stop(meet) {
          gone = close()
          http?.stop(meet)
        },
        finish(socket) {
          const webSocket =
            guard.adapter.useOf(socket)?.webSocket ??
            [...connections()].find(([, itsSocket]) => itsSocket === socket)?.[0]
          if (webSocket) sayGoodbye(webSocket)
          else http?.finish(socket)
        },
        closeRest: () => http?.closeRest?.(),
        cleanUp: () => http?.cleanUp?.(),
      },
      options,
      more,
    )
    // The sockets have closed; the framework may still be handing out what it had received.
    if (gone !== null && result.remaining === 0) await within(LONGEST_CLOSE_MS, gone)
    return result
  }

  return { guard, undos, connections, introduce, drain: drainWebSockets, release }
}

function readCloseTimeout(value: unknown): number | null {
  if (value === false || value === null || value === 'off') return null
  return checkedMs('closeTimeoutMs', value ?? CLOSE_TIMEOUT_MS, 1)
}

/** Runs something again, after as many milliseconds as it says itself, until the guard is uninstalled or it is stopped. */
export function repeat(guard: Guard, firstMs: number, run: () => number): () => void {
  // Not in the context of whoever wraps the server.
  const runDetached = createDetached()
  let timer = arm(firstMs)

  function arm(ms: number): NodeJS.Timeout {
    return runDetached(() => setTimeout(runShielded, ms).unref())
  }

  function runShielded(): void {
    if (installedGuard() !== guard) return
    let nextMs = firstMs
    try {
      nextMs = run()
    } catch (error) {
      warnOnce('SLG_WARN_INTERNAL', `looking after a server failed: ${messageOf(error)}`)
    }
    timer = arm(nextMs)
  }

  return () => clearTimeout(timer)
}

/**
 * Closes a WebSocket that has been closing for `limitMs` without a byte moving; it counts as reclaimed.
 *
 * ws arms its close timer in `close()` while the WebSocket is open (lib/websocket.js `setCloseTimer`, ws 8.23), but not when
 * the peer's FIN came first (`socketOnEnd`). A peer that ended and reads nothing then keeps the WebSocket in CLOSING, and
 * what is still to be sent, for ever.
 */
function boundClosing(guard: Guard, connections: Connections<WebSocketLike>, limitMs: number): () => void {
  const lookMs = Math.min(LONGEST_LOOK_MS, Math.max(SHORTEST_LOOK_MS, limitMs / 4))
  let closing = new Map<WebSocketLike, { readonly moved: number; readonly waitedMs: number }>()

  return repeat(guard, lookMs, function lookForClosing() {
    const before = closing
    closing = new Map()
    for (const [webSocket, socket] of connections()) {
      if (webSocket.readyState !== CLOSING) continue
      const moved = socket.bytesRead + bytesAccepted(socket)
      const last = before.get(webSocket)
      const waitedMs = last?.moved === moved ? last.waitedMs + lookMs : 0
      closing.set(webSocket, { moved, waitedMs })
      if (waitedMs < limitMs) continue
      const entry = guard.adapter.describe(socket)
      if (entry !== null) guard.reclaim(entry.id, hasBlockedOutput(socket) ? 'reset' : 'destroy')
    }
    return lookMs
  })
}
