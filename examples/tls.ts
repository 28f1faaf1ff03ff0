/** A TLS connection: two sockets, one on top of the other, and one entry in the report. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import tls from 'node:tls'
import { install } from 'socket-leak-guard'
import { guardServer } from 'socket-leak-guard/net'

const guard = install({ graceMs: 2_000 })

// A pre-shared key instead of a certificate keeps this program self-contained.
const psk = Buffer.from('a secret that both sides know')
const server = tls.createServer({ ciphers: 'PSK', pskCallback: () => psk, allowHalfOpen: true }, (socket) => {
  socket.on('data', (chunk) => socket.write(chunk))
  // Forgotten: socket.on('end', () => socket.end())
})
const guarded = guardServer(server)

server.listen(0, '127.0.0.1')
await once(server, 'listening')

/** A client in a process of its own. */
const { port } = server.address() as AddressInfo
const client = spawn(process.execPath, [
  '-e',
  `const socket = require('node:tls').connect({
     port: ${port}, host: '127.0.0.1', ciphers: 'PSK', checkServerIdentity() {},
     pskCallback: () => ({ psk: Buffer.from('${psk}'), identity: 'client' }),
   }, () => socket.end('hello'))
   process.stdin.resume().on('end', process.exit)`,
])

guard.subscribe(({ type, socket }) => {
  if (type !== 'leaked') return
  console.log(socket.diagnosis)
  console.log(`${guard.snapshot({ all: true }).sockets.length} entry in the report`)
  void guarded.drain({ timeoutMs: 500 }).then(() => client.kill())
})
