import type { Server, Socket } from 'node:net'

/** What belongs to a guard's own endpoint: a reader of the report is no socket of the application. */
export class ReportSockets {
  server: Server | null = null
  /** What has closed is dropped when another one comes. */
  readonly #sockets = new Set<Socket>()

  add(socket: Socket): void {
    for (const known of this.#sockets) if (known.destroyed) this.#sockets.delete(known)
    this.#sockets.add(socket)
  }

  has(socket: Socket): boolean {
    // Its server speaks of a socket before the endpoint does.
    return (
      this.#sockets.has(socket) ||
      (this.server !== null && (socket as { server?: unknown }).server === this.server)
    )
  }

  open(): Socket[] {
    return [...this.#sockets].filter((socket) => !socket.destroyed)
  }
}
