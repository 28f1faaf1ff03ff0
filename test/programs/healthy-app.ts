/**
 * An application in good health that uses every kind of socket there is, and says what each of them went through.
 * Run with and without the guard; the two must say the same.
 */
import { fork, spawn } from 'node:child_process'
import dgram from 'node:dgram'
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import tls from 'node:tls'
import { inspect } from 'node:util'
import { Worker } from 'node:worker_threads'
import { CERTIFICATE } from '../support/certificate.js'

const EVENTS = ['connect', 'ready', 'end', 'finish', 'error', 'timeout', 'drain', 'close'] as const

const diary = new Map<string, string[]>()

/** Notes the order of a socket's events under a name. */
function watch<S extends net.Socket>(name: string, socket: S): S {
  const lines: string[] = []
  diary.set(name, lines)
  for (const event of EVENTS) {
    socket.on(event, (argument: unknown) =>
      lines.push(argument === undefined ? event : `${event} ${String(argument)}`),
    )
  }
  return socket
}

async function listen(server: net.Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

async function close(server: { close(callback: () => void): void }): Promise<void> {
  await new Promise<void>((resolve) => server.close(resolve))
}

async function tcp(): Promise<void> {
  const server = net.createServer((socket) => {
    watch('tcp server', socket).pipe(socket)
  })
  const socket = watch('tcp client', net.connect(await listen(server), '127.0.0.1'))
  socket.end('over tcp')
  console.log(await text(socket))
  await close(server)
}

async function reset(): Promise<void> {
  const server = net.createServer((socket) => {
    socket.once('data', () => socket.resetAndDestroy())
  })
  const socket = watch('reset client', net.connect(await listen(server), '127.0.0.1'))
  socket.write('reset me')
  await once(socket, 'close').catch(() => {})
  await close(server)
}

async function refused(): Promise<void> {
  // Nobody serves tcpmux; a port that was free a moment ago may belong to somebody now.
  const socket = net.connect(1, '127.0.0.1')
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
  console.log('refused', error.code, socket.destroyed)
}

async function unixSocket(): Promise<void> {
  const path = join(tmpdir(), `healthy-${process.pid}.sock`)
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    watch('pipe server', socket).pipe(socket)
  })
  server.listen(path)
  await once(server, 'listening')
  const socket = watch('pipe client', net.connect(path))
  socket.end('over a unix socket')
  console.log(await text(socket))
  await close(server)
}

async function overTls(): Promise<void> {
  const server = tls.createServer(CERTIFICATE, (socket) => {
    watch('tls server', socket).pipe(socket)
  })
  const socket = watch(
    'tls client',
    tls.connect({ port: await listen(server), host: '127.0.0.1', rejectUnauthorized: false }),
  )
  socket.end('over tls')
  console.log(await text(socket))
  await close(server)
}

async function ask(
  port: number,
  options: http.RequestOptions | https.RequestOptions,
  body?: string,
  client: typeof http | typeof https = http,
): Promise<string> {
  const request = client.request({ host: '127.0.0.1', port, ...options })
  request.end(body)
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  return `${response.statusCode} ${await text(response)}`
}

async function overHttp(): Promise<void> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  let connections = 0
  const server = http.createServer(async (request, response) => {
    response.end(`${request.method} ${request.url} ${await text(request)}`)
  })
  server.on('connection', () => (connections += 1))
  server.on('upgrade', (_request, socket: net.Socket) => {
    watch('upgraded server', socket)
    socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\n')
    socket.pipe(socket)
  })
  const port = await listen(server)
  for (const path of ['/one', '/two', '/three']) console.log(await ask(port, { agent, path }))
  console.log(await ask(port, { agent, path: '/upload', method: 'POST' }, 'x'.repeat(10)))
  const request = http.request({
    host: '127.0.0.1',
    port,
    headers: { connection: 'upgrade', upgrade: 'echo' },
  })
  request.end()
  const [, socket] = (await once(request, 'upgrade')) as [unknown, net.Socket]
  watch('upgraded client', socket).end('over an upgrade')
  console.log(await text(socket))
  agent.destroy()
  await close(server)
  console.log('connections', connections)
}

async function overHttps(): Promise<void> {
  const server = https.createServer(CERTIFICATE, (_request, response) => response.end('over https'))
  console.log(await ask(await listen(server), { agent: false, rejectUnauthorized: false }, undefined, https))
  await close(server)
}

async function overHttp2(): Promise<void> {
  const server = http2.createServer((_request, response) => response.end('over http2'))
  const session = http2.connect(`http://127.0.0.1:${await listen(server)}`)
  const stream = session.request({ ':path': '/' })
  console.log(await text(stream))
  session.close()
  await once(session, 'close')
  await close(server)
}

async function overUdp(): Promise<void> {
  const server = dgram.createSocket('udp4').bind(0, '127.0.0.1')
  await once(server, 'listening')
  const client = dgram.createSocket('udp4')
  client.send('over udp', server.address().port, '127.0.0.1')
  const [message] = (await once(server, 'message')) as [Buffer]
  console.log(message.toString())
  client.close()
  server.close()
}

async function children(): Promise<void> {
  const child = spawn(process.execPath, ['-e', 'process.stdin.pipe(process.stdout)'])
  child.stdin.end('through a child')
  console.log(await text(child.stdout))
  const forked = fork(import.meta.filename, ['answer'])
  forked.send('over ipc')
  const [[answer], [code]] = await Promise.all([once(forked, 'message'), once(forked, 'exit')])
  console.log(answer, code)
}

async function worker(): Promise<void> {
  const thread = new Worker('require("node:worker_threads").parentPort.postMessage("from a worker")', {
    eval: true,
  })
  const [[message], [code]] = await Promise.all([once(thread, 'message'), once(thread, 'exit')])
  console.log(message, code)
}

/** What an application sees of the classes and of a socket itself. */
function shapes(): void {
  const socket = new net.Socket()
  console.log(Object.keys(socket).sort().join(), inspect(socket, { depth: 0 }).length > 0)
  for (const event of EVENTS) console.log(event, socket.listenerCount(event))
  console.log(new net.Socket() instanceof net.Socket, net.Socket.length, net.Socket.name)
  for (const name of ['push', 'end', 'destroy', 'connect', 'setKeepAlive'] as const) {
    console.log(name, net.Socket.prototype[name].name, net.Socket.prototype[name].length)
  }
  console.log(http.Server.prototype.emit.name, http.Server.prototype.emit.length)
}

async function main(): Promise<void> {
  shapes()
  for (const act of [
    tcp,
    reset,
    refused,
    unixSocket,
    overTls,
    overHttp,
    overHttps,
    overHttp2,
    overUdp,
    children,
    worker,
  ])
    await act()
  for (const [name, lines] of diary) console.log(`${name}: ${lines.join(', ')}`)
  console.error('done')
  process.on('exit', (code) => console.log('exit', code))
}

if (process.argv[2] === 'answer')
  process.once('message', (message) => process.send?.(message, () => process.disconnect()))
else await main()
