// Closes connections while waking as little application code as possible. Node destroys an incomplete HTTP message with
// `Error: aborted` (lib/_http_server.js `abortIncoming`, lib/_http_client.js `socketCloseListener`; Node 20.20, 22.23,
// 24.21 and 26.10). An `await` of the body then rejects, and an uncaught rejection ends the process.
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { readField } from '../core/foreign.js'
import { clientRequestOf, incomingOn, isAskingForMore, responseTo, serverOf, tcpHandleOf } from './fields.js'
import { idOf, sessionOn, pendingStreamsOn, streamsOn } from './http2.js'
import { isHeldByUndici, undiciRequestOn } from './undici.js'

/** Destroys the socket. A reader stuck in an HTTP body gets the error when it asks for more. */
export function letGo(socket: Socket): void {
  withForeign(() => {
    const message = incomingOn(socket)
    if (message instanceof EventEmitter && isStuckIn(message)) holdBackAbort(message as Message)
  })
  socket.destroy()
}

function withForeign<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

// Closes with RST. `socket.resetAndDestroy()` refuses TLS, and a reset of the raw socket under a TLSSocket fails its
// pending writes: `'error'` may have no listener. Returns false for pipes, and during a shutdown: libuv then refuses
// (deps/uv `uv_tcp_close_reset`) and Node loses the handle (src/tcp_wrap.cc `TCPWrap::Reset`).
export function resetSocket(socket: Socket): boolean {
  const tcp = tcpHandleOf(socket)
  const isShuttingDown = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0
  if (typeof tcp?.reset !== 'function' || isShuttingDown) return false
  tcp.close = tcp.reset.bind(tcp)
  socket.destroy()
  return true
}

interface Message extends EventEmitter {
  aborted: boolean
  destroy(error?: Error): this
  _read(size: number): void
}

/** The message has an error listener and data that nobody has taken. */
function isStuckIn(message: EventEmitter): boolean {
  return message.listenerCount('error') > 0 && !isAskingForMore(message) && !Object.hasOwn(message, 'destroy')
}

function holdBackAbort(message: Message): void {
  shadow(message, 'destroy', function destroyLater(error?: Error) {
    delete (message as Partial<Message>).destroy
    if (error?.message !== 'aborted') return message.destroy(error)
    // Without this a client's response would end as if it were complete.
    message.aborted = true
    shadow(message, '_read', function readAborted() {
      delete (message as Partial<Message>)._read
      message.destroy(error)
    })
    return message
  })
}

function shadow<K extends 'destroy' | '_read'>(message: Message, name: K, value: Message[K]): void {
  Object.defineProperty(message, name, { value, configurable: true, writable: true })
}

// Call before closing an outgoing connection. A request without a response fails with "socket hang up" even
// if nobody listens (lib/_http_client.js `socketOnEnd`, `socketCloseListener`); now it emits `'close'` alone.
export function silenceUnheardRequest(socket: Socket): void {
  withForeign(() => {
    if (isUnheard(waitingRequestOn(socket))) (socket as { _hadError?: boolean })._hadError = true
  })
}

// Call before an HTTP/2 connection is destroyed. Requests without a stream and a connecting session then fail
// (lib/internal/http2/core.js `socketOnClose`, `closeSession`). Where nobody listens, they are given up first.
export function silenceUnheardSession(socket: Socket): void {
  withForeign(() => {
    const session = sessionOn(socket)
    if (session === null) return
    for (const stream of pendingStreamsOn(socket)) if (isUnheard(stream)) stream.destroy()
    if (readField(session, 'connecting') === true && isUnheard(session)) session.destroy()
  })
}

function waitingRequestOn(socket: Socket): object | null {
  const request = serverOf(socket) === null ? clientRequestOf(socket) : null
  return request !== null && responseTo(request) === null ? request : null
}

function isUnheard(request: object | null): boolean {
  return request instanceof EventEmitter && request.listenerCount('error') === 0
}

/** What the application sees if the connection is closed; `null` if nothing is known to wait for it. */
export function describeClosing(socket: Socket): string | null {
  return (
    withForeign(
      () => describeSession(socket) ?? describeMessage(incomingOn(socket)) ?? describeRequest(socket),
    ) ?? null
  )
}

/** undici 7 reads a socket it has dropped (lib/dispatcher/client-h2.js `onHttp2SessionClose`), but not after GOAWAY. */
function describeSession(socket: Socket): string | null {
  if (sessionOn(socket) === null) return null
  const effects = [
    streamsOn(socket).some((stream) => idOf(stream) !== null) &&
      'its open streams are cancelled, without an error',
    pendingStreamsOn(socket).length > 0 && 'requests that wait for a stream fail with an error',
    isHeldByUndici(socket) &&
      "undici 7 throws an uncaught TypeError, after action 'end' only where the peer ignores the GOAWAY",
  ]
  return effects.filter((effect) => effect !== false).join('; ') || null
}

function describeMessage(message: object | null): string | null {
  if (!(message instanceof EventEmitter) || message.listenerCount('error') === 0) return null
  const when = isStuckIn(message) ? ", after action 'end' only once it goes on" : ''
  return `reading the body fails with "aborted"${when}`
}

function describeRequest(socket: Socket): string | null {
  if (serverOf(socket) !== null) return null
  const request = waitingRequestOn(socket)
  if (request === null)
    return undiciRequestOn(socket) === null ? null : 'the request fails, or reading its body'
  return isUnheard(request)
    ? "the request emits 'close', and no error, since nobody listens for one"
    : 'the request fails with "socket hang up"'
}
