/** How a drain closes a socket: in good order first, by force in the end. */
import type { Socket } from 'node:net'
import { hasBlockedOutput, resetSocket } from '../observe/socket-fields.js'

/** Closed by force in any drain: what one destroyed, another that runs beside it must not call ended. */
const forced = new WeakSet<Socket>()

/** Ends a socket in good order: what was written is still sent. */
export function endSocket(socket: Socket): void {
  // Nobody has begun to read: what waits there would keep the end of the stream from ever being seen.
  if (socket.readableFlowing === null) socket.resume()
  socket.end()
}

/**
 * Closes a socket at once. With output blocked by RST: `destroy()` would leave the kernel an orphan that goes on for
 * minutes, while what it had to send is lost in either case. Otherwise what the kernel holds is still delivered.
 */
export function closeByForce(socket: Socket): void {
  // On its way already, of itself.
  if (socket.destroyed) return
  forced.add(socket)
  if (!(hasBlockedOutput(socket) && resetSocket(socket))) socket.destroy()
}

export function wasForced(socket: Socket): boolean {
  return forced.has(socket)
}
