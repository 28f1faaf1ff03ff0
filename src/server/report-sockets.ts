import type { Server, Socket } from 'node:net'

/** Sockets of the guard's own endpoint, which are not the application's. */
export class ReportSockets {
  readonly servers = new Set<Server>()
  readonly #sockets = new Set<Socket>()

  add(socket: Socket): void {
    for (const known of this.#sockets) if (known.destroyed) this.#sockets.delete(known)
    this.#sockets.add(socket)
  }

  has(socket: Socket): boolean {
    // The tracker sees a socket before the endpoint does.
    return (
      this.#sockets.has(socket) ||
      (this.servers.size > 0 && this.servers.has((socket as { server?: unknown }).server as Server))
    )
  }

  open(): Socket[] {
    return [...this.#sockets].filter((socket) => !socket.destroyed)
  }
}
