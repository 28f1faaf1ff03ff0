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

export const GOING_AWAY = 1001
const CLOSE_TIMEOUT_MS = 30_000
const CLOSING = 2
const SHORTEST_LOOK_MS = 10
const LONGEST_LOOK_MS = 5000

const RELEASE = Symbol.for('socket-leak-guard/release')

export type Connections<W extends WebSocketLike> = () => ReadonlyMap<W, Socket>

export interface ClosingOptions extends ServerOptions {
  /**
   * Milliseconds without a byte before a closing handshake ends by RST, 1 to 2147483647, or off. The limits of ws
   * (`closeTimeout`) and Socket.IO don't cover a peer that ended first and takes no more data. @default 30000
   */
  closeTimeoutMs?: number | 'off' | false | null | undefined
}

export interface Kind<W extends WebSocketLike> {
  readonly server: EventEmitter
  readonly engine: EventEmitter
  readonly own: HttpServer | null
  httpServer(): HttpServer | null
  // The WebSockets listed by the framework; others are known from their handshake.
  list(): Iterable<readonly [W, Socket]>
  close(): Promise<unknown> | null
}

// A second call for the same server replaces the first. Throws `SLG_ERR_INVALID_OPTION`.
export function guardWebSockets<W extends WebSocketLike>(
  { server, engine, own, httpServer, list, close }: Kind<W>,
  { closeTimeoutMs, ...settings }: ClosingOptions,
) {
  const closeLimitMs = readCloseTimeout(closeTimeoutMs)
  const guard = installedGuard() ?? install()
  // Steps that can throw come first, so that nothing has to be undone.
  const undos = [guard.adapter.configureServer(server, settings)]
  if (own !== null) undos.push(guard.adapter.configureServer(own, settings))
  const guarded = server as EventEmitter & { [RELEASE]?: () => void }
  guarded[RELEASE]?.()
  Object.defineProperty(server, RELEASE, { value: release, configurable: true })

  function onHeaders(_headers: unknown, request: IncomingMessage): void {
    const { socket } = request
    if (request.headers.upgrade === undefined || installedGuard() !== guard) return
    if (!(socket instanceof Socket)) return
    guard.adapter.attribute(socket, { kind: 'websocket', server, request })
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

  // `more`: names of options that the caller has read.
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
    if (gone !== null && result.remaining === 0) await within(LONGEST_CLOSE_MS, gone)
    return result
  }

  return { guard, undos, connections, introduce, drain: drainWebSockets, release }
}

function readCloseTimeout(value: unknown): number | null {
  if (value === false || value === null || value === 'off') return null
  return checkedMs('closeTimeoutMs', value ?? CLOSE_TIMEOUT_MS, 1)
}

// `run` returns the milliseconds to the next call; ends with the guard.
export function repeat(guard: Guard, firstMs: number, run: () => number): () => void {
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

// Closes a WebSocket that has been closing for `limitMs` without a byte, and counts it as reclaimed. ws starts its
// close timer in `close()` (lib/websocket.js `setCloseTimer`, ws 8.23), but not if the peer's FIN came first
// (`socketOnEnd`): a peer that reads nothing then keeps the WebSocket in CLOSING forever.
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
