/** An Express application with an upload that nobody reads, and the report mounted in it. */
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { install } from 'socket-leak-guard'
import { guardServer, reportHandler } from 'socket-leak-guard/express'

/** Whoever reads the report has to know it. */
const token = process.env['LEAKS_TOKEN'] ?? randomUUID()
const guard = install({ graceMs: 2_000, sweepMs: 500 })

const app = express()
app.use('/leaks', reportHandler({ token }))
app.post('/upload/:name', () => {
  // Forgotten: the body, while this waits for something else. More than fits into the buffers stops the socket, and then
  // Node does not notice that the client has gone.
})
const server = app.listen(0, '127.0.0.1')
const guarded = guardServer(server)
await once(server, 'listening')

/** A client in a process of its own: it sends a part of what it has announced, and leaves. */
const { port } = server.address() as AddressInfo
const client = spawn(process.execPath, [
  '-e',
  `const socket = require('node:net').connect(${port}, '127.0.0.1')
   socket.write('POST /upload/a.mov HTTP/1.1\\r\\nhost: x\\r\\ncontent-length: 1000000\\r\\n\\r\\n')
   socket.end(Buffer.alloc(100_000))
   process.stdin.resume().on('end', process.exit)`,
])

guard.subscribe(({ type }) => {
  if (type === 'leaked') void showReport()
})

async function showReport(): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/leaks?format=text`, {
    headers: { authorization: `Bearer ${token}` },
  })
  console.log(await response.text())
  client.kill()
  await guarded.drain({ timeoutMs: 500 })
}
