// The graceful stop of any server: accept no more, ask each socket to finish, wait, close the rest by force, and count.
// Drains may overlap, as after a second signal with a shorter time. The timer keeps the process alive.
import type { Server, Socket } from 'node:net'
import type { Guard } from '../guard/guard.js'
import { isTls, rawSocketOf } from '../socket/fields.js'
import { checkedMs, checkNames } from '../options/check.js'
import { clearTimeout, monotonicMs, setTimeout } from '../base/real-time.js'
import { messageOf, warnOnce } from '../base/warnings.js'
import { closeByForce, endSocket, wasForced } from './closing.js'

export interface DrainOptions {
  /** Milliseconds before open sockets are closed by force, 0 to 2147483647. @default 10000 */
  readonly timeoutMs?: number | undefined
}

export interface DrainResult {
  readonly ended: number
  /** Sockets closed by force: by RST if their output was blocked. */
  readonly destroyed: number
  /** Connections unknown to the guard: silent since before it was installed. They hold back the server's `'close'`. */
  readonly remaining: number
  readonly elapsedMs: number
}

export interface DrainPlan {
  sockets(): Socket[]
  readonly server: Server | null
  /** Accepts no more connections. @param meet takes a socket that appears later */
  stop(meet: (socket: Socket) => void): void
  finish(socket: Socket): void
  closeRest?(): void
  cleanUp?(): unknown
}

const DEFAULT_TIMEOUT_MS = 10_000
/** A destroyed socket closes within a turn or two; a custom stream may not. */
export const LONGEST_CLOSE_MS = 1000
const LOOK_MS = 100

/** Drains a `net` or `tls` server: each socket gets `socket.end()`. Rejects with `SLG_ERR_INVALID_OPTION`. */
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

export async function drain(
  plan: DrainPlan,
  options: DrainOptions = {},
  more: readonly string[] = [],
): Promise<DrainResult> {
  checkNames(options, ['timeoutMs', ...more])
  const timeoutMs = checkedMs('timeoutMs', options.timeoutMs ?? DEFAULT_TIMEOUT_MS)
  const startedMs = monotonicMs()
  const { server } = plan
  // A closed server may emit no `'close'`. `events.once` would turn its `'error'` into an unhandled rejection.
  const closed =
    server?.listening === true ? new Promise<void>((resolve) => server.once('close', resolve)) : null
  const seen = new SeenSockets()
  try {
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

export async function within(ms: number, event: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)))
  await Promise.race([event, over])
  clearTimeout(timer)
}

// A TLSSocket replaces its raw socket, so that each connection counts once.
class SeenSockets {
  readonly open = new Set<Socket>()
  readonly closed = new Set<Socket>()
  readonly #seen = new WeakSet<Socket>()
  #onEmpty = (): void => {}

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

  emptied(): Promise<void> {
    return new Promise((resolve) => (this.#onEmpty = resolve))
  }
}

// If a socket can't be asked, the others still are; it is closed by force later.
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
