/**
 * The seam in `emit` of the two kinds of HTTP server, by which they hand requests and sockets to the application. A wrapper goes
 * on with `apply(this, arguments)`: rest arguments would cost an array for every event.
 */
import type { EventEmitter } from 'node:events'
import { Server as HttpServer } from 'node:http'
import { Server as HttpsServer } from 'node:https'

export type Emit = EventEmitter['emit']

/** @param wrap gets what finds the method underneath, anew at every call. @returns what takes the wrappers out again */
export function patchServerEmit(wrap: (original: () => Emit) => Emit): () => void {
  const restore = [HttpServer.prototype, HttpsServer.prototype].map((prototype) => patch(prototype, wrap))
  return function unpatchServerEmit() {
    for (const undo of restore) undo()
  }
}

function patch(prototype: EventEmitter, wrap: (original: () => Emit) => Emit): () => void {
  const before = Object.getOwnPropertyDescriptor(prototype, 'emit')
  const parent = Object.getPrototypeOf(prototype) as EventEmitter
  const own = before?.value as Emit | undefined
  const emit = wrap(() => own ?? parent.emit)
  Object.defineProperty(prototype, 'emit', {
    value: emit,
    writable: true,
    configurable: true,
    enumerable: false,
  })
  return function restoreEmit() {
    if (prototype.emit !== emit) return
    if (before === undefined) delete (prototype as { emit?: unknown }).emit
    else Object.defineProperty(prototype, 'emit', before)
  }
}
