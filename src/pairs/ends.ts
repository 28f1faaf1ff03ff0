/**
 * What stands at the end of a pipe, as far as a connection is behind it: the connection itself, or the message that uses it
 * for as long as one exchange takes. Messages are told by their shape: `instanceof` would load node:http into programs that
 * don't use it.
 */
import { Socket } from 'node:net'
import { readField } from '../core/foreign.js'
import { clientRequestOf, pipesOf, requestOn, responseTo } from '../socket/fields.js'
import { isPipedToItsEnd } from '../socket/usage.js'
import { undiciRequestOn } from '../socket/undici.js'
import type { SocketRecord } from '../socket/record.js'

/** An accepted request stands for its response too, an outgoing one for what is answered. Also a request of undici. */
export type End = object

/** The message that uses this connection now. */
export function messageOn({ socket, direction }: SocketRecord): End | null {
  return direction === 'outbound' ? clientRequestOf(socket) : requestOn(socket)
}

/** By what its bytes are read: an outgoing request by its response, once that is there. */
export function streamOf(end: End): object | null {
  return isClientRequest(end) ? responseTo(end) : end
}

/** To whom goes what is written here; `null` for anything but a connection or a message. */
export function targetOf(stream: object): End | null {
  if (stream instanceof Socket || isClientRequest(stream)) return stream
  const request = readField(stream, 'req')
  return typeof request === 'object' && typeof readField(stream, 'writeHead') === 'function' ? request : null
}

/** The connection behind it at this moment; a request may still wait for one. */
export function connectionOf(end: End): Socket | null {
  if (end instanceof Socket) return end
  const socket = readField(end, 'socket')
  return socket instanceof Socket ? socket : null
}

/** Does this end still use this connection? */
export function isOn(end: End, { socket, direction }: SocketRecord): boolean {
  if (socket.destroyed) return false
  if (end === socket) return true
  return direction === 'outbound'
    ? clientRequestOf(socket) === end || undiciRequestOn(socket) === end
    : requestOn(socket) === end
}

/** Was it still to answer, or to be answered, when its connection closed? */
export function isUnanswered(end: End): boolean {
  const response = isClientRequest(end) ? responseTo(end) : null
  return response === null || readField(response, 'complete') !== true
}

/** lib/_http_client.js `ClientRequest`; Node 20.20, 22.23, 24.21 and 26.10. */
function isClientRequest(stream: object): boolean {
  return typeof readField(stream, 'reusedSocket') === 'boolean'
}

const MOST_STREAMS = 32

export interface Reached {
  readonly target: End
  /** The end of the source is to end the target, as `pipe()` does it by default. */
  readonly isEnded: boolean
}

/** Where what is read from `stream` goes at this moment, through other streams or not. */
export function* reachedFrom(stream: object): Generator<Reached, void> {
  const seen = new Map<object, boolean>([[stream, true]])
  for (const [source, isEndedSoFar] of seen) {
    const pipes = pipesOf(source)
    if (pipes.length === 0) continue
    const isEnded = isEndedSoFar && isPipedToItsEnd(source)
    for (const next of pipes) {
      if (typeof next !== 'object' || next === null) continue
      const target = targetOf(next)
      if (target !== null) yield { target, isEnded }
      else if (seen.size < MOST_STREAMS) seen.set(next, isEnded)
    }
  }
}

/** Does what comes from `source` go to `target` at this moment? */
export function isPiped(source: End, target: End): boolean {
  // It has passed its end on. Node takes the pipe apart only when the target has finished, which a slow peer holds up.
  if (source instanceof Socket && source.readableEnded) return false
  const stream = streamOf(source)
  if (stream === null) return false
  for (const reached of reachedFrom(stream)) if (reached.target === target) return true
  return false
}
