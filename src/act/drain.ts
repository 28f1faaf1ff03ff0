import { once } from 'node:events'
import type { Server, Socket } from 'node:net'
import { describeValue, SocketLeakGuardError } from '../errors.js'
import type { Guard } from '../guard.js'
import { clearTimeout, monotonicMs, setTimeout } from '../real-time.js'

export interface DrainOptions {
  /** How long sockets may take to finish before they are destroyed, in milliseconds. 0 destroys at once. @default 10000 */
  readonly timeoutMs?: number | undefined
}

export interface DrainResult {
  /** Sockets that closed in good order. */
  readonly ended: number
  /** Sockets that had to be destroyed when the time was over. */
  readonly destroyed: number
  readonly elapsedMs: number
}

export interface DrainSteps {
  /** Asks one socket to finish in good order; must not throw away what is still to be sent. */
  finish(socket: Socket): void
  /** Anything else that begins the end, such as `server.closeIdleConnections()`. */
  begin?(): void
}

const DEFAULT_TIMEOUT_MS = 10_000

/**
 * Stops a server gracefully: no new connections, the open ones are asked to finish, and what is still open when the
 * time is over is destroyed. Upgraded and CONNECT sockets are included, which `server.close()` waits for without end
 * and `server.closeAllConnections()` does not touch.
 *
 * @throws `SLG_ERR_INVALID_OPTION`
 */
export async function drainServer(
  guard: Guard,
  server: Server,
  steps: DrainSteps,
  options: DrainOptions = {},
): Promise<DrainResult> {
  const timeoutMs = checkedTimeout(options.timeoutMs)
  const startedMs = monotonicMs()
  const closed = server.listening ? once(server, 'close') : Promise.resolve()
  if (server.listening) server.close()
  steps.begin?.()
  let ended = 0
  let destroyed = 0
  const sockets = guard.socketsOf(server).filter((socket) => !socket.destroyed)
  const closings = sockets.map((socket) => closing(socket))
  for (const socket of sockets) steps.finish(socket)

  const deadline = deferredTimeout(timeoutMs)
  await Promise.race([Promise.all(closings), deadline.promise])
  deadline.cancel()
  // Those that came in while the server was closing are in the list as well.
  const left = guard.socketsOf(server).filter((socket) => !socket.destroyed)
  const killed = left.map((socket) => closing(socket))
  for (const socket of left) {
    destroyed += 1
    socket.destroy()
  }
  ended = sockets.filter((socket) => !left.includes(socket)).length
  await Promise.all(killed)
  await closed
  return { ended, destroyed, elapsedMs: Math.round(monotonicMs() - startedMs) }
}

/** Without an error listener: a socket that fails while it closes has closed. */
function closing(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', () => {
      resolve()
    })
  })
}

function deferredTimeout(timeoutMs: number): { promise: Promise<void>; cancel(): void } {
  let timer: NodeJS.Timeout
  const promise = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs)
  })
  return {
    promise,
    cancel() {
      clearTimeout(timer)
    },
  }
}

function checkedTimeout(timeoutMs: unknown = DEFAULT_TIMEOUT_MS): number {
  if (Number.isInteger(timeoutMs) && (timeoutMs as number) >= 0 && (timeoutMs as number) <= 2_147_483_647) {
    return timeoutMs as number
  }
  throw new SocketLeakGuardError(
    'SLG_ERR_INVALID_OPTION',
    `timeoutMs must be an integer from 0 to 2147483647, got ${describeValue(timeoutMs)}`,
  )
}
