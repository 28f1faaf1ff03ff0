// The table of Node methods the guard wraps (checked on Node 20.20, 22.23, 24.21 and 26.10). A wrapper adds one stack
// frame and catches its observer's errors. It looks an inherited method up at each call, so that a later patch takes
// part. Removed, it passes calls through; a slot is restored if it still holds our wrapper.
import type { EventEmitter } from 'node:events'
import { Server, Socket } from 'node:net'
import { noteHeaders } from './http2.js'

/** Called inside the host's own calls, so no method may throw. */
export interface Observer {
  onPeerEnded(socket: Socket): void
  onData(socket: Socket): void
  onLocalEnded(socket: Socket): void
  /** @returns the error that `destroy()` goes on with */
  onDestroy(socket: Socket, error: unknown): unknown
  onConnect(socket: Socket, args: ArrayLike<unknown>): void
  onServerEvent(event: ServerEvent, server: object, first: unknown, second: unknown): void
}

export type ServerEvent = 'connection' | 'secureConnection' | 'upgrade' | 'connect'

/** Learns which request the running handlers serve. Neither method may throw. */
export interface RequestScope {
  /** @returns passed to `leave` when the handlers have returned; scopes may nest */
  enter(event: string, request: object): unknown
  leave(outer: unknown): void
}

/** Must call `handlers` exactly once and synchronously, and return its result or throw its error. */
export type RequestRunner = (event: string, request: object, handlers: () => boolean) => boolean

type Method = (this: object, ...args: unknown[]) => unknown
type Emit = EventEmitter['emit']

export interface Patch {
  readonly prototype: object
  readonly method: string
  wrap(find: () => Method): unknown
}

export function socketPatches(observer: Observer, isActive: () => boolean): Patch[] {
  return [
    {
      // The peer's FIN is `push(null)` (lib/internal/stream_base_commons.js `onStreamRead`).
      prototype: Socket.prototype,
      method: 'push',
      wrap: (find) =>
        function push(this: Socket, chunk: unknown, encoding?: BufferEncoding): unknown {
          if (isActive()) {
            if (chunk === null) observer.onPeerEnded(this)
            else observer.onData(this)
          }
          return find().call(this, chunk, encoding)
        },
    },
    {
      prototype: Socket.prototype,
      method: 'end',
      wrap: (find) =>
        function end(this: Socket, chunk: unknown, encoding: unknown, callback: unknown): unknown {
          if (isActive()) observer.onLocalEnded(this)
          return find().call(this, chunk, encoding, callback)
        },
    },
    {
      // Errors pass through here too (lib/internal/streams/destroy.js).
      prototype: Socket.prototype,
      method: 'destroy',
      wrap: (find) =>
        function destroy(this: Socket, error: unknown, callback: unknown): unknown {
          return find().call(this, isActive() ? observer.onDestroy(this, error) : error, callback)
        },
    },
    connectPatch(observer.onConnect, isActive),
  ]
}

/** Not the channel `net.client.socket`: on Node 20 it covers `net.connect()` alone. */
export function connectPatch(onConnect: Observer['onConnect'], isActive: () => boolean): Patch {
  return {
    prototype: Socket.prototype,
    method: 'connect',
    wrap: (find) =>
      function connect(this: Socket): unknown {
        const result = find().apply(this, arguments as unknown as unknown[])
        if (isActive()) onConnect(this, arguments)
        return result
      },
  }
}

export type Access = 'paused' | 'wrote' | 'reader'

/** `pipe()`, `once()` and `for await` call `on()` (lib/internal/streams/readable.js, lib/events.js). */
export function accessPatches(
  onAccess: (socket: Socket, access: Access) => void,
  isActive: () => boolean,
): Patch[] {
  const patch = (method: string, accessOf: (event: unknown) => Access | null): Patch => ({
    prototype: Socket.prototype,
    method,
    wrap: (find) =>
      function access(this: Socket, first: unknown): unknown {
        const kind = isActive() ? accessOf(first) : null
        if (kind !== null) onAccess(this, kind)
        return find().apply(this, arguments as unknown as unknown[])
      },
  })
  const reader = (event: unknown): Access | null =>
    event === 'data' || event === 'readable' ? 'reader' : null
  return [
    patch('pause', () => 'paused'),
    patch('write', () => 'wrote'),
    patch('on', reader),
    patch('addListener', reader),
  ]
}

// An agent gives a connection to a request, maybe later (lib/_http_agent.js `setRequestSocket`). For Node without the
// channel `http.client.request.created`.
export function assignmentPatch(onAssigned: (request: object) => void, isActive: () => boolean): Patch {
  const { ClientRequest } = process.getBuiltinModule('node:http')
  return {
    prototype: ClientRequest.prototype,
    method: 'onSocket',
    wrap: (find) =>
      function onSocket(this: object): unknown {
        if (isActive()) onAssigned(this)
        return find().apply(this, arguments as unknown as unknown[])
      },
  }
}

// http, https, tls and http2 servers inherit `emit` (lib/_http_server.js, lib/internal/tls/wrap.js,
// lib/internal/http2/core.js) and hand out connections and requests through it. The channel
// `net.server.socket` comes after the `'connection'` handlers, and no channel reports an upgrade.
export function serverPatch(
  prototype: object,
  observer: Observer,
  isActive: () => boolean,
  scope: RequestScope | RequestRunner | null,
): Patch {
  function tell(server: object, event: string | symbol, args: ArrayLike<unknown>): void {
    if (isHeard(event)) observer.onServerEvent(event, server, args[1], args[2])
  }

  function plain(find: () => Method): Emit {
    return function emit(this: object, event: string | symbol): boolean {
      if (isActive() && event !== 'request') tell(this, event, arguments)
      return find().apply(this, arguments as unknown as unknown[]) as boolean
    }
  }

  function scoped(find: () => Method, { enter, leave }: RequestScope): Emit {
    return function emit(this: object, event: string | symbol): boolean {
      if (!isActive()) return find().apply(this, arguments as unknown as unknown[]) as boolean
      if (event !== 'request') tell(this, event, arguments)
      const request = requestIn(this, event, arguments)
      if (request === null) return find().apply(this, arguments as unknown as unknown[]) as boolean
      const outer = enter(event as string, request)
      try {
        return find().apply(this, arguments as unknown as unknown[]) as boolean
      } finally {
        leave(outer)
      }
    }
  }

  function running(find: () => Method, run: RequestRunner): Emit {
    return function emit(this: object, event: string | symbol): boolean {
      const proceed = (): boolean => find().apply(this, arguments as unknown as unknown[]) as boolean
      if (!isActive()) return proceed()
      if (event !== 'request') tell(this, event, arguments)
      const request = requestIn(this, event, arguments)
      return request === null ? proceed() : run(event as string, request, proceed)
    }
  }

  return {
    prototype,
    method: 'emit',
    wrap(find) {
      if (scope === null) return plain(find)
      return typeof scope === 'function' ? running(find, scope) : scoped(find, scope)
    },
  }
}

/** `net.Server.prototype`, and each server prototype whose `emit` somebody else has replaced. */
export function serverPrototypes(): object[] {
  const wrapped = ['http', 'https', 'tls', 'http2'].flatMap((name) => {
    if (!isLoaded(name)) return []
    const { Server: Above } = process.getBuiltinModule(`node:${name}`) as { Server?: { prototype: object } }
    return Above !== undefined && Object.hasOwn(Above.prototype, 'emit') ? [Above.prototype] : []
  })
  return [Server.prototype, ...wrapped]
}

function isLoaded(name: string): boolean {
  const { moduleLoadList } = process as unknown as { moduleLoadList?: readonly string[] }
  return moduleLoadList?.includes(`NativeModule ${name}`) ?? false
}

function isHeard(event: string | symbol): event is ServerEvent {
  return event === 'connection' || event === 'secureConnection' || event === 'upgrade' || event === 'connect'
}

function handsOverRequest(event: string | symbol): event is string {
  return (
    event === 'request' ||
    event === 'upgrade' ||
    event === 'connect' ||
    event === 'checkContinue' ||
    event === 'checkExpectation' ||
    event === 'stream'
  )
}

function requestIn(server: object, event: string | symbol, args: ArrayLike<unknown>): object | null {
  if (!handsOverRequest(event)) return null
  const request = args[1]
  if (typeof request !== 'object' || request === null) return null
  return event !== 'stream' || noteStream(server as EventEmitter, request, args[2]) ? request : null
}

/** The compatibility API of HTTP/2 listens for `'stream'` itself, and hands on a request. */
function noteStream(server: EventEmitter, stream: object, headers: unknown): boolean {
  try {
    if (typeof headers !== 'object' || headers === null || server.listenerCount('request') > 0) return false
    noteHeaders(stream, headers)
    return true
  } catch {
    return false
  }
}

/** Who closes a session: Node ends its socket later, from a callback of its own. */
export function sessionPatches(
  session: object,
  onClose: (session: object) => void,
  isActive: () => boolean,
): Patch[] {
  let prototype = session
  while (!Object.hasOwn(prototype, 'goaway')) prototype = Object.getPrototypeOf(prototype) as object
  return ['close', 'destroy'].map((method) => ({
    prototype,
    method,
    wrap: (find) =>
      function closeSession(this: object): unknown {
        if (isActive()) onClose(this)
        return find().apply(this, arguments as unknown as unknown[])
      },
  }))
}

export function applyPatches(patches: readonly Patch[]): () => void {
  const undo = patches.map(apply)
  return function removePatches() {
    for (const restore of undo.reverse()) restore()
  }
}

function apply({ prototype, method, wrap }: Patch): () => void {
  const methods = prototype as Record<string, unknown>
  const before = Object.getOwnPropertyDescriptor(prototype, method)
  const own = typeof before?.value === 'function' ? (before.value as Method) : null
  const parent = Object.getPrototypeOf(prototype) as Record<string, Method>
  const original = methods[method] as Method
  const wrapper = wrap(own === null ? () => parent[method]! : () => own)
  Object.defineProperty(wrapper, 'name', { value: original.name, configurable: true })
  Object.defineProperty(wrapper, 'length', { value: original.length, configurable: true })
  Object.defineProperty(prototype, method, {
    value: wrapper,
    writable: true,
    configurable: true,
    enumerable: before?.enumerable ?? true,
  })
  return function restore() {
    if (methods[method] !== wrapper) return
    if (before === undefined) delete methods[method]
    else Object.defineProperty(prototype, method, before)
  }
}
