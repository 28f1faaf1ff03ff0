import type { Socket } from 'node:net'
import { readField } from '../core/foreign.js'
import type { Evidence, Usage } from '../core/report.js'
import { pipesOf } from './fields.js'

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

/** Something is piped into it: `pipe()` listens for `'unpipe'` on its target (lib/internal/streams/readable.js). */
export function hasSource(stream: { listenerCount(event: string): number }): boolean {
  return stream.listenerCount('unpipe') > 0
}

/** Its end ends what it is piped to: `pipe()` listens for it with `onend`, and with `unpipe` where it must not. */
export function isPipedToItsEnd(stream: object): boolean {
  const { listeners } = stream as { listeners?(event: string): readonly { readonly name?: string }[] }
  return listeners?.call(stream, 'end').some(({ name }) => name === 'onend') ?? false
}
