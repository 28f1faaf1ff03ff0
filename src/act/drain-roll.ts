import type { Socket } from 'node:net'
import { rawSocketOf } from '../observe/socket-fields.js'

/** The sockets that a drain has seen, each once: a TLSSocket takes the place of the raw socket under it. */
export class Roll {
  readonly open = new Set<Socket>()
  readonly #seen = new Set<Socket>()
  readonly #replaced = new Set<Socket>()
  #wake: (() => void)[] = []

  /** @returns those that are new */
  enter(sockets: readonly Socket[]): Socket[] {
    const fresh = sockets.filter((socket) => !socket.destroyed && !this.#seen.has(socket))
    for (const socket of fresh) {
      this.#seen.add(socket)
      this.open.add(socket)
      const raw = rawSocketOf(socket)
      if (raw !== null && this.#seen.has(raw)) {
        this.#replaced.add(raw)
        this.open.delete(raw)
      }
      socket.once('close', () => this.#leave(socket))
    }
    return fresh
  }

  /** Resolves when every socket has closed. */
  emptied(): Promise<void> {
    if (this.open.size === 0) return Promise.resolve()
    return new Promise((resolve) => this.#wake.push(resolve))
  }

  /** How many have closed for which the claim is true. */
  count(claim: (socket: Socket) => boolean): number {
    let count = 0
    for (const socket of this.#seen) {
      if (!this.open.has(socket) && !this.#replaced.has(socket) && claim(socket)) count += 1
    }
    return count
  }

  #leave(socket: Socket): void {
    this.open.delete(socket)
    if (this.open.size > 0) return
    for (const wake of this.#wake.splice(0)) wake()
  }
}
