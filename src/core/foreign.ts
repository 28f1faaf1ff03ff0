// Each property that the guard reads of foreign objects. Tests make each throw, and `readField` reads no other.
export const FOREIGN_FIELDS = {
  socket: [
    ...[
      '_handle',
      '_host',
      '_httpMessage',
      '_parent',
      '_readableState',
      '_secureEstablished',
      '_writableState',
      'bytesRead',
    ],
    ...['bytesWritten', 'connecting', 'destroyed', 'encrypted', 'listenerCount', 'listeners', 'parser'],
    ...['readable', 'readableDidRead', 'readableEnded', 'readableFlowing', 'readableLength'],
    ...['secureConnecting', 'server', 'undefined', 'writable', 'writableCorked', 'writableEnded'],
    ...['writableFinished', 'writableLength'],
  ],
  streamState: ['ended', 'pipes', 'readable', 'reading', 'writable', 'writelen'],
  handle: [
    ...['_parent', 'bytesRead', 'bytesWritten', 'fd', 'getpeername', 'getsockname', 'reading', 'reset'],
    ...['setKeepAlive', 'writeQueueSize'],
  ],
  parser: ['incoming'],
  server: [
    '_connectionKey',
    '_handle',
    'address',
    'listenerCount',
    'listeners',
    'listening',
    'setSecureContext',
  ],
  request: [
    ...[
      '_readableState',
      'app',
      'baseUrl',
      'complete',
      'listenerCount',
      'listeners',
      'method',
      'originalUrl',
      'params',
    ],
    ...['readableFlowing', 'readableLength', 'route', 'socket', 'stream', 'url'],
  ],
  route: ['path'],
  response: ['headersSent', 'listenerCount', 'listeners', 'req', 'reusedSocket', 'writeHead'],
  clientRequest: [
    ...[
      'aborted',
      'agent',
      'completed',
      'destroyed',
      'getHeader',
      'host',
      'listenerCount',
      'listeners',
      'method',
      'origin',
    ],
    ...['path', 'protocol', 'res', 'reusedSocket', 'socket', 'writableEnded'],
  ],
  answer: [
    ...['_readableState', 'complete', 'listenerCount', 'listeners', 'readableEnded', 'readableFlowing'],
    'readableLength',
  ],
  agent: ['freeSockets', 'requests', 'sockets'],
  pipeTarget: ['_transform', '_write', '_writev', 'constructor'],
  stream: [
    ...['_readableState', 'bytesRead', 'closed', 'headersSent', 'id', 'listenerCount', 'listeners'],
    ...['rawListeners', 'readableLength', 'sentHeaders', 'state', 'weight', 'writableLength'],
    ...[':authority', ':method', ':path', ':scheme'],
  ],
  session: [
    ...['closed', 'connecting', 'headerTableSize', 'inflateDynamicTableSize', 'listenerCount', 'listeners'],
    ...['localSettings', 'state'],
  ],
  undici: [
    ...['aborted', 'completed', 'listenerCount', 'listeners', 'method', 'path'],
    ...['callback', 'factory'],
    ...['body', 'bottom', 'dispatcher', 'free', 'list', 'origin', 'res', 'stats', 'statusCode', 'tail'],
  ],
  webSocket: ['isPaused', 'listenerCount', 'listeners', 'readyState'],
  connectOptions: ['host', 'keepAlive', 'method', 'path', 'port'],
  error: ['code', 'errno', 'syscall'],
  listener: ['name'],
} as const

export type ForeignField = (typeof FOREIGN_FIELDS)[keyof typeof FOREIGN_FIELDS][number]

const UNREADABLE = 'unreadable'

/** The application's getters and proxies may throw: then the field is `undefined`. */
export function readField(object: object, key: ForeignField): unknown {
  return readAny(object, key)
}

export function readAny(object: object, key: PropertyKey): unknown {
  try {
    return (object as Record<PropertyKey, unknown>)[key]
  } catch {
    return undefined
  }
}

/** The same object, but what throws is `undefined`, at any depth. Slower, so it is for a second try. */
export function tolerant<T extends object>(object: T): T {
  // A stand-in as the target, because a Proxy must agree with the frozen properties of its target.
  return new Proxy(Object.create(Object.getPrototypeOf(object) as object) as T, {
    has: (_, key) => Reflect.has(object, key),
    get(_, key) {
      const value = readAny(object, key)
      if (typeof value === 'function') return (...args: unknown[]) => callTolerantly(object, value, args)
      return typeof value === 'object' && value !== null ? tolerant(value) : value
    },
  })
}

function callTolerantly(object: object, method: unknown, args: unknown[]): unknown {
  try {
    return Reflect.apply(method as (...args: unknown[]) => unknown, object, args)
  } catch {
    return undefined
  }
}

export function hasListener(
  emitter: { listenerCount(event: string): number },
  event: string,
  least = 1,
): boolean {
  try {
    return emitter.listenerCount(event) >= least
  } catch {
    return false
  }
}

const NOBODY: readonly Function[] = []

/** `listeners`: as they were given. `rawListeners`: those of `once()` wrapped, with `listener`. */
export function listenersOf(
  emitter: object | null,
  event: string,
  method: 'listeners' | 'rawListeners' = 'listeners',
): readonly Function[] {
  if (emitter === null) return NOBODY
  try {
    const { listenerCount, [method]: list } = emitter as Partial<Record<string, (event: string) => unknown>>
    if (listenerCount?.call(emitter, event) === 0) return NOBODY
    const found = list?.call(emitter, event)
    return Array.isArray(found) ? (found as unknown[]).filter((one) => typeof one === 'function') : NOBODY
  } catch {
    return NOBODY
  }
}

export function bySymbol(object: object, description: string): unknown {
  for (const symbol of Object.getOwnPropertySymbols(object)) {
    if (symbol.description === description) return readAny(object, symbol)
  }
  return undefined
}

export function readText(object: object, key: ForeignField): string | null {
  return readAnyText(object, key)
}

export function readAnyText(object: object, key: PropertyKey): string | null {
  try {
    const value = (object as Record<PropertyKey, unknown>)[key]
    return typeof value === 'string' ? value : null
  } catch {
    return UNREADABLE
  }
}
