/**
 * The graceful stop of a server, the same for every kind: take no more, ask each socket to finish, wait, close by force
 * what is left, and say truthfully what became of whom.
 *
 * - A socket counts as soon as it was seen; those that come in late (a backlog, a TLS handshake, one that the
 *   application hands in) are seen in further looks, until one finds nothing new.
 * - Two drains of one server may overlap, a second signal with a shorter time for example: each counts what it saw, and
 *   what one destroyed the other does not call ended.
 * - The timer keeps the process alive: somebody waits for the result.
 */
import type { Server, Socket } from 'node:net'
import { Server as TlsServer } from 'node:tls'
import type { Guard } from '../guard.js'
import { isTls } from '../observe/socket-fields.js'
import { monotonicMs } from '../real-time.js'
import { checkedMs, checkNames } from '../options/check.js'
import { messageOf, warnOnce } from '../warnings.js'
import { closeByForce, endSocket, wasForced } from './closing.js'
import { Roll } from './drain-roll.js'
import { startTimeLimit, within, type TimeLimit } from './time-limit.js'

export interface DrainOptions {
  /**
   * How long sockets may take to finish before they are closed by force, in milliseconds, 0 to 2147483647; 0 closes
   * them at once.
   * @default 10000
   */
  readonly timeoutMs?: number | undefined
}

export interface DrainResult {
  /** Sockets that closed within the time: asked to, or on their own. */
  readonly ended: number
  /** Sockets that had to be closed by force when the time was over; by RST where output was blocked. */
  readonly destroyed: number
  /**
   * Connections that the server still counts but the guard never saw, because they were silent since before it was
   * installed. While there are any, the server does not emit `'close'`.
   */
  readonly remaining: number
  readonly elapsedMs: number
}

/** How one kind of server is brought to its end. */
export interface DrainPlan {
  /** The sockets still open; asked again and again, so that what comes late is found. */
  sockets(): Socket[]
  /** The server that counts connections and emits `'close'`, if there is one of its own. */
  readonly server: Server | null
  /**
   * Takes no more connections.
   *
   * @param meet to be called with a socket that shows itself later, so that it counts however short it lives
   */
  stop(meet: (socket: Socket) => void): void
  /** Asks a socket to finish in good order. Called once for each. */
  finish(socket: Socket): void
  /** Closes what the guard does not know of, where the server can. */
  closeRest?(): void
  /** Called in the end, whatever happened. */
  cleanUp?(): void
}

const DEFAULT_TIMEOUT_MS = 10_000

/** What is destroyed closes within a turn or two; nobody shall wait for ever should a stream of somebody's own not do so. */
export const LONGEST_CLOSE_MS = 1000

/** How often to look for sockets that have come late. */
const LOOK_MS = 100

/**
 * Drains a `net` or `tls` server: every socket gets `socket.end()`; a TLS handshake under way is finished first.
 *
 * @throws `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 */
export function drainServer(guard: Guard, server: Server, options?: DrainOptions): Promise<DrainResult> {
  const isSecure = server instanceof TlsServer
  return drain(
    {
      server,
      sockets: () => guard.socketsOf(server),
      stop() {
        if (isSecure) server.on('secureConnection', endSocket)
        if (server.listening) server.close()
      },
      finish(socket) {
        if (!isSecure || isTls(socket)) endSocket(socket)
      },
      cleanUp() {
        if (isSecure) server.off('secureConnection', endSocket)
      },
    },
    options,
  )
}

/** @param more the names of options that the caller has read already */
export async function drain(
  plan: DrainPlan,
  options: DrainOptions = {},
  more: readonly string[] = [],
): Promise<DrainResult> {
  checkNames(options, ['timeoutMs', ...more])
  const timeoutMs = checkedMs('timeoutMs', options.timeoutMs ?? DEFAULT_TIMEOUT_MS)
  const startedMs = monotonicMs()
  const closed = closeOf(plan.server)
  const deadline = startTimeLimit(timeoutMs)
  const roll = new Roll()
  try {
    // Before the stop, which closes what is idle.
    const present = roll.enter(plan.sockets())
    plan.stop(function meet(socket) {
      for (const late of roll.enter([socket])) ask(plan, late)
    })
    if (timeoutMs > 0) await waitForAll(plan, roll, present, deadline)
    roll.enter(plan.sockets())
    for (const socket of roll.open) closeByForce(socket)
    await within(LONGEST_CLOSE_MS, roll.emptied())
    const unseen = await closeUnseen(plan, closed)
    return {
      ended: roll.count((socket) => !wasForced(socket)),
      destroyed: roll.count((socket) => wasForced(socket)) + unseen.destroyed,
      remaining: unseen.remaining,
      elapsedMs: Math.round(monotonicMs() - startedMs),
    }
  } finally {
    deadline.cancel()
    plan.cleanUp?.()
  }
}

/** Until every socket has closed, the late ones included, or the time is over. */
async function waitForAll(
  plan: DrainPlan,
  roll: Roll,
  present: readonly Socket[],
  deadline: TimeLimit,
): Promise<void> {
  let fresh = present
  while (!deadline.isOver) {
    for (const socket of fresh) ask(plan, socket)
    const isEmpty = roll.open.size === 0
    if (isEmpty && (await countConnections(plan.server)) === 0) return
    await within(LOOK_MS, isEmpty ? deadline.over : Promise.race([roll.emptied(), deadline.over]))
    fresh = roll.enter(plan.sockets())
  }
}

/** One that can't be asked must not keep the others from it: it is closed by force when the time is over. */
function ask(plan: DrainPlan, socket: Socket): void {
  try {
    if (!socket.destroyed) plan.finish(socket)
  } catch (error) {
    warnOnce('SLG_WARN_INTERNAL', `ending a socket failed: ${messageOf(error)}`)
  }
}

/** What the guard has never seen: the server may be able to close it, and knows how many there are. */
async function closeUnseen(
  plan: DrainPlan,
  closed: Promise<void> | null,
): Promise<{ destroyed: number; remaining: number }> {
  const unseen = await countConnections(plan.server)
  if (unseen > 0) plan.closeRest?.()
  if (closed !== null && (unseen === 0 || plan.closeRest !== undefined))
    await within(LONGEST_CLOSE_MS, closed)
  const remaining = await countConnections(plan.server)
  return { destroyed: unseen - remaining, remaining }
}

/**
 * Not `events.once`: that would make an `'error'` of the server a rejection that nobody handles.
 *
 * @returns `null` where no `'close'` is certain to come: the server was closed before, or never listened
 */
function closeOf(server: Server | null): Promise<void> | null {
  if (server?.listening !== true) return null
  return new Promise((resolve) => server.once('close', resolve))
}

function countConnections(server: Server | null): Promise<number> {
  if (server === null) return Promise.resolve(0)
  return new Promise((resolve) => {
    server.getConnections((error, count) => resolve(error === null ? count : 0))
  })
}
