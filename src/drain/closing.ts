import type { Socket } from 'node:net'
import { hasBlockedOutput } from '../socket/fields.js'
import { resetSocket } from '../socket/closing.js'

/** A mark on the socket, so that an overlapping drain does not count it as ended. */
const FORCED = Symbol.for('socket-leak-guard/forced')

export function endSocket(socket: Socket): void {
  // Unread input would hold back the end of the stream.
  if (socket.readableFlowing === null) socket.resume()
  socket.end()
}

// Blocked output is lost either way, and `destroy()` would leave the kernel an orphan for minutes: so RST.
export function closeByForce(socket: Socket): void {
  if (socket.destroyed) return
  Object.defineProperty(socket, FORCED, { value: true })
  if (!(hasBlockedOutput(socket) && resetSocket(socket))) socket.destroy()
}

export function wasForced(socket: Socket): boolean {
  return FORCED in socket
}
