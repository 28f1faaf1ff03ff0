/** A process whose upgrade handler leaks, with the report endpoint. Its peers live elsewhere. Started by page.test.ts. */
import http from 'node:http'
import type net from 'node:net'
import { install } from '../../src/index.js'
import { listen } from './events.js'

const [report = '127.0.0.1:0', reportToken = 'off'] = process.argv.slice(2)
const guard = install({
  ...{ graceMs: 300, sweepMs: 100, report },
  ...(reportToken !== 'off' && { reportToken }),
})
const server = http.createServer((_request, response) => response.end('hello'))
server.on('upgrade', function keepForEver(_request, socket: net.Socket) {
  socket.on('error', () => {})
  socket.on('data', function keepReading() {})
  socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\n')
})
const port = await listen(server)
const { url } = await guard.listening!
process.stdout.write(`${JSON.stringify({ port, url, pid: process.pid })}\n`)
