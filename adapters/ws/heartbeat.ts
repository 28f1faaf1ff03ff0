// Pings clients and terminates those that stay silent: no byte came in, and no blocked output moved, because a pong
// waits for what was queued before its ping. A WebSocket that is not being read is left alone.
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
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
  type Guard,
} from '../../src/adapter.js'
import { repeat, type Connections } from '../websockets.js'

export interface HeartbeatOptions {
  /** Milliseconds between two pings, 1 to 2147483647. @default 30000 */
  intervalMs?: number | undefined
  /** Milliseconds to answer; `intervalMs` more if the ping is stuck behind unread output. @default 10000 */
  timeoutMs?: number | undefined
}

interface HeartbeatTimes {
  readonly intervalMs: number
  readonly timeoutMs: number
}

const INTERVAL_MS = 30_000
const TIMEOUT_MS = 10_000
const OPEN = 1

export function readHeartbeat(value: unknown): HeartbeatTimes | null {
  if (value === undefined || value === false || value === null || value === 'off') return null
  if (value !== true && !isOptionBag(value)) {
    const expected = 'true, false or an object with intervalMs and timeoutMs'
    throw invalidOption('heartbeat', expected, describeValue(value))
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

interface Sign {
  readonly socket: Socket
  readonly received: number
  readonly accepted: number
  readonly isBlocked: boolean
}

type Round = ReadonlyMap<WebSocket, Sign>

export function startHeartbeat(
  guard: Guard,
  connections: Connections<WebSocket>,
  { intervalMs, timeoutMs }: HeartbeatTimes,
): () => void {
  let pinged: Round | null = null
  let earlier: Round = new Map()

  function pingAll(): Round {
    const signs = new Map<WebSocket, Sign>()
    for (const [webSocket, socket] of connections()) {
      if (!canBeJudged(webSocket, socket)) continue
      const [received, accepted] = [socket.bytesRead, bytesAccepted(socket)]
      signs.set(webSocket, { socket, received, accepted, isBlocked: hasBlockedOutput(socket) })
      webSocket.ping()
    }
    return signs
  }

  return repeat(guard, intervalMs, function beat() {
    if (pinged === null) {
      pinged = pingAll()
      return timeoutMs
    }
    // After a block of the event loop, let it read the answers first: a whole poll phase lies between two immediates.
    const [round, last] = [pinged, earlier]
    setImmediate(() => setImmediate(judge, round, last).unref()).unref()
    earlier = pinged
    pinged = null
    return intervalMs - timeoutMs
  })
}

function judge(round: Round, earlier: Round): void {
  for (const [webSocket, sign] of round) {
    if (!canBeJudged(webSocket, sign.socket) || !isSilent(sign, earlier.get(webSocket))) continue
    if (hasBlockedOutput(sign.socket)) closeByForce(sign.socket)
    else webSocket.terminate()
  }
}

function canBeJudged(webSocket: WebSocket, socket: Socket): boolean {
  return webSocket.readyState === OPEN && !webSocket.isPaused && !socket.isPaused()
}

// Moving output means a peer that acknowledges. Silence counts from the previous ping: a blocked one has not left.
function isSilent({ socket, received, accepted, isBlocked }: Sign, earlier: Sign | undefined): boolean {
  if (socket.bytesRead > received) return false
  if (!isBlocked) return true
  if (earlier === undefined || bytesAccepted(socket) > accepted) return false
  return earlier.accepted === accepted && earlier.received === received
}
