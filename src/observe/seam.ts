/**
 * The seam: the methods of `net.Socket.prototype` through which the whole life of a plain socket passes.
 *
 * - `push(null)`: the peer's FIN has reached Node (lib/internal/stream_base_commons.js `onStreamRead`)
 * - `end`: our FIN; `destroy`: release (lib/internal/streams/destroy.js)
 * - `connect`: an outgoing socket is born. The channel `net.client.socket` says so too, but on Node 20 only for
 *   `net.connect()`, not for `new Socket().connect()`, tls or https
 *
 * A wrapper costs one property load on a healthy socket and never throws. An inherited method is looked up anew at
 * every call, so that somebody else's later patch further up the chain still takes part. Taking the seam out turns
 * every wrapper into a pass-through; a slot is restored only if it still holds our wrapper.
 */
import { Socket } from 'node:net'

export interface SeamListener {
  onPeerEnded(socket: Socket): void
  /** Data came from a socket: cheap enough to be asked at every chunk. */
  onData(socket: Socket): void
  onLocalEnded(socket: Socket): void
  /**
   * @param error what `destroy()` was called with
   * @returns whether that is to be kept from the socket, which is then destroyed without an error
   */
  onDestroy(socket: Socket, error: unknown): boolean
  /** @param args what `connect()` was called with */
  onConnect(socket: Socket, args: readonly unknown[]): void
}

export type Method = (this: Socket, ...args: unknown[]) => unknown
type MethodName = 'push' | 'end' | 'destroy' | 'connect'

/** Puts the seam in. @returns what takes it out again */
export function patchSocketPrototype(listener: SeamListener): () => void {
  let active = true
  const parent = Object.getPrototypeOf(Socket.prototype) as Record<MethodName, Method>

  const pushOwn = Object.hasOwn(Socket.prototype, 'push') ? Socket.prototype.push : null
  const end = originalOf('end')
  const destroy = originalOf('destroy')
  const connect = originalOf('connect')

  const wrappers: Record<MethodName, unknown> = {
    // The only hot one: written out, without rest arguments.
    push: function push(this: Socket, chunk: unknown, encoding?: BufferEncoding): boolean {
      if (active) {
        if (chunk === null) listener.onPeerEnded(this)
        else listener.onData(this)
      }
      return (pushOwn ?? (parent.push as unknown as typeof Socket.prototype.push)).call(this, chunk, encoding)
    },
    end: function end_(this: Socket, ...args: unknown[]): unknown {
      if (active && !this.writableEnded) listener.onLocalEnded(this)
      return end.apply(this, args)
    },
    destroy: function destroy_(this: Socket, ...args: unknown[]): unknown {
      if (active && !this.destroyed && listener.onDestroy(this, args[0])) args[0] = undefined
      return destroy.apply(this, args)
    },
    connect: function connect_(this: Socket, ...args: unknown[]): unknown {
      const result = connect.apply(this, args)
      if (active) listener.onConnect(this, args)
      return result
    },
  }

  const undo = (Object.keys(wrappers) as MethodName[]).map((name) => replaceMethod(name, wrappers[name]))
  return function unpatchSocketPrototype(): void {
    active = false
    for (const restore of undo) restore()
  }
}

/** What `name` does without us: the socket's own method, or the inherited one, looked up at every call. */
export function originalOf(name: string): Method {
  const parent = Object.getPrototypeOf(Socket.prototype) as Record<string, Method>
  const own = Object.getOwnPropertyDescriptor(Socket.prototype, name)
  if (typeof own?.value === 'function') return own.value as Method
  return function inherited(this: Socket, ...args: unknown[]): unknown {
    return parent[name]!.apply(this, args)
  }
}

/** @returns what puts back what was there, if our wrapper is still in its place */
export function replaceMethod(
  name: string,
  wrapper: unknown,
  prototype: object = Socket.prototype,
): () => void {
  const methods = prototype as Record<string, unknown>
  const before = Object.getOwnPropertyDescriptor(prototype, name)
  const original = methods[name] as Method
  const named = wrapper as Method
  Object.defineProperty(named, 'name', { value: original.name, configurable: true })
  Object.defineProperty(named, 'length', { value: original.length, configurable: true })
  Object.defineProperty(prototype, name, {
    value: named,
    writable: true,
    configurable: true,
    enumerable: before?.enumerable ?? true,
  })
  return function restore(): void {
    if (methods[name] !== named) return
    if (before === undefined) delete methods[name]
    else Object.defineProperty(prototype, name, before)
  }
}
