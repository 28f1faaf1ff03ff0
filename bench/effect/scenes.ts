/**
 * Ways to leak a connection, two or more for each condition, and half-closes and silences that are legal. Each has a server
 * and a peer: the server runs in a process of its own under one remedy, the peer in the process that measures.
 */
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket, WebSocketServer } from 'ws'
import type { Condition } from '../../src/index.js'

/** What a remedy does to the application's code. */
export interface Remedy {
  onServer(server: net.Server): void
  onConnection(socket: net.Socket): void
  onWebSockets(server: WebSocketServer): void
  readonly agent: http.Agent | undefined
}

export interface Scene {
  readonly name: string
  /** `null`: the connection is meant to stay as it is. */
  readonly condition: Condition | null
  /** Part of the name that code would be blamed by. */
  readonly site: string
  serve(remedy: Remedy): net.Server
  /** Of a leak: resolves when the peer has done its part. Of a legal one: was it served to its end? */
  play(port: number): Promise<boolean>
}

/** Longer than any remedy's time limit here, which is 2 s. */
const LONG_MS = 5000
/** Fits into the kernel's buffers, so that an end behind it arrives. */
const SOME = Buffer.alloc(100_000)
const MUCH = Buffer.alloc(16_000_000)
const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
const UPGRADE = 'GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n'

function tcp(onSocket: (socket: net.Socket) => void, allowHalfOpen = true) {
  return ({ onServer, onConnection }: Remedy): net.Server => {
    const server = net.createServer({ allowHalfOpen }, (socket) => {
      onConnection(socket.on('error', () => {}))
      onSocket(socket)
    })
    onServer(server)
    return server
  }
}

function web(onRequest: http.RequestListener, onUpgrade?: (socket: net.Socket) => void) {
  return ({ onServer, onConnection }: Remedy): net.Server => {
    const server = http.createServer(onRequest).on('connection', onConnection)
    if (onUpgrade !== undefined)
      server.on('upgrade', (_, socket: net.Socket) => {
        onUpgrade(socket.on('error', () => {}))
      })
    onServer(server)
    return server
  }
}

function webSockets(onClient: (client: WebSocket) => void) {
  return ({ onServer, onConnection, onWebSockets }: Remedy): net.Server => {
    const server = http.createServer().on('connection', onConnection)
    const above = new WebSocketServer({ server })
    above.on('connection', (client) => {
      onClient(client.on('error', () => {}))
    })
    onServer(server)
    onWebSockets(above)
    return server
  }
}

/** A GET is passed on to an upstream that never stops, and nobody stops it. */
function proxy(forward: (remedy: Remedy, upstream: number, response: http.ServerResponse) => void) {
  return (remedy: Remedy): net.Server => {
    const upstream = http.createServer((_, response) => {
      const timer = setInterval(() => response.write('tick\n'), 100)
      response.on('close', () => clearInterval(timer))
    })
    upstream.listen(0, '127.0.0.1')
    return web((_, response) => {
      forward(remedy, (upstream.address() as net.AddressInfo).port, response)
    })(remedy)
  }
}

async function dial(port: number, send: string | Uint8Array = ''): Promise<net.Socket> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {})
  await Promise.race([once(socket, 'connect'), once(socket, 'close')])
  if (send !== '') socket.write(send)
  return socket
}

function leave(send: string | Uint8Array, how: (socket: net.Socket) => void) {
  return async (port: number): Promise<boolean> => {
    const socket = await dial(port, send)
    await sleep(200)
    how(socket)
    return true
  }
}

const halfClose = (socket: net.Socket): void => void socket.resume().end()
const reset = (socket: net.Socket): void => void socket.resetAndDestroy()
const stay = (socket: net.Socket): void => void socket.resume()
const endUnread = (socket: net.Socket): void => void socket.pause().end()

function pausedUpgrade(how: (socket: net.Socket) => void): Pick<Scene, 'serve' | 'play'> {
  return {
    serve: web(
      (_, response) => response.end(),
      (socket) => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n')
        socket.once('data', () => socket.pause())
      },
    ),
    async play(port) {
      const socket = await dial(port, UPGRADE)
      await new Promise((resolve) => socket.once('data', resolve))
      socket.write(SOME)
      await sleep(200)
      how(socket)
      return true
    },
  }
}

async function textOf(socket: net.Socket): Promise<string> {
  let text = ''
  if (socket.destroyed) return text
  socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk))
  socket.on('end', () => socket.end()).resume()
  await new Promise((resolve) => socket.once('close', resolve))
  return text
}

export const SCENES: readonly Scene[] = [
  {
    name: 'TCP server that never answers the end',
    condition: 'eof-ignored',
    site: 'listener',
    serve: tcp((socket) => socket.resume()),
    play: leave('hello', halfClose),
  },
  {
    name: 'upgrade handler that does not listen for the end',
    condition: 'eof-ignored',
    site: 'upgrade /chat',
    serve: web(
      (_, response) => response.end(),
      (socket) => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n')
        socket.resume()
      },
    ),
    play: leave(UPGRADE, halfClose),
  },
  {
    name: 'TCP server that never reads',
    condition: 'eof-unread',
    site: 'listener',
    serve: tcp(() => {}),
    play: leave('hello', halfClose),
  },
  {
    name: 'upgrade that nobody takes up',
    condition: 'eof-unread',
    site: 'upgrade /chat',
    serve: web(
      (_, response) => response.end(),
      () => {},
    ),
    play: leave(`${UPGRADE}more`, halfClose),
  },
  {
    name: 'TCP server that paused',
    condition: 'fin-unseen',
    site: 'listener',
    serve: tcp((socket) => socket.once('data', () => socket.pause())),
    play: leave(SOME, halfClose),
  },
  {
    name: 'upgrade handler that paused',
    condition: 'fin-unseen',
    site: 'upgrade /chat',
    ...pausedUpgrade(halfClose),
  },
  {
    name: 'TCP server that paused, full buffer',
    condition: 'window-closed',
    site: 'listener',
    serve: tcp((socket) => socket.once('data', () => socket.pause())),
    play: leave(MUCH, halfClose),
  },
  {
    name: 'upload whose body nobody reads on',
    condition: 'window-closed',
    site: 'POST /upload',
    serve: web((request) => request.once('data', () => request.pause())),
    play: leave(
      `POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: ${MUCH.length}\r\n\r\n${'x'.repeat(MUCH.length)}`,
      halfClose,
    ),
  },
  {
    name: 'TCP server that paused, peer resets',
    condition: 'reset-unseen',
    site: 'listener',
    serve: tcp((socket) => socket.once('data', () => socket.pause())),
    play: leave(SOME, reset),
  },
  {
    name: 'upgrade handler that paused, peer resets',
    condition: 'reset-unseen',
    site: 'upgrade /chat',
    ...pausedUpgrade(reset),
  },
  {
    name: 'TCP server ends, the peer stays',
    condition: 'fin-wait',
    site: 'listener',
    serve: tcp((socket) => socket.resume().end('bye')),
    play: leave('hello', stay),
  },
  {
    name: 'upgrade handler ends, the peer stays',
    condition: 'fin-wait',
    site: 'upgrade /chat',
    serve: web(
      (_, response) => response.end(),
      (socket) => socket.resume().end('HTTP/1.1 101 Switching Protocols\r\n\r\n'),
    ),
    play: leave(UPGRADE, stay),
  },
  {
    name: 'TCP answer that nobody takes, peer half-closed',
    condition: 'write-stalled',
    site: 'listener',
    serve: tcp((socket) => {
      socket.resume().write(MUCH)
    }),
    play: leave('hello', endUnread),
  },
  {
    name: 'download that nobody takes, peer half-closed',
    condition: 'write-stalled',
    site: 'GET /',
    serve: web((_, response) => {
      response.write(MUCH)
    }),
    play: leave(GET, endUnread),
  },
  {
    name: 'TCP, ended on both sides, unread bytes',
    condition: 'closed-unread',
    site: 'listener',
    serve: tcp((socket) => socket.end('bye')),
    play: leave('hello', halfClose),
  },
  {
    name: 'client that ends and never reads the goodbye',
    condition: 'closed-unread',
    site: 'to 127.0.0.1',
    serve(remedy) {
      const upstream = net.createServer((socket) => socket.on('error', () => {}).end('bye'))
      upstream.listen(0, '127.0.0.1')
      return web((_, response) => {
        const { port } = upstream.address() as net.AddressInfo
        const socket = net.connect(port, '127.0.0.1', () => response.end())
        remedy.onConnection(socket.on('error', () => {}))
        socket.end('hello')
      })(remedy)
    },
    play: leave(GET, (socket) => socket.destroy()),
  },
  {
    name: 'proxy that reads on for a client that left (http.get)',
    condition: 'abandoned',
    site: 'GET /',
    serve: proxy(({ agent }, port, response) => {
      http
        .get({ port, host: '127.0.0.1', agent }, (upstream) => upstream.pipe(response))
        .on('error', () => {})
    }),
    play: leave(GET, (socket) => socket.destroy()),
  },
  {
    name: 'proxy that reads on for a client that left (fetch)',
    condition: 'abandoned',
    site: 'GET /',
    serve: proxy((_, port, response) => {
      void fetch(`http://127.0.0.1:${port}`).then(
        async ({ body }) => {
          for await (const chunk of body!) response.write(chunk)
        },
        () => {},
      )
    }),
    play: leave(GET, (socket) => socket.destroy()),
  },
  {
    name: 'request, shutdown, answer after 5 s (legal)',
    condition: null,
    site: '',
    serve: tcp((socket) => {
      socket.resume().on('end', () => setTimeout(() => socket.end('answer'), LONG_MS))
    }),
    play: async (port) => (await textOf((await dial(port)).end('question'))) === 'answer',
  },
  {
    name: 'shutdown, then a long slow answer (legal)',
    condition: null,
    site: '',
    serve: tcp((socket) => {
      socket.resume().on('end', () => {
        let lines = 0
        const timer = setInterval(() => {
          lines += 1
          if (lines < 12) return void socket.write('line\n')
          clearInterval(timer)
          socket.end('done')
        }, LONG_MS / 12)
      })
    }),
    play: async (port) => (await textOf((await dial(port)).end('question'))).endsWith('done'),
  },
  {
    name: 'quiet event stream (legal)',
    condition: null,
    site: '',
    serve: web((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
      setTimeout(() => response.end('data: late\n\n'), LONG_MS)
    }),
    async play(port) {
      const text = await textOf(await dial(port, 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'))
      return text.includes('late')
    },
  },
  {
    name: 'quiet WebSocket (legal)',
    condition: null,
    site: '',
    serve: webSockets((client) => {
      setTimeout(() => client.send('late'), LONG_MS)
    }),
    async play(port) {
      const client = new WebSocket(`ws://127.0.0.1:${port}`).on('error', () => {})
      const answer = new Promise((resolve) => {
        client.on('message', (data: Buffer) => resolve(String(data))).on('close', resolve)
      })
      const isServed = (await answer) === 'late'
      client.terminate()
      return isServed
    },
  },
  {
    name: 'slow consumer of a large answer (legal)',
    condition: null,
    site: '',
    serve: tcp((socket) => socket.resume().end(MUCH)),
    async play(port) {
      const socket = (await dial(port, 'hello')).pause()
      await sleep(LONG_MS)
      return (await textOf(socket)).length === MUCH.length
    },
  },
]
