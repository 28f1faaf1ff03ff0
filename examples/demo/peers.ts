/**
 * The other end of the wire, a process of its own: the backend that the application asks, and the clients that
 * misbehave. Forked by `peer-process.ts`; does what it is told and says when it has done it.
 */
import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import type { PeerReply, PeerRequest } from './peer-process.js'
import type { SceneName } from './scenes.js'

const KB = 1024
/** Clients are kept until so many younger ones have come. */
const MOST_CLIENTS = 30
const HELLO_EVERY_MS = 200
/** Late enough to be suspect by then, too early to be leaked. */
const RESET_AFTER_MS = 2000

const clients = new Set<{ destroy(): void }>()
let port = 0
let helloCount = 0

/** A socket that stays half-open: it ends when it is told to, not when the other side does. */
async function connect(firstWords = ''): Promise<net.Socket> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  socket.on('error', ignoreError).resume()
  keep(socket)
  await once(socket, 'connect')
  if (firstWords !== '') await send(socket, firstWords)
  return socket
}

async function upgrade(path: string): Promise<net.Socket> {
  const socket = await connect(
    `GET ${path} HTTP/1.1\r\nhost: demo\r\nconnection: upgrade\r\nupgrade: demo\r\n\r\n`,
  )
  await once(socket, 'data')
  return socket
}

function send(socket: net.Socket, data: string | Buffer): Promise<void> {
  return new Promise((resolve) => {
    socket.write(data, () => resolve())
  })
}

function keep(client: { destroy(): void }): void {
  clients.add(client)
  const [oldest] = clients
  if (clients.size > MOST_CLIENTS && oldest !== undefined) {
    clients.delete(oldest)
    oldest.destroy()
  }
}

const ROLES: Readonly<Partial<Record<SceneName | 'stay-for-feed', () => Promise<unknown>>>> = {
  async 'hang-up'() {
    const socket = await upgrade('/chat')
    await send(socket, 'hello')
    socket.end('good-bye')
  },
  async 'hang-up-and-vanish'() {
    const socket = await upgrade('/chat')
    socket.end('good-bye')
    void sleep(RESET_AFTER_MS).then(() => socket.resetAndDestroy())
  },
  async 'speak-and-hang-up'() {
    const socket = await upgrade('/events')
    socket.end('subscribe to everything')
  },
  async 'speak-after-refusal'() {
    const socket = await upgrade('/admin')
    socket.end('let me in')
  },
  async 'linger-after-refusal'() {
    await upgrade('/admin')
  },
  async 'stop-downloading'() {
    const socket = await connect('GET /export HTTP/1.1\r\nhost: demo\r\n\r\n')
    await once(socket, 'data')
    socket.pause().end()
  },
  async 'abandon-upload'() {
    const socket = await connect(
      `POST /upload/holiday.mov HTTP/1.1\r\nhost: demo\r\ncontent-length: ${1000 * KB}\r\n\r\n`,
    )
    socket.end(Buffer.alloc(100 * KB))
  },
  async 'ask-for-quote'() {
    const socket = await connect('GET /quote HTTP/1.1\r\nhost: demo\r\nconnection: close\r\n\r\n')
    await once(socket, 'end')
    socket.end()
  },
  async flood() {
    const webSocket = new WebSocket(`ws://127.0.0.1:${port}/live`)
    webSocket.on('error', ignoreError)
    keep({ destroy: () => webSocket.terminate() })
    await once(webSocket, 'open')
    for (let i = 0; i < 10; i += 1) webSocket.send(Buffer.alloc(8 * KB))
    webSocket.terminate()
  },
  async 'stay-for-feed'() {
    const socket = await upgrade('/feed')
    socket.end('all the news, please')
    // It does nothing wrong, and stays.
    clients.delete(socket)
  },
}

/** Ordinary traffic: the application is well and serves. */
function sayHello(): void {
  const request = http.get({ port, host: '127.0.0.1', path: '/hello', agent }, (response) => {
    response.resume().on('end', () => (helloCount += response.statusCode === 200 ? 1 : 0))
  })
  request.on('error', ignoreError)
}

const agent = new http.Agent({ keepAlive: true })
const backend = http.createServer((_request, response) => {
  response.writeHead(200, { connection: 'close' }).end(Buffer.alloc(300 * KB))
})

function ignoreError(): void {}

async function fetchText(url: string): Promise<string> {
  const request = http.get(`${url}?format=text`, { agent: false })
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return (await response.setEncoding('utf8').toArray()).join('')
}

async function answer(request: PeerRequest): Promise<Omit<PeerReply, 'id'>> {
  switch (request.do) {
    case 'listen':
      backend.listen(0, '127.0.0.1')
      await once(backend, 'listening')
      return { port: (backend.address() as AddressInfo).port }
    case 'visit':
      port = request.port
      setInterval(sayHello, HELLO_EVERY_MS)
      return {}
    case 'play':
      await ROLES[request.role]?.()
      return {}
    case 'fetch':
      return { text: await fetchText(request.url) }
    case 'count':
      return { count: helloCount }
  }
}

async function obey(request: PeerRequest): Promise<void> {
  const reply = await answer(request).catch((error: unknown) => ({ error: String(error) }))
  // With a callback, so that it is no 'error' of the process when nobody is there any more.
  process.send?.({ id: request.id, ...reply } satisfies PeerReply, undefined, undefined, () => {})
}

process.on('message', (request: PeerRequest) => void obey(request))
process.on('disconnect', () => process.exit())
// Ctrl-C reaches every process of the terminal; when to go is for the demonstration to say, by disconnecting.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
