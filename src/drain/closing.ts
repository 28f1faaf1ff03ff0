/** How a drain closes a socket: in good order first, by force in the end. */
import type { Socket } from 'node:net'
import { hasBlockedOutput } from '../socket/fields.js'
import { resetSocket } from '../socket/closing.js'

/** Kept on the socket, so that another drain that runs beside this one does not count it as ended. */
const FORCED = Symbol.for('socket-leak-guard/forced')

/** Ends a socket in good order: what was written is still sent. */
export function endSocket(socket: Socket): void {
  // If nobody has begun to read, what waits there would keep the end of the stream from ever being seen.
  if (socket.readableFlowing === null) socket.resume()
  socket.end()
}

/**
 * Closes a socket at once. With blocked output by RST: `destroy()` would leave the kernel an orphan that goes on for
 * minutes, and what it had to send is lost either way. Otherwise what the kernel holds is still delivered.
 */
export function closeByForce(socket: Socket): void {
  if (socket.destroyed) return
  Object.defineProperty(socket, FORCED, { value: true })
  if (!(hasBlockedOutput(socket) && resetSocket(socket))) socket.destroy()
}

export function wasForced(socket: Socket): boolean {
  return FORCED in socket
}
