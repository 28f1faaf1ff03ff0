/**
 * The application: Express, ws and plain upgrade handlers on one port, each with a mistake that is easy to make and
 * that no test of the happy path finds.
 */
import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import net, { type AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import express from 'express'
import { WebSocketServer, type WebSocket } from 'ws'
import { guardServer } from 'socket-leak-guard/express'
import { guardServer as guardWebSockets } from 'socket-leak-guard/ws'

export interface Application {
  readonly port: number
  /** How many lines the half-closed client of /feed has got so far. */
  fedLines(): number
  /** Opens a connection to a cache that is not there. */
  connectToCache(): void
  resumeWebSockets(): void
  /** Stops in good order. @returns how many connections ended by themselves, and how many had to be destroyed */
  stop(): Promise<{ readonly ended: number; readonly destroyed: number }>
}

const EXPORT = Buffer.alloc(16 * 1024 * 1024, 'all the data there is\n')
const FEED_MS = 300

export async function startApplication(backendPort: number): Promise<Application> {
  const outgoing = new Set<net.Socket>()
  const paused = new Set<WebSocket>()
  let fedLines = 0

  function remember(socket: net.Socket): void {
    outgoing.add(socket)
    socket.on('close', () => outgoing.delete(socket))
  }

  const app = express()
  app.get('/hello', (_request, response) => {
    response.send('hello\n')
  })
  app.get('/export', (_request, response) => {
    // The mistake: no limit to how long a client may take. Node has none for responses.
    response.set('connection', 'close').send(EXPORT)
  })
  app.post('/upload/:name', () => {
    // The mistake: it waits for something before it reads the body, and the client does not wait that long.
  })
  app.get('/quote', (_request, response) => {
    const request = http.get({ port: backendPort, host: '127.0.0.1', agent: false }, (quote) => {
      // The mistake: only the status matters here, so nobody calls quote.resume().
      response.send(`the backend says ${quote.statusCode}\n`)
    })
    request.on('error', ignoreError)
    request.on('socket', remember)
  })

  const webSockets = new WebSocketServer({ noServer: true })
  webSockets.on('connection', (webSocket) => {
    // The mistake: paused until the database has caught up, and it does not say when it has.
    webSocket.pause()
    webSocket.on('error', ignoreError)
    paused.add(webSocket)
  })

  const server = http.createServer(app)
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', ignoreError)
    switch (request.url) {
      case '/chat':
        return chat(socket)
      case '/events':
        return sendEvents(socket)
      case '/feed':
        return feed(socket, () => (fedLines += 1))
      case '/live':
        return webSockets.handleUpgrade(request, socket, head, (webSocket) => {
          webSockets.emit('connection', webSocket, request)
        })
      default:
        // The mistake: end() closes our side and no more. What the client still says is never read.
        socket.end('HTTP/1.1 401 Unauthorized\r\nconnection: close\r\n\r\n')
    }
  })
  const guarded = guardServer(server)
  const guardedWebSockets = guardWebSockets(webSockets)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  return {
    port: (server.address() as AddressInfo).port,
    fedLines: () => fedLines,
    connectToCache() {
      // A retry loop finds this by chance: a free port is its target, and one time its own source port as well (RFC
      // 9293, simultaneous open). Here it is asked for.
      const probe = net.createServer().listen(0, '127.0.0.1', () => {
        const { port } = probe.address() as AddressInfo
        probe.close(() => {
          const here = '127.0.0.1'
          const socket = net.connect({ host: here, port, localAddress: here, localPort: port })
          socket.on('error', ignoreError).resume()
          remember(socket)
        })
      })
    },
    resumeWebSockets() {
      for (const webSocket of paused) webSocket.resume()
      paused.clear()
    },
    async stop() {
      for (const socket of outgoing) socket.destroy()
      const drained = await guarded.drain({ timeoutMs: 2000 })
      guardedWebSockets.release()
      return drained
    },
  }
}

const SWITCHING = 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: demo\r\n\r\n'

function chat(socket: Duplex): void {
  socket.write(SWITCHING)
  socket.on('data', (words: Buffer) => socket.write(words))
  // The mistake: it cleans up after the client and forgets that sockets of an HTTP server are half-open ones.
  socket.on('end', () => {})
}

function sendEvents(socket: Duplex): void {
  // The mistake: a one-way protocol, so nobody listens, and so nobody hears that the client has gone.
  socket.write(SWITCHING)
}

/** No mistake: the client has said all it had to say, and goes on listening. TCP allows that. */
function feed(socket: Duplex, onLine: () => void): void {
  socket.write(SWITCHING)
  socket.resume()
  const timer = setInterval(() => {
    socket.write('news\n')
    onLine()
  }, FEED_MS)
  socket.on('close', () => clearInterval(timer))
  socket.on('finish', () => clearInterval(timer))
}

function ignoreError(): void {}
