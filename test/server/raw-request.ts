/** HTTP as bytes, so that a test can send what no client would. */
import { once } from 'node:events'
import type { RequestListener, Server } from 'node:http'
import { createServer } from 'node:http'
import { type AddressInfo, type NetConnectOpts, type Socket, connect } from 'node:net'
import type { Test } from 'tap'

export interface RawResponse {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

/** Serves on a free port of 127.0.0.1 until the test ends. */
export async function serve(t: Test, listener: RequestListener): Promise<number> {
  const server = createServer(listener)
  return listenUntilTestEnds(t, server)
}

export async function listenUntilTestEnds(t: Test, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return (server.address() as AddressInfo).port
}

/** Sends `text` and reads to the end of the connection: let the request say `connection: close`. */
export async function exchange(to: NetConnectOpts, text: string): Promise<string> {
  const socket = connect(to)
  socket.setEncoding('latin1')
  let received = ''
  socket.on('data', function collect(part) {
    received += part
  })
  socket.write(text)
  await once(socket, 'close')
  return received
}

/** One request with the given request line and header lines. `Host` is added unless it is given (`''`: none). */
export async function request(
  port: number | string,
  line: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<RawResponse> {
  const to = typeof port === 'string' ? { path: port } : { port, host: '127.0.0.1' }
  const all: Record<string, string> = { host: `127.0.0.1:${port}`, connection: 'close', ...headers }
  const lines = Object.entries(all).flatMap(([name, value]) => (value === '' ? [] : [`${name}: ${value}`]))
  return parseResponse(await exchange(to, `${line} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`))
}

export function parseResponse(text: string): RawResponse {
  const end = text.indexOf('\r\n\r\n')
  const [statusLine = '', ...lines] = text.slice(0, end).split('\r\n')
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const
    }),
  )
  const body = text.slice(end + 4)
  return {
    status: Number(statusLine.split(' ')[1]),
    headers,
    body: Buffer.from(
      headers.get('transfer-encoding') === 'chunked' ? unchunk(body) : body,
      'latin1',
    ).toString(),
  }
}

function unchunk(text: string): string {
  let rest = text
  let body = ''
  for (;;) {
    const end = rest.indexOf('\r\n')
    const size = Number.parseInt(rest.slice(0, end), 16)
    if (end === -1 || !(size > 0)) return body
    body += rest.slice(end + 2, end + 2 + size)
    rest = rest.slice(end + 4 + size)
  }
}

/** Opens a stream of events and returns its connection. Reads only when it is told to. */
export function openEvents(port: number, path = '/events'): Socket {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.setEncoding('utf8')
  socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost:${port}\r\n\r\n`)
  // A dropped client may see a reset.
  socket.on('error', () => {})
  return socket
}

/** Everything that has arrived, once it matches; what came before is in `received`. */
export async function readUntil(
  socket: Socket,
  received: { text: string },
  expected: string | RegExp,
): Promise<string> {
  while (typeof expected === 'string' ? !received.text.includes(expected) : !expected.test(received.text)) {
    const [part] = (await once(socket, 'data')) as [string]
    received.text += part
  }
  return received.text
}
