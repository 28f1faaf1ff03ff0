import { listenersOf, readField } from '../core/foreign.js'
import { clientRequestOf, pipesOf, requestOn, responseOn, responseTo, serverOf } from '../socket/fields.js'
import { requestOfStream, sessionOn, streamsOn } from '../socket/http2.js'
import type { SocketRecord } from '../socket/record.js'
import { isGivenAway, webSocketOn } from '../socket/usage.js'
import { isHeldByUndici, undiciHandlerOn } from '../socket/undici.js'

export interface Holder {
  readonly how: string
  readonly name: string
  readonly code: Function
}

const READS = ['data', 'readable', 'end']
const REQUEST_EVENTS = [...READS, 'response', 'upgrade', 'connect']
const WEBSOCKET_EVENTS = ['message', 'close']
const SESSION_EVENTS = ['stream']
const SERVER_EVENTS = ['connection', 'secureConnection', 'request', 'upgrade', 'connect', 'session', 'stream']
const PLAIN_SERVER_EVENTS = SERVER_EVENTS.filter((event) => !isTurn(event))
const MOST_STREAMS = 10
const MOST_HOLDERS = 30

/** Node's own (lib/net.js, lib/_http_*.js, lib/internal/{streams/,tls/wrap.js}, undici; Node 20 to 26), by name. */
const OF_NODE = new Set(
  (
    'socketOnData ondata onReadableStreamEnd onend unpipe endFn socketOnEnd responseOnEnd next wakeup ' +
    'onHttpSocketEnd onHttpSocketReadable connectionListener tlsConnectionListener sessionOnStream onServerStream [kMaybeDestroy]'
  ).split(' '),
)

export function namesOfHolders(record: SocketRecord): string[] {
  const holders = holdersOf(record).filter(({ name }) => !OF_NODE.has(name))
  return holders.map(({ how, name }) => `${how} -> ${name}`)
}

export function holdersOf(record: SocketRecord): Holder[] {
  const { socket, direction, hint } = record
  const request = direction === 'outbound' ? clientRequestOf(socket) : requestOn(socket)
  const reply = direction === 'outbound' && request !== null ? responseTo(request) : responseOn(socket)
  const found: Holder[] = []
  if (direction === 'inbound' || !isHeldByUndici(socket)) addPart(found, '', socket, READS)
  else addHandler(found, undiciHandlerOn(socket))
  addPart(found, 'request ', request, REQUEST_EVENTS)
  addPart(found, 'response ', reply, READS)
  const mayBeWebSocket = direction === 'outbound' || hint?.kind === 'upgrade'
  addPart(
    found,
    'WebSocket ',
    hint?.webSocket ?? (mayBeWebSocket ? webSocketOn(socket) : null),
    WEBSOCKET_EVENTS,
  )
  addPart(found, 'session ', sessionOn(socket), SESSION_EVENTS)
  for (const stream of streamsOn(socket).slice(0, MOST_STREAMS))
    addPart(found, 'stream ', requestOfStream(stream), READS)
  if (direction === 'inbound') addListeners(found, 'server ', serverOf(socket), eventsFor(record))
  return found.slice(0, MOST_HOLDERS)
}

/** lib/api/api-{request,stream}.js of undici 5 to 8. Of a promise it keeps no function of the application. */
function addHandler(found: Holder[], handler: object | null): void {
  if (handler === null) return
  for (const how of ['callback', 'factory'] as const) {
    const code = readField(handler, how)
    if (typeof code !== 'function' || SETTLES.test(Function.prototype.toString.call(code))) continue
    found.push({ how: `request ${how}`, name: nameOf(code), code })
  }
  const answer = readField(handler, 'res')
  if (typeof answer !== 'object' || answer === null) return
  if ('factory' in handler) addTarget(found, 'response pipe', answer)
  else addPart(found, 'response ', answer, READS)
}

const SETTLES = /^\(err, data\) => \{\s*return err \? reject\(err\) : resolve\(data\)\s*\}$/

/** The `'request'` listeners no longer hold an upgraded socket. */
function eventsFor({ socket, hint }: SocketRecord): readonly string[] {
  const kind = hint?.kind === 'websocket' ? 'upgrade' : (hint?.kind ?? '')
  if (isTurn(kind)) return [kind]
  return isGivenAway(socket) ? SERVER_EVENTS.filter(isTurn) : PLAIN_SERVER_EVENTS
}

function isTurn(event: string): boolean {
  return event === 'upgrade' || event === 'connect'
}

function addPart(found: Holder[], prefix: string, part: object | null, events: readonly string[]): void {
  if (part === null) return
  addListeners(found, prefix, part, events)
  for (const target of pipesOf(part)) addTarget(found, `${prefix}pipe`, target)
}

function addListeners(
  found: Holder[],
  prefix: string,
  emitter: object | null,
  events: readonly string[],
): void {
  for (const event of events) {
    for (const code of listenersOf(emitter, event)) {
      found.push({ how: prefix + event, name: nameOf(code), code })
    }
  }
}

function nameOf(code: Function): string {
  return String(readField(code, 'name') ?? '').replace(/^(?:bound )+/, '') || '(anonymous)'
}

function addTarget(found: Holder[], how: string, target: unknown): void {
  if (typeof target !== 'object' || target === null) return
  const written = (['_transform', '_write', '_writev'] as const).map((name) => readField(target, name))
  const code = written.find((one) => typeof one === 'function') ?? readField(target, 'constructor')
  const { name } = (readField(target, 'constructor') ?? {}) as { name?: unknown }
  if (typeof code === 'function') found.push({ how, name: String(name), code })
}
