/** An outgoing request of which only the status is used: the body that nobody reads keeps the socket for ever. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import { install } from 'socket-leak-guard'

// With stacks the report names the line that opened the socket.
const guard = install({ graceMs: 2_000, sweepMs: 500, stacks: 'always' })

/** A server in a process of its own; it prints its port. */
const server = spawn(process.execPath, [
  '-e',
  `const server = require('node:http').createServer((request, response) => response.end(Buffer.alloc(5_000_000)))
   server.listen(0, '127.0.0.1', () => console.log(server.address().port))
   process.stdin.resume().on('end', process.exit)`,
])
const [port] = (await once(server.stdout, 'data')) as [Buffer]

const request = http.get(`http://127.0.0.1:${port}/`, (response) => {
  console.log(`the server says ${response.statusCode}`)
  // Forgotten: response.resume(), which throws the body away.
})

guard.subscribe(({ type, socket }) => {
  if (type !== 'leaked') return
  console.log(socket.diagnosis)
  request.destroy()
  server.kill()
})
