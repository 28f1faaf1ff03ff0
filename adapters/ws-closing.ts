/**
 * Bounds the closing of a WebSocket where ws itself does not: it arms its close timer in `close()` while the WebSocket is open
 * (lib/websocket.js `setCloseTimer`, ws 8.23), but not when the peer's FIN came first (`socketOnEnd`). A peer that ended
 * and reads nothing then keeps the WebSocket in CLOSING, and what is still to be sent, for ever.
 */
import { bytesAccepted, checkedMs, hasBlockedOutput } from '../src/adapter-kit.js'
import type { Socket } from 'node:net'
import type { Guard } from '../src/index.js'
import type { Chore } from './chores.js'

const CLOSE_TIMEOUT_MS = 30_000
const CLOSING = 2

const SHORTEST_LOOK_MS = 10
const LONGEST_LOOK_MS = 5000

/** @throws `SLG_ERR_INVALID_OPTION` */
export function readCloseTimeout(value: unknown): number | null {
  if (value === false || value === null || value === 'off') return null
  return checkedMs('closeTimeoutMs', value ?? CLOSE_TIMEOUT_MS, 1)
}

/** As much of a WebSocket as says that it is closing. */
interface Closable {
  readonly readyState: number
}

interface Progress {
  readonly moved: number
  readonly sinceMs: number
}

/** Closing for `limitMs` without a byte moving is closed by the guard, which counts and announces it as reclaimed. */
export function createClosingWatch(
  guard: Guard,
  connections: () => Iterable<[Closable, Socket]>,
  limitMs: number,
): Chore {
  const lookMs = Math.min(LONGEST_LOOK_MS, Math.max(SHORTEST_LOOK_MS, limitMs / 4))
  let closing = new Map<Closable, Progress>()

  function look(nowMs: number): void {
    const still = new Map<Closable, Progress>()
    for (const [webSocket, socket] of connections()) {
      if (webSocket.readyState !== CLOSING) continue
      const moved = socket.bytesRead + bytesAccepted(socket)
      const last = closing.get(webSocket)
      const progress = last?.moved === moved ? last : { moved, sinceMs: nowMs }
      still.set(webSocket, progress)
      if (nowMs - progress.sinceMs >= limitMs) giveUp(socket)
    }
    closing = still
  }

  function giveUp(socket: Socket): void {
    const entry = guard.describe(socket)
    if (entry !== null) guard.reclaim(entry.id, hasBlockedOutput(socket) ? 'reset' : 'destroy')
  }

  return {
    delayMs: lookMs,
    run(nowMs) {
      look(nowMs)
      return lookMs
    },
  }
}
