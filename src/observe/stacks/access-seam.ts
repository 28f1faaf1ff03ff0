/**
 * Three more methods of `net.Socket.prototype`, wrapped only while stacks are recorded: who paused a socket, who wrote to
 * it, who attached a reader. `pipe()`, `once()` and `for await` attach theirs through `on()` (lib/internal/streams/readable.js,
 * lib/events.js; checked on Node 20.20, 22.23, 24.21 and 26.10).
 */
import type { Socket } from 'node:net'
import { originalOf, replaceMethod, type Method } from '../seam.js'

export type SeamAccess = 'paused' | 'wrote' | 'reader'

/** Puts the wrappers in. @returns what takes them out again */
export function patchSocketAccess(onAccess: (socket: Socket, kind: SeamAccess) => void): () => void {
  let active = true

  function wrap(name: string, kindOf: (event: unknown) => SeamAccess | null): () => void {
    const original = originalOf(name)
    const wrapper: Method = function access(this: Socket, ...args: unknown[]): unknown {
      const kind = active ? kindOf(args[0]) : null
      if (kind !== null) onAccess(this, kind)
      return original.apply(this, args)
    }
    return replaceMethod(name, wrapper)
  }

  const readerOf = (event: unknown): SeamAccess | null =>
    event === 'data' || event === 'readable' ? 'reader' : null
  const undo = [
    wrap('pause', () => 'paused'),
    wrap('write', () => 'wrote'),
    wrap('on', readerOf),
    wrap('addListener', readerOf),
  ]
  return function unpatchSocketAccess() {
    active = false
    for (const restore of undo) restore()
  }
}
