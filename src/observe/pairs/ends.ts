/**
 * What stands at the end of a pipe, as far as a connection is behind it: the connection itself, or the message that uses it
 * for as long as one exchange takes. A tie between messages ends with the exchange, and a pooled connection is nobody's then.
 */
import { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { readField } from '../../core/foreign.js'
import { clientRequestOf, pipesOf, responseTo } from '../socket-fields.js'
import type { TrackedSocket } from '../tracked-socket.js'

/** An accepted request stands for its response too, an outgoing one for what is answered. Also a request of undici. */
export type End = object

/** Whose bytes are read here; `null` for anything but a connection. */
export function sourceOf(stream: unknown): End | null {
  if (stream instanceof Socket) return stream
  if (!(stream instanceof IncomingMessage)) return null
  const req = readField(stream, 'req')
  return req instanceof ClientRequest ? req : stream
}

/** To whom goes what is written here. */
export function targetOf(stream: unknown): End | null {
  if (stream instanceof Socket || stream instanceof ClientRequest) return stream
  const request = stream instanceof ServerResponse ? readField(stream, 'req') : null
  return typeof request === 'object' ? request : null
}

/** The connection behind it at this moment; a request may still wait for one. */
export function connectionOf(end: End): Socket | null {
  if (end instanceof Socket) return end
  const socket = readField(end, 'socket')
  return socket instanceof Socket ? socket : null
}

/** What uses this connection right now, the connection itself first. */
export function endsOn({ socket, direction, attribution }: TrackedSocket): End[] {
  const message = direction === 'outbound' ? clientRequestOf(socket) : (attribution?.request ?? null)
  return message === null ? [socket] : [socket, message]
}

/** Does this end still use this connection? */
export function isOn(end: End, record: TrackedSocket): boolean {
  const { socket, direction, attribution, origin } = record
  if (socket.destroyed) return false
  if (end === socket || (direction === 'outbound' ? clientRequestOf(socket) : attribution?.request) === end)
    return true
  return (
    origin?.exchanges?.some(({ request }) => request === end && readField(request, 'completed') !== true) ===
    true
  )
}

/** Was it still to answer, or to be answered, when its connection closed? */
export function isUnanswered(end: End): boolean {
  return !(end instanceof ClientRequest) || readField(responseTo(end) ?? {}, 'complete') !== true
}

const MOST_STREAMS = 32

/** Does what comes from `source` go to `target` at this moment, through other streams or not? */
export function isPiped(source: End, target: End): boolean {
  // It has passed its end on. Node takes the pipe apart only when the target has finished, which a slow peer holds up.
  if (source instanceof Socket && source.readableEnded) return false
  const start = source instanceof ClientRequest ? responseTo(source) : source
  const seen = new Set<object>(start === null ? [] : [start])
  for (const stream of seen) {
    for (const next of pipesOf(stream)) {
      if (targetOf(next) === target) return true
      if (typeof next === 'object' && next !== null && seen.size < MOST_STREAMS) seen.add(next)
    }
  }
  return false
}
