/** A Socket.IO server that leaves other upgrades to somebody who is not there, and its graceful stop. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Server } from 'socket.io'
import { install } from 'socket-leak-guard'
import { guardServer } from 'socket-leak-guard/socket.io'

const guard = install({ graceMs: 2_000, sweepMs: 500 })

const server = createServer()
// Forgotten: who takes the upgrades of other paths, which Socket.IO would end otherwise.
const io = new Server(server, { destroyUpgrade: false })
const guarded = guardServer(io, { label: 'chat' })
server.listen(0, '127.0.0.1')
await once(server, 'listening')

/** Clients in a process of their own: one that stays, and one that asks for what nobody serves, and leaves. */
const { port } = server.address() as AddressInfo
const clients = spawn(process.execPath, [
  '--input-type=module',
  '-e',
  `import { connect } from 'node:net'
   import { io } from 'socket.io-client'
   io('http://127.0.0.1:${port}', { transports: ['websocket'], reconnection: false }).on('connect', () => {
     connect(${port}, '127.0.0.1').end('GET /live HTTP/1.1\\r\\nhost: x\\r\\nconnection: upgrade\\r\\nupgrade: x\\r\\n\\r\\n')
   })
   process.stdin.resume().on('end', process.exit)`,
])

guard.subscribe(async ({ type, socket }) => {
  if (type !== 'leaked') return
  console.log(socket.diagnosis)
  for (const { owner } of guard.snapshot({ all: true }).sockets) console.log(owner.site, owner.label)
  const { ended, destroyed } = await guarded.drain({ timeoutMs: 2_000 })
  console.log(`stopped: ${ended} ended in good order, ${destroyed} destroyed`)
  clients.kill()
})
