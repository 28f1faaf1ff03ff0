/**
 * What is measured: four ways to use a server, from the one that asks most of a socket's birth and death (`tcp`) to
 * the one that never sees them (`ws`). The handlers do next to nothing, so what the guard adds shows at its largest.
 *
 * A client process only writes fixed bytes and waits for an answer that ends with `!`: it stays cheaper than the
 * server, and the same bytes reach every server.
 */

export const SERVER_KINDS = ['http', 'ws', 'tcp', 'outgoing'] as const
export type ServerKind = (typeof SERVER_KINDS)[number]

export interface Workload {
  readonly title: string
  readonly server: ServerKind
  /** Sent once on every new connection, before any question; its answer ends with an empty line or `!`. */
  readonly handshake: string | null
  readonly question: string
  /** `kept`: all exchanges over the same connections. Otherwise a connection each, closed first by that side. */
  readonly connection: 'kept' | 'closed-by-server' | 'closed-by-client'
  /** Exchanges of one server in one round: first until V8 has compiled what there is to compile, then measured. */
  readonly warmUp: number
  readonly exchanges: number
  /** What the ratio should not exceed; `null` where none was set. */
  readonly aim: number | null
}

const GET = 'GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n'
const UPGRADE =
  'GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n'

export const WORKLOADS: readonly Workload[] = [
  {
    title: 'HTTP, keep-alive',
    server: 'http',
    handshake: null,
    question: GET,
    connection: 'kept',
    warmUp: 24_000,
    exchanges: 24_000,
    aim: 1.01,
  },
  {
    title: 'HTTP, a connection per request',
    server: 'http',
    handshake: null,
    question: 'GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
    connection: 'closed-by-server',
    warmUp: 8_000,
    exchanges: 8_000,
    aim: 1.03,
  },
  {
    title: 'WebSocket echo (ws)',
    server: 'ws',
    handshake: UPGRADE,
    question: maskedFrame('hello!'),
    connection: 'kept',
    warmUp: 24_000,
    exchanges: 32_000,
    aim: 1.01,
  },
  {
    title: 'TCP: accept, echo, close',
    server: 'tcp',
    handshake: null,
    question: 'hello!',
    connection: 'closed-by-client',
    warmUp: 8_000,
    exchanges: 8_000,
    aim: null,
  },
]

/** Counted in instructions and not timed: what happens outside of the process would outweigh it. */
export const OUTGOING: Workload = {
  title: 'HTTP, keep-alive, with an http.get in each',
  server: 'outgoing',
  handshake: null,
  question: GET,
  connection: 'kept',
  warmUp: 0,
  exchanges: 0,
  aim: 1.05,
}

/** An accepted connection that waits. */
export interface Idleness {
  readonly title: string
  readonly server: ServerKind
  /** What was said on it before, if anything was. */
  readonly handshake: string | null
  /** Bytes of heap that the guard should not exceed; `null` where none was set. */
  readonly aim: number | null
}

export const IDLENESSES: readonly Idleness[] = [
  { title: 'TCP', server: 'tcp', handshake: null, aim: 200 },
  { title: 'HTTP, after one request', server: 'http', handshake: GET, aim: null },
  { title: 'WebSocket (ws)', server: 'ws', handshake: UPGRADE, aim: null },
]

/** A text frame as a client sends it (RFC 6455, 5.2), masked with four zeros, one byte a character. */
function maskedFrame(text: string): string {
  return `\x81${String.fromCharCode(0x80 | text.length)}\0\0\0\0${text}`
}
