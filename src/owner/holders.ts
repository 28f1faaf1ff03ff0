// Who holds a socket: the listeners on it, on its HTTP message and on its server, and the target of its pipe.
import type { EventEmitter } from 'node:events'
import { readField } from '../core/foreign.js'
import { clientRequestOf, pipesOf, requestOn, responseOn, responseTo, serverOf } from '../socket/fields.js'
import { requestOfStream, sessionOn, streamsOn } from '../socket/http2.js'
import type { SocketRecord } from '../socket/record.js'

/** `data`, `request data`, `server request`, `pipe`. */
export interface Holder {
  readonly how: string
  readonly name: string
  readonly code: Function
}

const READS = ['data', 'readable', 'end']
const SERVER_EVENTS = ['connection', 'secureConnection', 'request', 'upgrade', 'connect', 'session', 'stream']
const MOST_STREAMS = 10
const MOST_HOLDERS = 30

/** Node's own listeners (lib/net.js, lib/_http_*.js, lib/internal/tls/wrap.js, lib/internal/streams/, and undici; Node 20 to 26). */
const OF_NODE = new Set(
  (
    'socketOnData ondata onReadableStreamEnd onend unpipe endFn socketOnEnd responseOnEnd next wakeup ' +
    'onHttpSocketEnd onHttpSocketReadable connectionListener tlsConnectionListener'
  ).split(' '),
)

export function holdersOf(record: SocketRecord): Holder[] {
  const { socket, direction, hint } = record
  const request = direction === 'outbound' ? clientRequestOf(socket) : requestOn(socket)
  const reply = direction === 'outbound' && request !== null ? responseTo(request) : responseOn(socket)
  const holders = [
    ...listenersOf('', socket, READS),
    ...pipesFrom('', socket),
    ...partOf('request', request, [...READS, 'response', 'upgrade', 'connect']),
    ...partOf('response', reply, READS),
    ...partOf('WebSocket', hint?.webSocket ?? null, ['message', 'close']),
    ...partOf('session', sessionOn(socket), ['stream']),
    ...streamsOn(socket)
      .slice(0, MOST_STREAMS)
      .flatMap((stream) => partOf('stream', requestOfStream(stream), READS)),
    ...(direction === 'inbound' ? listenersOf('server ', serverOf(socket), eventsFor(record)) : []),
  ]
  return holders.filter(({ name }) => !OF_NODE.has(name)).slice(0, MOST_HOLDERS)
}

/** The `'request'` listeners no longer hold an upgraded socket. */
function eventsFor({ hint }: SocketRecord): string[] {
  if (hint === null || hint.handedOverMs === 0) return SERVER_EVENTS.filter((event) => !isTurn(event))
  return SERVER_EVENTS.filter(
    (event) => event === hint.kind || (hint.kind === 'websocket' && event === 'upgrade'),
  )
}

function isTurn(event: string): boolean {
  return event === 'upgrade' || event === 'connect'
}

function partOf(what: string, part: object | null, events: readonly string[]): Holder[] {
  return part === null ? [] : [...listenersOf(`${what} `, part, events), ...pipesFrom(`${what} `, part)]
}

function listenersOf(prefix: string, emitter: object | null, events: readonly string[]): Holder[] {
  return events.flatMap((event) =>
    hearersOf(emitter, event).map((code) => {
      const name = String(readField(code, 'name') ?? '').replace(/^(?:bound )+/, '')
      return { how: prefix + event, name: name === '' ? '(anonymous)' : name, code }
    }),
  )
}

function hearersOf(emitter: object | null, event: string): Function[] {
  try {
    const found: unknown = (emitter as EventEmitter | null)?.listeners?.(event)
    return Array.isArray(found) ? (found as unknown[]).filter((one) => typeof one === 'function') : []
  } catch {
    return []
  }
}

function pipesFrom(prefix: string, source: object): Holder[] {
  return pipesOf(source).flatMap((target) => {
    if (typeof target !== 'object' || target === null) return []
    const written = ['_transform', '_write', '_writev'].map((name) => readField(target, name))
    const code = written.find((one) => typeof one === 'function') ?? readField(target, 'constructor')
    const { name } = (readField(target, 'constructor') ?? {}) as { name?: unknown }
    return typeof code === 'function' ? [{ how: `${prefix}pipe`, name: String(name), code }] : []
  })
}
