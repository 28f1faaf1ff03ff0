/**
 * Node's own `server.close()` and `closeIdleConnections()` (lib/_http_server.js) take a connection for idle as soon as
 * `response.end()` was called and destroy it, even while megabytes of that response are still to be sent: the client gets
 * a cut response (seen on Node 20.20, 22.23, 24.21 and 26.10). Node 26 also destroys connections that were just opened
 * and whose first request may be on its way. So for as long as these two run, neither kind can be destroyed.
 */
import type { Socket } from 'node:net'
import { hasBlockedOutput } from '../observe/socket-fields.js'

/** Runs something of Node's that destroys sockets, synchronously, and keeps it from those that are not idle in truth. */
export function sparingBusy(sockets: readonly Socket[], run: () => void): void {
  const spared = sockets.filter((socket) => hasBlockedOutput(socket) || socket.bytesRead === 0)
  const before = spared.map((socket) => Object.getOwnPropertyDescriptor(socket, 'destroy'))
  for (const socket of spared) {
    Object.defineProperty(socket, 'destroy', {
      value: function notYet(this: Socket) {
        return this
      },
      configurable: true,
    })
  }
  try {
    run()
  } finally {
    spared.forEach((socket, i) => {
      const own = before[i]
      if (own === undefined) delete (socket as { destroy?: unknown }).destroy
      else Object.defineProperty(socket, 'destroy', own)
    })
  }
}
