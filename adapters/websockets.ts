/** What the adapters for ws and Socket.IO share: a bound on closing handshakes, and the graceful stop. */
import type { EventEmitter } from 'node:events'
import type { Server as HttpServer } from 'node:http'
import type { Socket } from 'node:net'
import {
  bytesAccepted,
  checkedMs,
  clearTimeout,
  drain,
  createDetached,
  hasBlockedOutput,
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
  type WebSocketLike,
} from '../src/adapter.js'

/** Going away (RFC 6455, section 7.4.1). */
export const GOING_AWAY = 1001

const CLOSE_TIMEOUT_MS = 30_000
const CLOSING = 2
const SHORTEST_LOOK_MS = 10
const LONGEST_LOOK_MS = 5000

/** @throws `SLG_ERR_INVALID_OPTION` */
export function readCloseTimeout(value: unknown): number | null {
  if (value === false || value === null || value === 'off') return null
  return checkedMs('closeTimeoutMs', value ?? CLOSE_TIMEOUT_MS, 1)
}

/**
 * Runs something again and again, after as many milliseconds as it says itself, until the guard is uninstalled.
 *
 * @returns what stops it
 */
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

  return function stopRepeating() {
    clearTimeout(timer)
  }
}

/** Every WebSocket of a server with the socket under it. */
export type Connections<W extends WebSocketLike> = () => ReadonlyMap<W, Socket>

/**
 * Closes a WebSocket that has been closing for `limitMs` without a byte moving; it counts as reclaimed.
 *
 * ws arms its close timer in `close()` while the WebSocket is open (lib/websocket.js `setCloseTimer`, ws 8.23), but not when
 * the peer's FIN came first (`socketOnEnd`). A peer that ended and reads nothing then keeps the WebSocket in CLOSING, and
 * what is still to be sent, for ever.
 *
 * @returns what stops it
 */
export function boundClosing(
  guard: Guard,
  connections: Connections<WebSocketLike>,
  limitMs: number | null,
): () => void {
  if (limitMs === null) return () => {}
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

export interface WebSocketDrain {
  readonly guard: Guard
  readonly server: EventEmitter
  /** The HTTP server that is stopped as well, if there is one. */
  readonly httpServer: HttpServer | null
  readonly connections: Connections<WebSocketLike>
  /** Stops the server. @returns when it has, or `null` where it was stopped before */
  close(): Promise<void> | null
  /** Says goodbye to one client. */
  closeWebSocket(webSocket: WebSocketLike): void
}

/** @param more the names of options that the caller has read already */
export async function drainWebSockets(
  { guard, server, httpServer, connections, close, closeWebSocket }: WebSocketDrain,
  options: DrainOptions | undefined,
  more: readonly string[],
): Promise<DrainResult> {
  const http = httpServer === null ? null : planHttpDrain(guard, httpServer)
  let gone: Promise<void> | null = null

  function webSocketOn(socket: Socket): WebSocketLike | undefined {
    for (const [webSocket, itsSocket] of connections()) if (itsSocket === socket) return webSocket
    return undefined
  }

  const result = await drain(
    {
      server: httpServer,
      sockets() {
        const open = connections().values()
        return [...new Set([...open, ...guard.adapter.socketsOf(server), ...(http?.sockets() ?? [])])]
      },
      stop(meet) {
        gone = close()
        http?.stop(meet)
      },
      finish(socket) {
        const webSocket = guard.adapter.useOf(socket)?.webSocket ?? webSocketOn(socket)
        if (webSocket) closeWebSocket(webSocket)
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
