/** A Koa application whose router names the leak: an upload that nobody reads, below a prefix. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import Router from '@koa/router'
import Koa from 'koa'
import { install } from 'socket-leak-guard'
import { guardServer } from 'socket-leak-guard/koa'

const guard = install({ graceMs: 2_000, sweepMs: 500 })

const app = new Koa()
app.silent = true
const router = new Router({ prefix: '/albums/:album' })
router.post('/photos/:name', () => {
  // Forgotten: the body, while this waits for something else.
  return new Promise(() => {})
})
app.use(router.routes())
const server = app.listen(0, '127.0.0.1')
const guarded = guardServer(server, { app, label: 'photos' })
await once(server, 'listening')

/** A client in a process of its own: it sends a part of what it has announced, and leaves. */
const { port } = server.address() as AddressInfo
const client = spawn(process.execPath, [
  '-e',
  `const socket = require('node:net').connect(${port}, '127.0.0.1')
   socket.write('POST /albums/7/photos/a HTTP/1.1\\r\\nhost: x\\r\\ncontent-length: 1000000\\r\\n\\r\\n')
   socket.end(Buffer.alloc(100_000))
   process.stdin.resume().on('end', process.exit)`,
])

guard.subscribe(async ({ type, socket }) => {
  if (type !== 'leaked') return
  console.log(socket.owner.site)
  console.log(socket.diagnosis)
  client.kill()
  await guarded.drain({ timeoutMs: 500 })
})
