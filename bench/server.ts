/**
 * The measured process: `node [--import preload] server.js <http|ws|tcp|outgoing>`. It sends its port to the parent process,
 * and answers every message with what it has used so far. It ends when the parent does.
 */
import { EventEmitter } from 'node:events'
import { createServer as createHttpServer, get } from 'node:http'
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { Duplex, Readable, Writable } from 'node:stream'
import { WebSocketServer } from 'ws'
import type { ServerKind } from './workloads.js'

/** What the process has used since its start. */
export interface Usage {
  readonly cpuMicros: number
  /** After a full collection where `--expose-gc` is given. */
  readonly heapBytes: number
  readonly connections: number
}

const LONGER_THAN_A_RUN_MS = 600_000

function createServer(kind: ServerKind): Server {
  switch (kind) {
    case 'http':
      return answeringServer()
    case 'ws':
      return webSocketServer()
    case 'tcp':
      return createTcpServer(echo)
    case 'outgoing':
      return askingServer()
  }
}

function answeringServer(): Server {
  const server = createHttpServer(function answer(_request, response) {
    response.end('hello!')
  })
  server.keepAliveTimeout = LONGER_THAN_A_RUN_MS
  return server
}

/** Answers when another server, in the same process, has answered. */
function askingServer(): Server {
  const upstream = answeringServer().listen(0, '127.0.0.1')
  const server = createHttpServer(function ask(_request, response) {
    get({ port: (upstream.address() as AddressInfo).port, host: '127.0.0.1' }, function pass(answer) {
      answer.resume().on('end', () => response.end('hello!'))
    })
  })
  server.keepAliveTimeout = LONGER_THAN_A_RUN_MS
  return server
}

function webSocketServer(): Server {
  const server = createHttpServer()
  const webSockets = new WebSocketServer({ server })
  webSockets.on('connection', (webSocket) => {
    webSocket.on('message', function echoMessage(message) {
      webSocket.send(message as Buffer)
    })
  })
  return server
}

function echo(socket: Socket): void {
  socket.on('data', echoChunk)
  socket.on('error', destroySilently)
}

function echoChunk(this: Socket, chunk: Buffer): void {
  this.write(chunk)
}

function destroySilently(this: Socket): void {
  this.destroy()
}

/**
 * V8 tells up to four kinds of objects apart at one place in the code, and takes a general path beyond. These bare
 * servers make four kinds of event emitters, where every real program has made dozens: a fifth from anywhere, be it a
 * module that is imported and not used, would show here as if each exchange paid for it. So there are more to begin
 * with, on both sides of the comparison.
 */
function makeManyKindsOfEmitters(): void {
  const bases: (new () => object)[] = [EventEmitter, Readable, Writable, Duplex]
  for (const Base of bases) {
    for (let kind = 0; kind < 6; kind += 1) {
      const Kind = class extends Base {}
      for (let i = 0; i < 20; i += 1) new Kind()
    }
  }
}

makeManyKindsOfEmitters()
const server = createServer(process.argv[2] as ServerKind)
server.listen(0, '127.0.0.1', function tellPort() {
  process.send?.({ port: (server.address() as AddressInfo).port })
})

process.on('message', function tellUsage() {
  globalThis.gc?.()
  const { user, system } = process.cpuUsage()
  const heapBytes = process.memoryUsage().heapUsed
  server.getConnections((_error, connections) => {
    process.send?.({ cpuMicros: user + system, heapBytes, connections } satisfies Usage)
  })
})
process.once('disconnect', () => process.exit())
