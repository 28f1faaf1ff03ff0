/** How a peer leaves. Each gets a server to hold something for it, and then misbehaves. */
import { randomBytes } from 'node:crypto'
import type { Goal, Link } from './link.js'

export interface Scene {
  readonly name: string
  /** `plain`: bytes of TCP, also where the server speaks TLS. @default 'http/1.1' */
  readonly protocol?: 'plain' | 'h2'
  /** Throws a `Skip` if the server does not speak what it needs. */
  prepare(link: Link, goal: Goal): Promise<void>
  leave(link: Link): void
  /** Nothing comes back after it, so only the server's process shows whether it holds on. */
  readonly isReset?: true
  /** Does not read for half of the time. */
  readonly isSlow?: true
}

export class Skip extends Error {}

const BODY_BYTES = 150 * 1024
const SWITCHED = /^HTTP\/1\.1 101 /

function head(goal: Goal, method: string, more: readonly string[] = []): string {
  return [
    `${method} ${goal.path} HTTP/1.1`,
    `Host: ${goal.host}`,
    'User-Agent: socket-leak-guard torture',
    ...more,
    '',
    '',
  ].join('\r\n')
}

function upgradeHead(goal: Goal): string {
  return head(goal, 'GET', [
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
  ])
}

async function nothing(): Promise<void> {}

function finish(link: Link): void {
  link.finish()
}

async function request(link: Link, goal: Goal): Promise<void> {
  link.send(head(goal, 'GET'))
}

async function answered(link: Link, goal: Goal): Promise<void> {
  await request(link, goal)
  await link.until(() => link.bytes > 0)
}

async function upgrade(link: Link, goal: Goal): Promise<void> {
  link.send(upgradeHead(goal))
  await link.until(() => link.received.includes('\r\n\r\n'))
  const text = link.received.toString('latin1')
  if (!SWITCHED.test(text)) throw new Skip(`it answers ${text.slice(9, 12) || 'nothing'} to an upgrade`)
}

/** RFC 9113: an HTTP/2 frame. */
function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(9)
  header.writeUIntBE(payload.length, 0, 3)
  header[3] = type
  header[4] = flags
  header.writeUInt32BE(stream, 5)
  return Buffer.concat([header, payload])
}

const DATA = 0
const SETTINGS = 4
const NO_WINDOW = Buffer.from([0, 4, 0, 0, 0, 0])

function h2(settings?: Buffer): Scene['prepare'] {
  return async (link) => {
    link.send(
      Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(SETTINGS, 0, 0, settings)]),
    )
    await link.until(() => link.received.length >= 9)
    if (link.received[3] !== SETTINGS || link.received.toString('latin1', 0, 5) === 'HTTP/')
      throw new Skip('it speaks no h2')
    link.send(frame(SETTINGS, 1, 0))
  }
}

function h2Request(settings?: Buffer, isPost = false): Scene['prepare'] {
  const begin = h2(settings)
  return async (link, goal) => {
    await begin(link, goal)
    // RFC 7541: entries of the static table, and literals without indexing.
    const literal = (index: number, value: string): Buffer =>
      Buffer.concat([Buffer.from([index, Math.min(value.length, 126)]), Buffer.from(value.slice(0, 126))])
    const fields = Buffer.concat([
      Buffer.from([isPost ? 0x83 : 0x82, goal.isTls ? 0x87 : 0x86]),
      literal(0x04, goal.path),
      literal(0x01, goal.host),
    ])
    const [END_STREAM, END_HEADERS] = [1, 4]
    link.send(frame(1, isPost ? END_HEADERS : END_HEADERS | END_STREAM, 1, fields))
    if (isPost) link.send(frame(DATA, 0, 1, Buffer.alloc(10_000)))
  }
}

export const SCENES: readonly Scene[] = [
  { name: 'FIN before a byte', protocol: 'plain', prepare: nothing, leave: finish },
  {
    name: 'FIN inside the head of a request',
    async prepare(link, goal) {
      link.send(head(goal, 'GET').slice(0, -4))
    },
    leave: finish,
  },
  {
    name: 'FIN after 150 KB of a longer body',
    async prepare(link, goal) {
      link.send(head(goal, 'POST', [`Content-Length: ${4 * BODY_BYTES}`]))
      link.send(Buffer.alloc(BODY_BYTES))
    },
    leave: finish,
  },
  { name: 'half-close after the request, reading on', prepare: request, leave: finish },
  { name: 'FIN after the answer, on a connection kept alive', prepare: answered, leave: finish },
  {
    name: 'FIN, and the answer is read late',
    async prepare(link, goal) {
      link.stream.pause()
      link.send(head(goal, 'GET'))
    },
    leave: finish,
    isSlow: true,
  },
  {
    name: 'RST while the answer is not read',
    async prepare(link, goal) {
      link.stream.pause()
      link.send(head(goal, 'GET'))
    },
    leave: (link) => link.reset(),
    isReset: true,
  },
  {
    name: 'RST inside the body of a request',
    async prepare(link, goal) {
      link.send(head(goal, 'POST', [`Content-Length: ${4 * BODY_BYTES}`]))
      link.send(Buffer.alloc(BODY_BYTES))
    },
    leave: (link) => link.reset(),
    isReset: true,
  },
  {
    name: 'upgrade, and FIN before its answer',
    async prepare(link, goal) {
      link.send(upgradeHead(goal))
    },
    leave: finish,
  },
  { name: 'upgrade, and FIN', prepare: upgrade, leave: finish },
  { name: 'upgrade, and RST', prepare: upgrade, leave: (link) => link.reset(), isReset: true },
  {
    name: 'WebSocket: Close, then silence',
    prepare: upgrade,
    // Masked with zeros, code 1000. RFC 6455, section 7.1.1: the server closes the connection.
    leave: (link) => link.send(Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8])),
  },
  { name: 'h2: FIN after the settings', protocol: 'h2', prepare: h2(), leave: finish },
  { name: 'h2: FIN after a request', protocol: 'h2', prepare: h2Request(), leave: finish },
  {
    name: 'h2: FIN inside the body of a request',
    protocol: 'h2',
    prepare: h2Request(undefined, true),
    leave: finish,
  },
  { name: 'h2: FIN with a window of 0', protocol: 'h2', prepare: h2Request(NO_WINDOW), leave: finish },
  {
    name: 'TLS: FIN inside the handshake',
    protocol: 'plain',
    async prepare(link, goal) {
      if (!goal.isTls) throw new Skip('it speaks no TLS')
      // The header of a ClientHello of 512 bytes (RFC 8446, section 5.1), and no more.
      link.send(Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]))
    },
    leave: finish,
  },
]
