// The connection or HTTP message at the end of a pipe, recognised by shape: `instanceof` would load node:http.
import { Socket } from 'node:net'
import { readField } from '../core/foreign.js'
import { clientRequestOf, pipesOf, requestOn, responseTo } from '../socket/fields.js'
import { isPipedToItsEnd } from '../socket/usage.js'
import { undiciRequestOn } from '../socket/undici.js'
import type { SocketRecord } from '../socket/record.js'

/** A socket, an accepted request (also for its response) or an outgoing one, undici's included. */
export type End = object

export function messageOn({ socket, direction }: SocketRecord): End | null {
  return direction === 'outbound' ? clientRequestOf(socket) : requestOn(socket)
}

export function streamOf(end: End): object | null {
  return isClientRequest(end) ? responseTo(end) : end
}

/** Where bytes written to `stream` go; `null` for anything but a connection or a message. */
export function targetOf(stream: object): End | null {
  if (stream instanceof Socket || isClientRequest(stream)) return stream
  const request = readField(stream, 'req')
  return typeof request === 'object' && typeof readField(stream, 'writeHead') === 'function' ? request : null
}

export function connectionOf(end: End): Socket | null {
  if (end instanceof Socket) return end
  const socket = readField(end, 'socket')
  return socket instanceof Socket ? socket : null
}

export function isOn(end: End, { socket, direction }: SocketRecord): boolean {
  if (socket.destroyed) return false
  if (end === socket) return true
  return direction === 'outbound'
    ? clientRequestOf(socket) === end || undiciRequestOn(socket) === end
    : requestOn(socket) === end
}

export function isUnfinished(end: End): boolean {
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
  readonly isEnded: boolean
}

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

export function isPiped(source: End, target: End): boolean {
  // It has passed its end on. Node removes the pipe when the target has finished, which a slow peer delays.
  if (source instanceof Socket && source.readableEnded) return false
  const stream = streamOf(source)
  if (stream === null) return false
  for (const reached of reachedFrom(stream)) if (reached.target === target) return true
  return false
}
