/** What a socket fails with, and who hears of it. */
import type { Socket } from 'node:net'

/** What keep-alive and TCP_USER_TIMEOUT end a connection with: tcp(7), the last two where a router had answered in between. */
const GIVEN_UP: ReadonlySet<unknown> = new Set(['ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH'])
const REFUSED_BY_PEER: ReadonlySet<unknown> = new Set(['ECONNRESET', 'EPIPE'])

/** The kernel has given the connection up, because its peer no longer answers. */
export function isGivenUp(error: unknown): boolean {
  return GIVEN_UP.has(systemCodeOf(error))
}

/** The connection is dead: given up, or its peer knows nothing of it. */
export function isDeath(error: unknown): boolean {
  return isGivenUp(error) || REFUSED_BY_PEER.has(systemCodeOf(error))
}

/** The code of an error that libuv made; libraries give such codes to errors of their own as well, but no system call. */
function systemCodeOf(error: unknown): unknown {
  if (!(error instanceof Error)) return null
  const { code, errno, syscall } = error as NodeJS.ErrnoException
  return typeof errno === 'number' && typeof syscall === 'string' ? code : null
}

/**
 * Would `'error'` reach anybody? What `pipe()` adds to its destination emits the error again when nobody else listens
 * (lib/internal/streams/readable.js `Readable.prototype.pipe`: `onerror`, and one `onunpipe` for each source).
 */
export function hearsErrors(socket: Socket): boolean {
  const ofPipes = Math.min(countOf(socket, 'error', 'onerror'), countOf(socket, 'unpipe', 'onunpipe'))
  return socket.listenerCount('error') > ofPipes
}

function countOf(socket: Socket, event: string, name: string): number {
  return socket.listeners(event).filter((listener) => listener.name === name).length
}
