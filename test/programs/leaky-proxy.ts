/**
 * An application that leaks in every way in which somebody has to be named, and prints whom the guard names. Run with the
 * guard preloaded, or with `install` for one that installs it by itself with an adapter.
 */
import { once } from 'node:events'
import http, { type RequestListener } from 'node:http'
import net, { type AddressInfo } from 'node:net'
import express from 'express'
import { guardServer } from '../../adapters/http/index.js'
import { install, installedGuard, type ContextProvider, type SocketReport } from '../../src/index.js'

const [how = 'preloaded', context, stacks] = process.argv.slice(2)
const guard =
  how === 'preloaded'
    ? installedGuard()!
    : install({ context: context as unknown as ContextProvider, stacks: stacks as 'always', sweepMs: 60_000 })

async function listen(server: net.Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** Answers with more than anybody's buffers hold, so that an unread body stays unread. */
const answer: RequestListener = (request, response) => {
  response.end(request.url?.startsWith('/big') === true ? 'x'.repeat(5_000_000) : 'small')
}
const upstream = http.createServer(answer)
const upstreamPort = await listen(upstream)
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })

function get(path: string): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    http.get({ port: upstreamPort, host: '127.0.0.1', path, agent }, resolve).on('error', reject)
  })
}

const app = express()
app.get('/tunnel/:id', async (_request, response) => {
  await Promise.resolve()
  const socket = net.connect(upstreamPort, '127.0.0.1')
  await once(socket, 'connect')
  socket.pause()
  response.end('tunnelled')
})
app.get('/healthy/:id', async (_request, response) => {
  const got = await get('/small?secret=1')
  got.resume()
  await once(got, 'close')
  response.end('healthy')
})
app.get('/pooled/:id', async (_request, response) => {
  await get('/big?secret=1')
  response.end('leaked')
})
app.get('/fetched/:id', async (_request, response) => {
  const fetched = await fetch(`http://127.0.0.1:${upstreamPort}/big/fetch?secret=1`)
  keep.push(fetched)
  response.end('leaked')
})
const keep: unknown[] = []
const front = http.createServer(app)
front.on('upgrade', (_request, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n')
})
if (how === 'adapter') guardServer(front, { label: 'front' })
const frontPort = await listen(front)
const isNoise = (socket: SocketReport): boolean =>
  socket.local?.port === upstreamPort || (socket.local?.port === frontPort && socket.kind === 'http')

for (const path of ['/tunnel/7', '/healthy/1', '/healthy/2', '/pooled/8', '/fetched/9']) {
  // Over a raw connection, so that this side is neither undici nor an agent.
  const client = net.connect(frontPort, '127.0.0.1').resume()
  client.write(`GET ${path}?token=secret HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`)
  await once(client, 'close')
}
const upgrading = net.connect(frontPort, '127.0.0.1')
upgrading.write('GET /chat?token=secret HTTP/1.1\r\nhost: x\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n')
await once(upgrading, 'data')

const sockets = guard
  .snapshot({ all: true })
  .sockets.filter((socket) => !isNoise(socket) && socket.remote?.port !== frontPort)
console.log(JSON.stringify({ upstreamPort, sockets }))
process.exit()
