import type { Socket } from 'node:net'
import { readField } from '../core/foreign.js'
import type { Evidence, Usage } from '../core/report.js'
import { hasSource, pipesOf } from './fields.js'

/** What advice depends on. A `'readable'` listener makes `resume()` void (lib/internal/streams/readable.js). */
export function usageOf(socket: Socket): Usage {
  return {
    hasReadableListener: socket.listenerCount('readable') > 0,
    isPiped: pipesOf(socket).length > 0 || hasSource(socket),
  }
}

/**
 * Why output can't leave this process. `secureConnecting` is true until the handshake is finished (lib/internal/tls/wrap.js).
 */
export function heldBackBy(socket: Socket): Evidence['heldBack'] {
  if (Number(readField(socket, 'writableCorked')) > 0) return 'corked'
  return readField(socket, 'secureConnecting') === true ? 'handshake' : null
}
