import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { listenersOf } from '../core/foreign.js'

// The listener that a TLSSocket adds to the socket under it (lib/internal/tls/wrap.js `TLSSocket`; Node 20 to 26).
const ON_ERROR = '(err) => this._emitTLSError(err)'

// The TLSSocket that `tls.connect({ socket })` made over this one. Only that listener knows it, so it is called to
// see whose method it looks up, and finds one that does nothing.
export function tlsOver(socket: Socket): TLSSocket | null {
  const listener = listenersOf(socket, 'error').find(isOfTls)
  if (listener === undefined) return null
  const { prototype } = process.getBuiltinModule('node:tls').TLSSocket
  const before = Object.getOwnPropertyDescriptor(prototype, '_emitTLSError')
  if (before?.configurable !== true) return null
  let found: TLSSocket | null = null
  const getter = {
    configurable: true,
    get(this: TLSSocket): () => void {
      found = this
      return () => {}
    },
  }
  try {
    Object.defineProperty(prototype, '_emitTLSError', getter)
    Reflect.apply(listener, socket, [null])
  } catch {
    // A getter of somebody's own on that one TLSSocket.
  } finally {
    Object.defineProperty(prototype, '_emitTLSError', before)
  }
  return found
}

function isOfTls(listener: Function): boolean {
  return (
    listener.name === '' && listener.length === 1 && Function.prototype.toString.call(listener) === ON_ERROR
  )
}
