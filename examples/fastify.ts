/** A Fastify instance with an upload that nobody reads, and the report mounted in it. */
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import { install } from 'socket-leak-guard'
import { guardServer, reportHandler } from 'socket-leak-guard/fastify'

/** Whoever reads the report has to know it. */
const token = process.env['LEAKS_TOKEN'] ?? randomUUID()
const guard = install({ graceMs: 2_000, sweepMs: 500 })

const fastify = Fastify()
// First: what comes before it could hold a request up that has no name yet.
const guarded = guardServer(fastify)
const report = reportHandler({ token })
fastify.get('/leaks', report)
fastify.get('/leaks/*', report)
fastify.addContentTypeParser('video/quicktime', (_request, payload, done) => done(null, payload))
fastify.post('/upload/:name', () => {
  // Forgotten: the body, while this waits for something else. More than fits into the buffers stops the socket, and then
  // Node does not notice that the client has gone.
  return new Promise(() => {})
})
await fastify.listen({ port: 0, host: '127.0.0.1' })

/** A client in a process of its own: it sends a part of what it has announced, and leaves. */
const { port } = fastify.server.address() as AddressInfo
const head =
  'POST /upload/a HTTP/1.1\r\nhost: x\r\ncontent-type: video/quicktime\r\ncontent-length: 1000000\r\n\r\n'
const client = spawn(process.execPath, [
  '-e',
  `const socket = require('node:net').connect(${port}, '127.0.0.1')
   socket.write(${JSON.stringify(head)})
   socket.end(Buffer.alloc(100_000))
   process.stdin.resume().on('end', process.exit)`,
])

guard.subscribe(async ({ type }) => {
  if (type !== 'leaked') return
  const response = await fetch(`http://127.0.0.1:${port}/leaks?format=text`, {
    headers: { authorization: `Bearer ${token}` },
  })
  console.log(await response.text())
  client.kill()
  await guarded.drain({ timeoutMs: 500 })
  await fastify.close()
})
