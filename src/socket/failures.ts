import type { Socket } from 'node:net'
import { readField } from '../core/foreign.js'

/** Errors of keep-alive and TCP_USER_TIMEOUT (tcp(7)); the last two follow an answer from a router. */
const GIVEN_UP: ReadonlySet<unknown> = new Set(['ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH'])
const REFUSED_BY_PEER: ReadonlySet<unknown> = new Set(['ECONNRESET', 'EPIPE'])

export function isGivenUp(error: unknown): boolean {
  return GIVEN_UP.has(systemCodeOf(error))
}

/** The connection is dead: the kernel gave up, or the peer does not know it. */
export function isDeath(error: unknown): boolean {
  return isGivenUp(error) || REFUSED_BY_PEER.has(systemCodeOf(error))
}

/** The code of a system call's error. Libraries reuse such codes, but set no `syscall`. */
function systemCodeOf(error: unknown): unknown {
  if (!(error instanceof Error)) return null
  const isOfSystem =
    typeof readField(error, 'errno') === 'number' && typeof readField(error, 'syscall') === 'string'
  return isOfSystem ? readField(error, 'code') : null
}

// Does the application listen for `'error'`? The listeners of `pipe()` re-emit it if nobody else listens
// (lib/internal/streams/readable.js `Readable.prototype.pipe`: `onerror`, with one `onunpipe` for each source).
export function hearsErrors(socket: Socket): boolean {
  const ofPipes = Math.min(countOf(socket, 'error', 'onerror'), countOf(socket, 'unpipe', 'onunpipe'))
  return socket.listenerCount('error') > ofPipes
}

function countOf(socket: Socket, event: string, name: string): number {
  return socket.listeners(event).filter((listener) => listener.name === name).length
}
