/** The same with fetch: a response is not over when its headers are here. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
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

const response = await fetch(`http://127.0.0.1:${port}/`)
console.log(`the server says ${response.status}`)
// Forgotten: await response.body?.cancel()

guard.subscribe(({ type, socket }) => {
  if (type !== 'leaked') return
  console.log(socket.diagnosis)
  void stop()
})

async function stop(): Promise<void> {
  await response.body?.cancel()
  server.kill()
}
