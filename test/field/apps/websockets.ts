/** Rooms over ws without a server of its own: the path decides who gets the socket. */
import http, { type Server } from 'node:http'
import { WebSocket, WebSocketServer } from 'ws'

export interface Rooms {
  readonly server: Server
  readonly rooms: WebSocketServer
  readonly metrics: WebSocketServer
}

export function startRooms(): Rooms {
  const rooms = new WebSocketServer({ noServer: true })
  const metrics = new WebSocketServer({ noServer: true })
  rooms.on('connection', (ws) => {
    ws.on('error', () => {})
    ws.on('message', () => {
      ws.pause() // leaks: ws-paused
    })
  })
  metrics.on('connection', (ws) => {
    ws.on('error', () => {})
    ws.send('x'.repeat(12_000_000)) // leaks: ws-slow-reader
    ws.close() // leaks: ws-slow-reader
  })

  const server = http.createServer()
  server.on('upgrade', (req, socket, head) => {
    const wss = req.url?.startsWith('/rooms/') === true ? rooms : metrics
    wss.handleUpgrade(req, socket, head, (ws) => {
      // leaks: ws-paused ws-slow-reader
      wss.emit('connection', ws, req)
    })
  })
  return { server: server.listen(0, '127.0.0.1'), rooms, metrics }
}

/** A client that can't keep up. */
export function subscribeTo(port: number): WebSocket {
  const ws = new WebSocket(`ws://127.0.0.1:${port}/quotes`) // leaks: ws-client
  ws.on('error', () => {})
  ws.on('open', () => {
    ws.pause() // leaks: ws-client
  })
  return ws
}
