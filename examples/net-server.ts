/** A raw TCP server that allows half-open connections, and a handler that forgets to end its own side. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { install } from 'socket-leak-guard'
import { guardServer } from 'socket-leak-guard/net'

const guard = install({ graceMs: 2_000 })

const server = net.createServer({ allowHalfOpen: true }, (socket) => {
  socket.on('data', (chunk) => socket.write(chunk))
  // Forgotten: socket.on('end', () => socket.end())
})
const guarded = guardServer(server, { label: 'echo' })

server.listen(0, '127.0.0.1')
await once(server, 'listening')

/** The other end of the wire. Not in this process, where its socket would be guarded as well. */
const { port } = server.address() as AddressInfo
const peer = spawn(process.execPath, [
  '-e',
  `const socket = require('node:net').connect(${port}, '127.0.0.1', () => socket.end('hello'))
   socket.resume()
   process.stdin.resume().on('end', process.exit)`,
])

guard.subscribe(({ type, socket }) => {
  console.log(`${type}: ${socket.diagnosis}`)
  if (type === 'leaked') void stop()
})

async function stop(): Promise<void> {
  const { ended, destroyed } = await guarded.drain({ timeoutMs: 1_000 })
  console.log(`stopped: ${ended} ended in good order, ${destroyed} destroyed`)
  peer.kill()
}
