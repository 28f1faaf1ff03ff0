/** A proxy that forgets to tell the upstream that the client has left, and a guard that passes the abort on. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import httpProxy from 'http-proxy'
import { install } from 'socket-leak-guard'
import { guardServer } from 'socket-leak-guard/http'

const guard = install({ sweepMs: 500 })

/** An upstream in a process of its own, which streams for as long as somebody is there; it prints its port. */
const upstream = spawn(process.execPath, [
  '-e',
  `const server = require('node:http').createServer((request, response) => {
     const timer = setInterval(() => response.write('tick'), 20)
     response.on('close', () => { clearInterval(timer); console.log('the upstream was told') })
   })
   server.listen(0, '127.0.0.1', () => console.log(server.address().port))
   process.stdin.resume().on('end', process.exit)`,
])
const [target] = (await once(upstream.stdout, 'data')) as [Buffer]

// http-proxy 1.18 waits for the event 'aborted', which does not come for a request whose body has been read.
const proxy = httpProxy.createProxyServer({ target: `http://127.0.0.1:${String(target).trim()}` })
proxy.on('error', () => {})
const server = http.createServer((request, response) => proxy.web(request, response))
guardServer(server, { propagateAbort: 'pipe', graceMs: 2_500, action: 'end', label: 'proxy' })
server.listen(0, '127.0.0.1')
await once(server, 'listening')

const { port } = server.address() as AddressInfo
spawn(process.execPath, [
  '-e',
  `require('node:http').get('http://127.0.0.1:${port}/feed', (response) => response.once('data', () => process.exit()))`,
])

guard.subscribe(({ type, socket }) => {
  console.log(`${type}: ${socket.diagnosis}`)
  if (type === 'leaked') console.log(guard.snapshot().pairs[0]?.line)
  if (type === 'reclaimed') server.close()
})
const [told] = (await once(upstream.stdout, 'data')) as [Buffer]
process.stdout.write(told)
upstream.kill()
