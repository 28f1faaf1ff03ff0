/**
 * The graceful stop of a server, the same for every kind: take no more, ask each socket to finish, wait, close by force
 * what is left, and say what became of each. Two drains of one server may overlap, a second signal with a shorter time
 * for example. The timer keeps the process alive: somebody waits for the result.
 */
import type { Server, Socket } from 'node:net'
import type { Guard } from '../guard/guard.js'
import { isTls, rawSocketOf } from '../socket/fields.js'
import { checkedMs, checkNames } from '../options/check.js'
import { clearTimeout, monotonicMs, setTimeout } from '../base/real-time.js'
import { messageOf, warnOnce } from '../base/warnings.js'
import { closeByForce, endSocket, wasForced } from './closing.js'

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
  /** The sockets still open; asked again and again. */
  sockets(): Socket[]
  /** The server that counts connections and emits `'close'`, if there is one of its own. */
  readonly server: Server | null
  /** Takes no more connections. @param meet takes a socket that shows itself later, and may be short-lived */
  stop(meet: (socket: Socket) => void): void
  /** Asks a socket to finish in good order. */
  finish(socket: Socket): void
  /** Closes what the guard does not know of. */
  closeRest?(): void
  /** Called in the end, whatever happened. */
  cleanUp?(): unknown
}

const DEFAULT_TIMEOUT_MS = 10_000
/** A destroyed socket closes within a turn or two; this bounds the wait for a stream of somebody's own that does not. */
export const LONGEST_CLOSE_MS = 1000
/** How often to look for sockets that have come late. */
const LOOK_MS = 100

/**
 * Drains a `net` or `tls` server: every socket gets `socket.end()`; a TLS handshake under way is finished first.
 *
 * @throws (rejects) `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 */
export function drainServer(guard: Guard, server: Server, options?: DrainOptions): Promise<DrainResult> {
  const isSecure = 'setSecureContext' in server
  const plan: DrainPlan = {
    server,
    sockets: () => guard.adapter.socketsOf(server),
    stop() {
      if (isSecure) server.on('secureConnection', endSocket)
      if (server.listening) server.close()
    },
    finish(socket) {
      if (!isSecure || isTls(socket)) endSocket(socket)
    },
    cleanUp: () => server.off('secureConnection', endSocket),
  }
  return drain(plan, options)
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
  const { server } = plan
  // No `'close'` is certain to come where the server was closed before, or never listened. Not `events.once`: that would
  // make an `'error'` of the server a rejection that nobody handles.
  const closed =
    server?.listening === true ? new Promise<void>((resolve) => server.once('close', resolve)) : null
  const seen = new SeenSockets()
  try {
    // Before the stop, which closes what is idle.
    let fresh = seen.add(plan.sockets())
    plan.stop(function meet(socket) {
      for (const late of seen.add([socket])) ask(plan, late)
    })
    for (let leftMs = timeoutMs; leftMs > 0; leftMs = startedMs + timeoutMs - monotonicMs()) {
      for (const socket of fresh) ask(plan, socket)
      if (seen.open.size === 0 && (await countConnections(server)) === 0) break
      await within(Math.min(LOOK_MS, leftMs), seen.emptied())
      fresh = seen.add(plan.sockets())
    }
    seen.add(plan.sockets())
    for (const socket of seen.open) closeByForce(socket)
    if (seen.open.size > 0) await within(LONGEST_CLOSE_MS, seen.emptied())

    const unseen = await countConnections(server)
    if (unseen > 0) plan.closeRest?.()
    if (closed !== null && (unseen === 0 || plan.closeRest)) await within(LONGEST_CLOSE_MS, closed)
    const remaining = await countConnections(server)
    const forced = [...seen.closed].filter(wasForced).length
    return {
      ended: seen.closed.size - forced,
      destroyed: forced + unseen - remaining,
      remaining,
      elapsedMs: Math.round(monotonicMs() - startedMs),
    }
  } finally {
    plan.cleanUp?.()
  }
}

/** Waits for the event, but no longer than that. */
export async function within(ms: number, event: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)))
  await Promise.race([event, over])
  clearTimeout(timer)
}

/** The sockets that a drain has seen, each once: a TLSSocket takes the place of the raw socket under it. */
class SeenSockets {
  readonly open = new Set<Socket>()
  readonly closed = new Set<Socket>()
  readonly #seen = new WeakSet<Socket>()
  #onEmpty = (): void => {}

  /** @returns those that are new */
  add(sockets: readonly Socket[]): Socket[] {
    const fresh = sockets.filter((socket) => !socket.destroyed && !this.#seen.has(socket))
    for (const socket of fresh) {
      this.#seen.add(socket)
      this.open.add(socket)
      const raw = rawSocketOf(socket)
      if (raw !== null) for (const places of [this.open, this.closed]) places.delete(raw)
      socket.once('close', () => {
        if (this.open.delete(socket)) this.closed.add(socket)
        if (this.open.size === 0) this.#onEmpty()
      })
    }
    return fresh
  }

  /** Resolves when the last one closes. */
  emptied(): Promise<void> {
    return new Promise((resolve) => (this.#onEmpty = resolve))
  }
}

/** A socket that can't be asked must not keep the others from it: it is closed by force when the time is over. */
function ask(plan: DrainPlan, socket: Socket): void {
  try {
    if (!socket.destroyed) plan.finish(socket)
  } catch (error) {
    warnOnce('SLG_WARN_INTERNAL', `ending a socket failed: ${messageOf(error)}`)
  }
}

function countConnections(server: Server | null): Promise<number> {
  return new Promise((resolve) => {
    if (server === null) resolve(0)
    else server.getConnections((error, count) => resolve(error === null ? count : 0))
  })
}
