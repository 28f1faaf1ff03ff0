/** An upgrade handler that forgets its socket, and a guard that may end what is leaked. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { install } from 'socket-leak-guard'
import { guardServer } from 'socket-leak-guard/http'

const guard = install({ graceMs: 2_000, action: 'end' })

const server = http.createServer()
server.on('upgrade', (_request, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\n')
  socket.on('data', (words) => socket.write(words))
  // Forgotten: socket.on('end', () => socket.end()). The sockets of an HTTP server are half-open ones.
})
const guarded = guardServer(server)

server.listen(0, '127.0.0.1')
await once(server, 'listening')

/** A client in a process of its own: it upgrades, waits for the answer, and hangs up. */
const { port } = server.address() as AddressInfo
const client = spawn(process.execPath, [
  '-e',
  `const socket = require('node:net').connect(${port}, '127.0.0.1')
   socket.write('GET /chat HTTP/1.1\\r\\nhost: x\\r\\nconnection: upgrade\\r\\nupgrade: chat\\r\\n\\r\\n')
   socket.once('data', () => socket.end())
   process.stdin.resume().on('end', process.exit)`,
])

guard.subscribe(({ type, socket }) => {
  console.log(`${type}: ${socket.diagnosis}`)
  if (type === 'reclaimed') void stop()
})

async function stop(): Promise<void> {
  client.kill()
  // Would also end upgraded sockets that are still in use, for which server.close() waits without end.
  await guarded.drain()
}
