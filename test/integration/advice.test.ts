/** The advice in a diagnosis is followed, word for word, in each shape that gets it: then the connection closes. */
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import { Writable } from 'node:stream'
import t, { type Test } from 'tap'
import { install } from '../../src/index.js'
import { CERTIFICATE } from '../support/certificate.js'
import { closeAfter } from '../support/close-after.js'
import { listen } from '../support/events.js'
import { Peer, type PeerConnection } from '../support/peer.js'
import { until } from '../support/until.js'

const peer = new Peer()
t.teardown(() => peer.kill())

/** A socket in trouble, and how to follow each piece of its advice. */
interface Scene {
  readonly socket: net.Socket
  readonly cures: Record<string, () => void>
}

const HALF_OPEN = { allowHalfOpen: true }
const MUCH = Buffer.alloc(20_000_000)
const UPGRADE = 'GET /live HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'
const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'
/** The bodies are long enough to fill Node's buffers, and short enough to fit into the kernel's with the end behind them. */
const UPLOAD = 'POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n'

async function serve(t: Test, server: net.Server, isTls = false): Promise<PeerConnection> {
  server.on('connection', (socket) => socket.on('error', () => {}))
  return peer.connect({ port: await listen(closeAfter(t, server)), tls: isTls })
}

async function accepted(t: Test, options: net.ServerOpts = {}) {
  const server = net.createServer(options)
  const met = once(server, 'connection') as Promise<[net.Socket]>
  const connection = await serve(t, server)
  const [socket] = await met
  return { socket, connection }
}

function readAll(stream: { read(): unknown }): () => void {
  return () => {
    while (stream.read() !== null);
  }
}

async function request(t: Test): Promise<http.IncomingMessage> {
  const server = http.createServer()
  const met = once(server, 'request') as Promise<[http.IncomingMessage, http.ServerResponse]>
  const connection = await serve(t, server)
  connection.do({ do: 'write', text: UPLOAD }).do({ do: 'write', bytes: 120_000 }).do({ do: 'end' })
  const [incoming, response] = await met
  response.on('error', () => {})
  return incoming.on('error', () => {})
}

async function response(t: Test): Promise<http.IncomingMessage> {
  const target = peer.open().do({ do: 'listen' })
  const { port } = await target.saw('listening')
  const outgoing = http.get({ port: port!, host: '127.0.0.1', agent: false }).on('error', () => {})
  const met = once(outgoing, 'response') as Promise<[http.IncomingMessage]>
  await target.saw('data')
  target
    .do({ do: 'write', text: 'HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n' })
    .do({ do: 'write', bytes: 160_000 })
    .do({ do: 'end' })
  const [incoming] = await met
  t.teardown(() => outgoing.destroy())
  return incoming.on('error', () => {})
}

async function handedOver(t: Test, event: 'upgrade' | 'connect', isTls = false) {
  const server = isTls ? https.createServer(CERTIFICATE) : http.createServer()
  const met = once(server, event) as Promise<[http.IncomingMessage, net.Socket]>
  const connection = await serve(t, server, isTls)
  connection.do({
    do: 'write',
    text: event === 'upgrade' ? UPGRADE : 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n',
  })
  const [, socket] = await met
  return { socket: socket.on('error', () => {}), connection }
}

const SCENES: Record<string, (t: Test) => Promise<Scene>> = {
  async 'an end that is ignored'(t) {
    const { socket, connection } = await accepted(t, HALF_OPEN)
    socket.resume()
    connection.do({ do: 'end' })
    return { socket, cures: { "socket.end() on 'end'": () => socket.end() } }
  },
  async 'an end behind unread bytes'(t) {
    const { socket, connection } = await accepted(t)
    connection.do({ do: 'end', text: 'hello' })
    return {
      socket,
      cures: { 'socket.resume()': () => socket.resume(), 'socket.destroy()': () => socket.destroy() },
    }
  },
  async "an end behind unread bytes, with a 'readable' listener"(t) {
    const { socket, connection } = await accepted(t)
    socket.on('readable', () => {})
    connection.do({ do: 'end', text: 'hello' })
    return {
      socket,
      cures: {
        "socket.read() until it returns null: with its 'readable' listener resume() has no effect":
          readAll(socket),
        'socket.destroy()': () => socket.destroy(),
      },
    }
  },
  async 'an end behind bytes that are piped to somebody slow'(t) {
    const { socket, connection } = await accepted(t)
    const slow = new Writable({ highWaterMark: 1, write: () => {} })
    socket.pipe(slow)
    connection.do({ do: 'write', bytes: 100_000 }).do({ do: 'end' })
    await once(socket, 'pause')
    const both = (): void => {
      socket.destroy()
      slow.destroy()
    }
    return {
      socket,
      cures: {
        // Each chunk that the pipe takes pauses it again.
        'socket.resume()': () => socket.on('pause', () => socket.resume()).resume(),
        'destroy both ends of the pipe': both,
      },
    }
  },
  async 'a peer that does not end'(t) {
    const { socket } = await accepted(t)
    socket.resume().end('bye')
    return { socket, cures: { "socket.destroy() some time after 'finish'": () => socket.destroy() } }
  },
  async 'a goodbye to a peer that has spoken'(t) {
    const { socket, connection } = await accepted(t)
    socket.end('no')
    connection.do({ do: 'end', text: 'hello' })
    return {
      socket,
      cures: { 'socket.resume()': () => socket.resume(), 'socket.destroySoon()': () => socket.destroySoon() },
    }
  },
  async 'output that a peer does not take'(t) {
    const { socket, connection } = await accepted(t)
    connection.do({ do: 'pause' })
    socket.resume().end(MUCH)
    return { socket, cures: { 'socket.resetAndDestroy()': () => socket.resetAndDestroy() } }
  },
  async 'output that the peer of an upgrade does not take, with TLS'(t) {
    const { socket, connection } = await handedOver(t, 'upgrade', true)
    socket.write(SWITCHED)
    await connection.saw('data')
    connection.do({ do: 'pause' })
    socket.resume().write(MUCH)
    t.throws(() => socket.resetAndDestroy())
    return { socket, cures: { 'socket.destroy()': () => socket.destroy() } }
  },
  async 'the body of a request'(t) {
    const incoming = await request(t)
    return {
      socket: incoming.socket,
      cures: { 'req.resume()': () => incoming.resume(), 'destroy the request': () => incoming.destroy() },
    }
  },
  async "the body of a request, with a 'readable' listener"(t) {
    const incoming = await request(t)
    let isCured = false
    incoming.on('readable', () => isCured && readAll(incoming)())
    const cure = (): void => {
      isCured = true
      readAll(incoming)()
    }
    return {
      socket: incoming.socket,
      cures: { 'req.read() until it returns null': cure, 'destroy the request': () => incoming.destroy() },
    }
  },
  async 'the body of a response'(t) {
    const incoming = await response(t)
    return {
      socket: incoming.socket,
      cures: { 'res.resume()': () => incoming.resume(), 'res.destroy()': () => incoming.destroy() },
    }
  },
  async "the body of a response, with a 'readable' listener"(t) {
    const incoming = await response(t)
    let isCured = false
    incoming.on('readable', () => isCured && readAll(incoming)())
    const cure = (): void => {
      isCured = true
      readAll(incoming)()
    }
    return {
      socket: incoming.socket,
      cures: { 'res.read() until it returns null': cure, 'res.destroy()': () => incoming.destroy() },
    }
  },
  async 'an upgrade whose end is ignored'(t) {
    const { socket, connection } = await handedOver(t, 'upgrade')
    socket.resume().write(SWITCHED)
    connection.do({ do: 'end' })
    return { socket, cures: { "socket.end() on 'end' in the upgrade handler": () => socket.end() } }
  },
  async 'an upgrade that nobody answers'(t) {
    const { socket, connection } = await handedOver(t, 'upgrade')
    connection.do({ do: 'end', text: 'hello' })
    return { socket, cures: { "destroy the socket in the 'upgrade' listener": () => socket.destroy() } }
  },
  async 'a tunnel that is not read'(t) {
    const { socket, connection } = await handedOver(t, 'connect')
    socket.write('HTTP/1.1 200 OK\r\n\r\n')
    connection.do({ do: 'end', text: 'hello' })
    return { socket, cures: { 'destroy both ends of the tunnel': () => socket.destroy() } }
  },
}

for (const [name, scene] of Object.entries(SCENES)) {
  t.test(name, async (t) => {
    let names: string[] = ['']
    for (let at = 0; at < names.length; at += 1) {
      using guard = install({ graceMs: 200, sweepMs: 50 })
      const { socket, cures } = await scene(t)
      const entry = () => guard.adapter.describe(socket)
      await until(() => ['leaked', 'stalled'].includes(entry()?.verdict ?? ''), 'it is told')
      names = Object.keys(cures)
      t.match(entry()!.diagnosis, names[at]!)
      const closed = new Promise((resolve) => socket.once('close', resolve))
      cures[names[at]!]!()
      await closed
    }
  })
}

t.test('output that the application holds back leaves when it is uncorked', async (t) => {
  using guard = install({ graceMs: 200, sweepMs: 50 })
  const { socket, connection } = await accepted(t)
  socket.resume().cork()
  socket.write('held back')
  await until(() => guard.adapter.describe(socket)?.verdict === 'stalled', 'it is told')
  t.match(guard.adapter.describe(socket)!.diagnosis, 'Call socket.uncork() as often as socket.cork().')
  socket.uncork()
  await connection.saw('data')
})
