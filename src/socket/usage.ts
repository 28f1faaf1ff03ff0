import type { Socket } from 'node:net'
import { readField } from '../core/foreign.js'
import type { Usage } from '../core/report.js'
import { hasSource, pipesOf } from './fields.js'

/**
 * What advice depends on. A `'readable'` listener makes `resume()` void (lib/internal/streams/readable.js); `secureConnecting` is
 * true until the handshake is finished (lib/internal/tls/wrap.js).
 */
export function usageOf(socket: Socket): Usage {
  return {
    hasReadableListener: socket.listenerCount('readable') > 0,
    isPiped: pipesOf(socket).length > 0 || hasSource(socket),
    awaitsHandshake: readField(socket, 'secureConnecting') === true,
  }
}
