/**
 * Do no harm: the same ordinary exchanges without a guard, with guarded servers, and after the guard was taken out. Every
 * byte on the wire and every event on the server's side must be the same, in the same order.
 */
import express5 from 'express'
import { once, type EventEmitter } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import { createRequire } from 'node:module'
import net from 'node:net'
import tls from 'node:tls'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import * as expressAdapter from '../../adapters/express/index.js'
import * as httpAdapter from '../../adapters/http/index.js'
import * as netAdapter from '../../adapters/net/index.js'
import * as wsAdapter from '../../adapters/ws/index.js'
import { install } from '../../src/index.js'
import { CERTIFICATE } from '../support/certificate.js'
import { listen } from '../support/events.js'
import { until } from '../support/until.js'

const express4 = createRequire(import.meta.url)('express4') as typeof express5

/** What was seen, one list for each who saw something. */
type Transcript = Record<string, string[]>

function note(transcript: Transcript, who: string, emitter: EventEmitter, events: readonly string[]): void {
  const list = (transcript[who] ??= [])
  for (const event of events) {
    emitter.on(event, (argument: unknown) => {
      list.push(argument instanceof Error ? `${event} ${(argument as { code?: string }).code}` : event)
    })
  }
}

interface Exchange {
  readonly name: string
  /** What the client says: strings are sent, numbers are milliseconds, `end` and `destroy` are what they say. */
  readonly script: readonly (string | number)[]
  /** The client waits until it has seen so many responses before it goes on to its last step. */
  readonly responses: number
}

const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`

const EXCHANGES: readonly Exchange[] = [
  {
    name: 'keep-alive',
    script: ['GET /a HTTP/1.1\r\nhost: x\r\n\r\n', 30, 'GET /b HTTP/1.1\r\nhost: x\r\n\r\n', 'end'],
    responses: 2,
  },
  {
    name: 'pipelining',
    script: [
      'GET /slow HTTP/1.1\r\nhost: x\r\n\r\nGET /b HTTP/1.1\r\nhost: x\r\n\r\nGET /slow HTTP/1.1\r\nhost: x\r\n\r\n',
      'end',
    ],
    responses: 3,
  },
  {
    name: 'chunked upload',
    script: [
      'POST /upload HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n',
      chunk('hello '),
      20,
      chunk('world'),
      '0\r\n\r\n',
      'end',
    ],
    responses: 1,
  },
  {
    name: 'Expect: 100-continue',
    script: [
      'POST /upload HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n',
      30,
      'hello',
      'end',
    ],
    responses: 2,
  },
  { name: 'HEAD', script: ['HEAD /a HTTP/1.1\r\nhost: x\r\n\r\n', 'end'], responses: 1 },
  {
    name: 'connection: close',
    script: ['GET /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', 'end'],
    responses: 1,
  },
  { name: 'HTTP/1.0', script: ['GET /a HTTP/1.0\r\n\r\n', 'end'], responses: 1 },
  {
    name: 'a small body that nobody reads',
    script: ['POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello', 'end'],
    responses: 1,
  },
  { name: 'not HTTP at all', script: ['what is this\r\n\r\n', 'end'], responses: 1 },
  { name: 'nothing', script: [20, 'end'], responses: 0 },
  {
    name: 'an error in the handler',
    script: ['GET /error HTTP/1.1\r\nhost: x\r\n\r\n', 'end'],
    responses: 1,
  },
  { name: 'no such page', script: ['GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n', 'end'], responses: 1 },
  {
    name: 'the client ends before the answer',
    script: ['GET /never HTTP/1.1\r\nhost: x\r\n\r\n', 10, 'end'],
    responses: 0,
  },
  {
    name: 'the client breaks an upload off',
    script: ['POST /upload HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhello', 30, 'destroy'],
    responses: 0,
  },
  { name: 'a big response', script: ['GET /big HTTP/1.1\r\nhost: x\r\n\r\n', 'end'], responses: 1 },
  {
    name: 'an upgrade',
    script: [
      'GET /up HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n',
      30,
      'hello',
      30,
      'end',
    ],
    responses: 1,
  },
  {
    name: 'CONNECT',
    script: ['CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n', 30, 'hello', 30, 'end'],
    responses: 1,
  },
]

const SOCKET_EVENTS = ['end', 'finish', 'close', 'error', 'timeout']

/** A plain handler, and the same in Express. */
function onRequest(request: http.IncomingMessage, response: http.ServerResponse): void {
  switch (request.url) {
    case '/a':
    case '/b':
      response.end(request.url)
      return
    case '/slow':
      setTimeout(() => response.end('slow'), 40)
      return
    case '/never':
      return
    case '/upload':
      request.setEncoding('utf8').on('data', () => {})
      request.on('end', () => response.end('thanks'))
      return
    case '/big':
      response.end(Buffer.alloc(3_000_000, 0x78))
      return
    case '/error':
      response.statusCode = 500
      response.end('sorry')
      return
    default:
      response.statusCode = 404
      response.end('not found')
  }
}

function expressApp(express: typeof express5): http.RequestListener {
  const app = express()
  app.set('env', 'test')
  const inner = express.Router()
  for (const path of ['/a', '/b', '/slow', '/never', '/big', '/upload']) inner.all(path, onRequest)
  inner.get('/error', () => {
    throw new Error('sorry')
  })
  app.use(inner)
  app.use(((error: Error, _request, response, _next) => {
    response.status(500).send(`handled: ${error.message}`)
  }) as express5.ErrorRequestHandler)
  return app
}

function hijack<S extends http.Server | https.Server>(server: S): S {
  for (const event of ['upgrade', 'connect']) {
    server.on(event, (_request: unknown, socket: net.Socket) => {
      socket.write(
        event === 'upgrade' ? 'HTTP/1.1 101 Switching\r\nupgrade: echo\r\n\r\n' : 'HTTP/1.1 200 OK\r\n\r\n',
      )
      socket.on('data', (data) => socket.write(data))
      socket.on('end', () => socket.end())
      socket.on('error', () => {})
    })
  }
  return server
}

const SERVERS: Record<string, () => http.Server> = {
  http: () => hijack(http.createServer(onRequest)),
  https: () => hijack(https.createServer(CERTIFICATE, onRequest)),
  'express 4': () => hijack(http.createServer(expressApp(express4))),
  'express 5': () => hijack(http.createServer(expressApp(express5))),
}

async function play(
  kind: string,
  exchange: Exchange,
  guard: (server: http.Server) => void,
): Promise<Transcript> {
  const server = SERVERS[kind]!()
  guard(server)
  const transcript: Transcript = {}
  let count = 0
  const isSecure = kind === 'https'
  server.prependListener('request', (request, response) => {
    count += 1
    note(transcript, `request ${count}`, request, ['data', 'end', 'close', 'aborted', 'error'])
    note(transcript, `response ${count}`, response, ['finish', 'close', 'error'])
  })
  // No 'checkContinue' or 'clientError': whoever listens to these takes them over.
  note(transcript, 'server', server, ['connection', 'request', 'dropRequest'])
  server.on(isSecure ? 'secureConnection' : 'connection', (socket: net.Socket) => {
    note(transcript, 'socket', socket, SOCKET_EVENTS)
  })
  const address = { port: await listen(server), host: '127.0.0.1', allowHalfOpen: true }
  const client = isSecure
    ? tls.connect({ ...address, rejectUnauthorized: false } as tls.ConnectionOptions)
    : net.connect(address)
  let text = ''
  client.setEncoding('latin1').on('data', (data: string) => (text += data))
  client.on('end', () => client.end())
  note(transcript, 'client', client, ['end', 'close', 'error'])
  await once(client, isSecure ? 'secureConnect' : 'connect')
  const last = exchange.script.length - 1
  for (const [i, step] of exchange.script.entries()) {
    if (i === last) {
      await until(
        () => text.split('HTTP/1.1 ').length > exchange.responses,
        `responses: ${text.slice(0, 200)}`,
      )
      if (exchange.name === 'a big response') await until(() => text.length > 3_000_000, 'all of it')
    }
    if (typeof step === 'number') await new Promise((resolve) => setTimeout(resolve, step))
    else if (step === 'end') client.end()
    else if (step === 'destroy') client.destroy()
    else if (!client.destroyed && client.writable) client.write(step)
  }
  if (!client.destroyed) await once(client, 'close')
  await until(() => transcript.socket?.includes('close') === true, 'the server has let go')
  server.close()
  await once(server, 'close')
  transcript.wire = [
    text.replace(/\r\nDate: [^\r]*/g, '').replace(/x{1000,}/, (xs) => `(${xs.length} times x)`),
  ]
  return transcript
}

function guardAs(kind: string): (server: http.Server) => void {
  const adapter = kind.startsWith('express') ? expressAdapter : httpAdapter
  return (server) => void adapter.guardServer(server, { label: kind })
}

for (const kind of Object.keys(SERVERS)) {
  void t.test(`${kind}: ordinary exchanges are the same with and without`, async (t) => {
    for (const exchange of EXCHANGES) {
      const bare = await play(kind, exchange, () => {})
      const guard = install({ sweepMs: 20 })
      const guarded = await play(kind, exchange, guardAs(kind))
      t.equal(guard.snapshot().totals.leaked, 0)
      guard.uninstall()
      t.ok(bare.client!.includes('close'))
      t.same(guarded, bare, exchange.name)
      if (kind !== 'http') continue
      t.same(await play(kind, exchange, () => {}), bare, `${exchange.name}, after uninstall()`)
    }
  })
}

interface Talk {
  readonly name: string
  readonly run: (server: WebSocket, client: WebSocket) => Promise<unknown>
}

const TALKS: readonly Talk[] = [
  {
    name: 'echo, and the client closes',
    async run(_server, client) {
      for (const message of ['one', 'two', Buffer.alloc(200_000)]) {
        client.send(message)
        await once(client, 'message')
      }
      client.close(1000, 'bye')
    },
  },
  { name: 'the server closes', run: async (server) => server.close(4001, 'enough') },
  {
    name: 'pings from both sides',
    async run(server, client) {
      server.ping('s')
      await once(server, 'pong')
      client.ping('c')
      await once(client, 'pong')
      client.close()
    },
  },
  { name: 'the client vanishes', run: async (_server, client) => client.terminate() },
  { name: 'the server terminates', run: async (server) => server.terminate() },
  {
    name: 'paused and resumed',
    async run(server, client) {
      server.pause()
      await new Promise((resolve) => client.send('later', resolve))
      server.resume()
      await once(client, 'message')
      client.close()
    },
  },
]

const WS_EVENTS = ['message', 'ping', 'pong', 'error']

async function talk({ run }: Talk, guard: (wss: WebSocketServer) => void): Promise<Transcript> {
  const wss = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  guard(wss)
  const transcript: Transcript = {}
  note(transcript, 'wss', wss, ['listening', 'headers', 'connection', 'wsClientError', 'close', 'error'])
  const served = once(wss, 'connection') as Promise<[WebSocket]>
  wss.on('connection', (webSocket) => {
    note(transcript, 'server', webSocket, WS_EVENTS)
    webSocket.on('message', (data) => webSocket.send(data))
    webSocket.on('close', (code, reason) => transcript.server!.push(`close ${code} ${reason.toString()}`))
  })
  await once(wss, 'listening')
  const client = new WebSocket(`ws://127.0.0.1:${(wss.address() as net.AddressInfo).port}/`)
  note(transcript, 'client', client, ['open', ...WS_EVENTS])
  client.on('close', (code, reason) => transcript.client!.push(`close ${code} ${reason.toString()}`))
  const [[server]] = await Promise.all([served, once(client, 'open')])
  const closed = Promise.all([server, client].map((side) => once(side, 'close')))
  await run(server, client)
  await closed
  wss.close()
  await once(wss, 'close')
  return transcript
}

void t.test('ws: ordinary talk is the same with and without', async (t) => {
  for (const each of TALKS) {
    const bare = await talk(each, () => {})
    const guard = install({ sweepMs: 20 })
    const guarded = await talk(each, (wss) => void wsAdapter.guardServer(wss, { label: 'ws' }))
    t.same(guard.snapshot().totals.leaked, 0)
    guard.uninstall()
    t.same(guarded, bare, each.name)
    t.same(await talk(each, () => {}), bare, `${each.name}, after uninstall()`)
  }
})

void t.test('net: a half-close that is meant stays what it is', async (t) => {
  async function halfClose(guard: (server: net.Server) => void): Promise<Transcript> {
    const transcript: Transcript = {}
    const server = net.createServer({ allowHalfOpen: true }, (socket) => {
      note(transcript, 'socket', socket, ['data', ...SOCKET_EVENTS])
      socket.on('end', () => setTimeout(() => socket.end('answer'), 100))
    })
    guard(server)
    const port = await listen(server)
    const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    note(transcript, 'client', client, ['data', 'end', 'close', 'error'])
    client.end('question')
    await once(client, 'close')
    await until(() => transcript.socket?.includes('close') === true, 'the server has let go')
    server.close()
    return transcript
  }
  const bare = await halfClose(() => {})
  const guard = install({ sweepMs: 20 })
  t.teardown(() => guard.uninstall())
  t.same(await halfClose((server) => void netAdapter.guardServer(server)), bare)
})
