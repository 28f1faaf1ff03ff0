/**
 * Pings all clients of a server, and terminates those from which nothing has come back in time.
 *
 * Whether a client lives is read from the byte counters of its socket, so that no `'pong'` listener is needed: any byte that
 * came in is a sign of life, and so is blocked output that moves again, because a pong can't come before the ping has
 * got through what was queued ahead of it. A WebSocket that is not being read can't be judged, and is left alone.
 */
import {
  bytesAccepted,
  checkedMs,
  checkNames,
  closeByForce,
  describeValue,
  hasBlockedOutput,
  invalidOption,
  isOptionBag,
  setImmediate,
  SocketLeakGuardError,
} from '../src/adapter-kit.js'
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Chore } from './chores.js'

export interface HeartbeatOptions {
  /** Milliseconds between two pings, 1 to 2147483647. @default 30000 */
  intervalMs?: number | undefined
  /** Milliseconds that a client has to answer, 1 to `intervalMs`. @default 10000 */
  timeoutMs?: number | undefined
}

export interface HeartbeatTimes {
  readonly intervalMs: number
  readonly timeoutMs: number
}

const INTERVAL_MS = 30_000
const TIMEOUT_MS = 10_000
const OPEN = 1

/** @throws `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION` */
export function readHeartbeat(value: unknown): HeartbeatTimes | null {
  if (value === undefined || value === false || value === null || value === 'off') return null
  if (value !== true && !isOptionBag(value)) {
    throw invalidOption(
      'heartbeat',
      'true, false or an object with intervalMs and timeoutMs',
      describeValue(value),
    )
  }
  const given: HeartbeatOptions = value === true ? {} : value
  checkNames(given, ['intervalMs', 'timeoutMs'])
  const intervalMs = checkedMs('heartbeat.intervalMs', given.intervalMs ?? INTERVAL_MS, 1)
  const timeoutMs = checkedMs('heartbeat.timeoutMs', given.timeoutMs ?? Math.min(TIMEOUT_MS, intervalMs), 1)
  if (timeoutMs > intervalMs) {
    throw new SocketLeakGuardError(
      'SLG_ERR_INVALID_OPTION',
      `heartbeat.timeoutMs must be at most heartbeat.intervalMs, got ${timeoutMs} and ${intervalMs}`,
    )
  }
  return { intervalMs, timeoutMs }
}

export function createHeartbeat(
  connections: () => Iterable<[WebSocket, Socket]>,
  { intervalMs, timeoutMs }: HeartbeatTimes,
): Chore {
  let pinged: Map<WebSocket, Sign> | null = null

  function pingAll(): void {
    pinged = new Map()
    for (const [webSocket, socket] of connections()) {
      if (!canBeJudged(webSocket, socket)) continue
      pinged.set(webSocket, readSign(socket))
      webSocket.ping()
    }
  }

  /** After the event loop has polled once more: had it been blocked, the answers would still lie in the kernel. */
  function judgeSoon(): void {
    const judged = pinged
    pinged = null
    setImmediate(() => {
      for (const [webSocket, before] of judged ?? []) {
        if (canBeJudged(webSocket, before.socket) && !hasMoved(before)) terminate(webSocket, before.socket)
      }
    }).unref()
  }

  return {
    delayMs: intervalMs,
    run() {
      if (pinged === null) {
        pingAll()
        return timeoutMs
      }
      judgeSoon()
      return intervalMs - timeoutMs
    },
  }
}

function canBeJudged(webSocket: WebSocket, socket: Socket): boolean {
  return webSocket.readyState === OPEN && !webSocket.isPaused && !socket.isPaused()
}

interface Sign {
  readonly socket: Socket
  readonly received: number
  readonly accepted: number
}

/**
 * The kernel accepts output without any peer until its buffer is full; only where that was the case already does output
 * that moves mean a peer that acknowledges.
 */
function readSign(socket: Socket): Sign {
  const accepted = hasBlockedOutput(socket) ? bytesAccepted(socket) : Infinity
  return { socket, received: socket.bytesRead, accepted }
}

function hasMoved({ socket, received, accepted }: Sign): boolean {
  return socket.bytesRead > received || bytesAccepted(socket) > accepted
}

function terminate(webSocket: WebSocket, socket: Socket): void {
  if (hasBlockedOutput(socket)) closeByForce(socket)
  else webSocket.terminate()
}
