import type { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { bySymbol, hasListener, readField, readText } from '../core/foreign.js'
import type { Evidence, Usage } from '../core/report.js'
import { hasBlockedOutput, incomingOn, isTcp, isTls, pipesOf, serverOf } from './fields.js'
import { streamsOn, unsentOn } from './http2.js'
import { tlsOver } from './tls-over.js'
import { recordOf, type Hint, type SocketRecord } from './record.js'
import { isHeldByUndici } from './undici.js'

/** `resume()` does nothing with a `'readable'` listener (lib/internal/streams/readable.js); undici has its own. */
export function usageOf({ socket, hint }: SocketRecord): Usage {
  const stream = (incomingOn(socket) ?? socket) as EventEmitter
  return {
    hasReadableListener: hasListener(stream, 'readable') && !isHeldByUndici(socket),
    canReset: isTcp(socket) && !isTls(socket),
    isPiped: pipesOf(socket).length > 0 || hasSource(socket),
    answerers: hint !== null && isUnanswered(socket, hint) ? listenersOf(serverOf(socket), hint.kind!) : '',
  }
}

/** The HTTP server gave the socket away for an upgrade or CONNECT, and nobody has written to it or ended it. */
export function isUnanswered(socket: Socket, { handedOverMs, bytesWrittenBefore }: Hint): boolean {
  return handedOverMs !== 0 && socket.bytesWritten === bytesWrittenBefore && !socket.writableEnded
}

/** An HTTP server that gives a socket away takes its parser back (lib/_http_common.js `freeParser`; Node 20 to 26). */
export function isGivenAway(socket: Socket): boolean {
  return readField(socket, 'parser') === null && serverOf(socket) !== null
}

function listenersOf(server: EventEmitter | null, event: string): string {
  const names = server?.listeners(event).map((listener) => readText(listener, 'name') || '(anonymous)') ?? []
  return names.slice(0, MOST_LISTENERS).join(', ')
}

const MOST_LISTENERS = 5

// A TLS server emits its TLSSocket after the handshake; until then the raw socket is known. `secureConnecting` stays
// true on a TLSSocket made by hand for a server (lib/internal/tls/wrap.js `_finishInit`).
export function isInHandshake(socket: Socket): boolean {
  if (isTls(socket)) return readField(socket, '_secureEstablished') === false
  if (isAcceptedForTls(socket)) return recordOf(socket)?.hint?.isUnderTls !== true
  const over = tlsOver(socket)
  return over !== null && isInHandshake(over)
}

/** A TLSSocket wraps it, which Node notes nowhere on it (lib/internal/tls/wrap.js `tlsConnectionListener`). */
export function isAcceptedForTls(socket: Socket): boolean {
  const server = serverOf(socket)
  return !isTls(socket) && server !== null && typeof readField(server, 'setSecureContext') === 'function'
}

export function heldBackBy(socket: Socket): Evidence['heldBack'] {
  if (Number(readField(socket, 'writableCorked')) > 0) return 'corked'
  if (isInHandshake(socket)) return 'handshake'
  const isWindow = !hasBlockedOutput(socket) && streamsOn(socket).some((stream) => unsentOn(stream) > 0)
  return isWindow ? 'window' : null
}

/** `pipe()` listens for `'unpipe'` on its target (lib/internal/streams/readable.js). */
export function hasSource(stream: { listenerCount(event: string): number }): boolean {
  return hasListener(stream, 'unpipe')
}

/** `pipe()` listens for `'end'` with `onend` if the target ends too, else with `unpipe`. */
export function isPipedToItsEnd(stream: object): boolean {
  const { listeners } = stream as { listeners?(event: string): readonly { readonly name?: string }[] }
  return listeners?.call(stream, 'end').some(({ name }) => name === 'onend') ?? false
}

/** `ws` keeps it on its socket (lib/constants.js, 8.0 to 8.18). */
export function webSocketOn(socket: Socket): object | null {
  const found = bySymbol(socket, 'websocket')
  return typeof found === 'object' ? found : null
}
