/** What Node itself does with sockets, in good health: the guard changes nothing and says nothing. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { spawn } from 'node:child_process'
import dgram from 'node:dgram'
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import { text } from 'node:stream/consumers'
import tls from 'node:tls'
import t, { type Test } from 'tap'
import { install, type Guard, type GuardEvent, type InstallOptions } from '../../src/index.js'
import { CERTIFICATE } from '../support/certificate.js'
import { withServer } from '../support/connection.js'
import { listen } from '../support/events.js'
import { until } from '../support/until.js'

const HASTY: InstallOptions = { graceMs: 60, sweepMs: 10 }

/** Runs with a guard in a hurry, which must find nothing and end up with nothing. */
async function quietly(t: Test, act: (guard: Guard) => Promise<void>): Promise<void> {
  const guard = install(HASTY)
  const events: GuardEvent[] = []
  guard.subscribe((event) => events.push(event))
  try {
    await act(guard)
    await until(() => guard.sweep().totals.tracked === 0, 'nothing is tracked any more')
    t.same(
      events.map(({ type, socket }) => `${type} ${socket.diagnosis}`),
      [],
      'nothing was found',
    )
  } finally {
    guard.uninstall()
  }
}

/** Long enough for the guard to lose its patience with whatever it suspects. */
async function outlastGrace(guard: Guard): Promise<void> {
  const startedMs = performance.now()
  await until(() => performance.now() - startedMs > 4 * guard.options.graceMs, 'the grace is over')
}

async function close(server: { close(callback: () => void): void }): Promise<void> {
  await new Promise<void>((resolve) => server.close(resolve))
}

const storage = new AsyncLocalStorage<string>()

/** Which store every handler of a connection and of a request runs in. */
async function storesSeen(): Promise<string[]> {
  const seen: string[] = []
  const note = (name: string) => () => {
    seen.push(`${name}: ${storage.getStore() ?? 'none'}`)
  }
  const server = storage.run('server', () =>
    net.createServer((socket) => {
      note('connection')()
      socket.on('data', note('server data')).on('end', note('server end')).on('close', note('server close'))
      storage.run('server end', () => socket.end('hello'))
    }),
  )
  const port = await storage.run('listen', () => listen(server))
  const client = storage.run('client', () => net.connect(port, '127.0.0.1', note('connect')))
  client.on('data', note('client data')).on('end', note('client end')).on('close', note('client close'))
  storage.run('client end', () => client.end('hello', note('client finish')))
  await once(client, 'close')
  await storage.run('close', () => close(server))

  const web = http.createServer((request, response) => {
    note('request')()
    request.on('end', note('request end')).resume()
    response.on('finish', note('response finish'))
    storage.run(`request ${request.url}`, () => setImmediate(() => response.end('ok', note('response end'))))
  })
  web.on('upgrade', (_request, socket: net.Socket) => {
    note('upgrade')()
    socket
      .on('end', note('upgraded end'))
      .end('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n')
  })
  const webPort = await storage.run('listen web', () => listen(web))
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  for (const path of ['/1', '/2']) {
    const request = storage.run(`get ${path}`, () =>
      http.get({ host: '127.0.0.1', port: webPort, agent, path }),
    )
    request.on('response', note('response')).on('socket', note('socket')).on('close', note('request close'))
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    await once(response.resume(), 'end')
  }
  agent.destroy()
  const request = storage.run('get upgrade', () =>
    http.get({ host: '127.0.0.1', port: webPort, headers: { connection: 'upgrade', upgrade: 'x' } }),
  )
  const [, socket] = (await once(request, 'upgrade')) as [unknown, net.Socket]
  socket.end()
  await once(socket.resume(), 'close')
  await close(web)
  return seen.sort()
}

t.test('every handler runs in the async context in which it would run anyhow', async (t) => {
  const without = await storesSeen()
  for (const context of ['off', 'auto'] as const) {
    const guard = install({ ...HASTY, context })
    t.same(await storesSeen(), without, `context: ${context}`)
    guard.uninstall()
  }
  t.ok(without.some((line) => line.endsWith('client')) && without.length > 20)
})

t.test('a subclass with an end(), a push() and a destroy() of its own', async (t) => {
  const calls: string[] = []
  class OwnSocket extends net.Socket {
    override push(chunk: unknown, encoding?: BufferEncoding): boolean {
      calls.push(chunk === null ? 'push null' : 'push')
      return super.push(chunk, encoding)
    }
    override end(...args: unknown[]): this {
      calls.push('end')
      return super.end(...(args as []))
    }
    override destroy(error?: Error): this {
      calls.push('destroy')
      super.destroy(error)
      return this
    }
  }
  await quietly(t, async (guard) => {
    const server = net.createServer((socket) => socket.pipe(socket))
    const port = await listen(server)
    const socket = new OwnSocket()
    t.equal(socket.connect(port, '127.0.0.1'), socket)
    await once(socket, 'connect')
    t.equal(guard.snapshot({ all: true }).totals.tracked, 2)
    t.equal(socket.end('hello'), socket)
    t.equal(await text(socket), 'hello')
    await until(() => socket.destroyed, 'it is closed')
    await close(server)
  })
  t.same(calls, ['end', 'push', 'push null', 'destroy'])
})

t.test('a subclass whose destroy() takes its time', async (t) => {
  class SlowSocket extends net.Socket {
    override destroy(error?: Error): this {
      setTimeout(() => super.destroy(error), 30)
      return this
    }
  }
  const guard = install(HASTY)
  const server = net.createServer((socket) => socket.end())
  const socket = new SlowSocket()
  socket.connect(await listen(server), '127.0.0.1').resume()
  await once(socket, 'close')
  t.equal(guard.snapshot({ all: true }).totals.tracked, 0)
  guard.uninstall()
  await close(server)
})

t.test('a socket that reads into a buffer of the application', async (t) => {
  await quietly(t, async (guard) => {
    const server = net.createServer((socket) => socket.end('hello'))
    const read: string[] = []
    const socket = net.connect({
      port: await listen(server),
      host: '127.0.0.1',
      onread: {
        buffer: Buffer.alloc(1024),
        callback(bytes, buffer) {
          read.push(String(buffer.subarray(0, bytes)))
          return true
        },
      },
    })
    await once(socket, 'close')
    t.same(read, ['hello'])
    t.ok(guard)
    await close(server)
  })
})

t.test('an agent that keeps its connections', async (t) => {
  await quietly(t, async (guard) => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 2 })
    let connections = 0
    const server = http.createServer((request, response) => {
      request.resume().on('end', () => response.end('ok'))
    })
    server.on('connection', () => (connections += 1))
    server.keepAliveTimeout = 60_000
    const port = await listen(server)
    for (let round = 0; round < 3; round += 1) {
      for (const method of ['GET', 'POST']) {
        const request = http.request({ host: '127.0.0.1', port, agent, method })
        request.end(method === 'POST' ? 'body' : undefined)
        const [response] = (await once(request, 'response')) as [http.IncomingMessage]
        t.equal(await text(response), 'ok')
      }
      // Idle in the pool for longer than the grace.
      await outlastGrace(guard)
    }
    t.equal(connections, 1)
    agent.destroy()
    await close(server)
  })
})

t.test('a server that stops keeping a connection', async (t) => {
  await quietly(t, async () => {
    const agent = new http.Agent({ keepAlive: true })
    const server = http.createServer((_request, response) => response.end('ok'))
    server.keepAliveTimeout = 50
    const request = http.get({ host: '127.0.0.1', port: await listen(server), agent })
    const [socket] = (await once(request, 'socket')) as [net.Socket]
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    t.equal(await text(response), 'ok')
    await until(() => socket.destroyed, 'the pool has let go of it')
    await close(server)
  })
})

t.test(
  'tls: one connection is one socket on either side, also over a socket of the application',
  async (t) => {
    await quietly(t, async (guard) => {
      const server = tls.createServer(CERTIFICATE, (socket) => socket.pipe(socket))
      const port = await listen(server)
      for (const isOwn of [false, true]) {
        const options = isOwn ? { socket: net.connect(port, '127.0.0.1') } : { port, host: '127.0.0.1' }
        const client = tls.connect({ ...options, rejectUnauthorized: false })
        await once(client, 'secureConnect')
        t.equal(guard.snapshot({ all: true }).totals.tracked, 2)
        await outlastGrace(guard)
        client.write('first')
        t.equal(String((await once(client, 'data'))[0]), 'first')
        const kinds = guard.snapshot({ all: true }).sockets.map(({ kind }) => kind)
        t.same(kinds, ['tls', 'tls'])
        client.pause().end('hello')
        t.equal(await text(client), 'hello')
        await until(() => client.destroyed, 'it is closed')
      }
      await close(server)
    })
  },
)

t.test('http2: a session that is idle, and one that works', async (t) => {
  await quietly(t, async (guard) => {
    const server = http2.createServer((request, response) => {
      request.pipe(response)
    })
    const session = http2.connect(`http://127.0.0.1:${await listen(server)}`)
    for (let round = 0; round < 2; round += 1) {
      const stream = session.request({ ':path': '/', ':method': 'POST' })
      stream.end('hello'.repeat(10_000))
      t.equal((await text(stream)).length, 50_000)
      await outlastGrace(guard)
    }
    t.equal(guard.snapshot({ all: true }).totals.tracked, 2)
    session.close()
    await once(session, 'close')
    await close(server)
  })
})

t.test('a long upload that is read slowly, and a long download', async (t) => {
  await quietly(t, async () => {
    const server = http.createServer(async (request, response) => {
      let bytes = 0
      for await (const chunk of request) {
        bytes += (chunk as Buffer).length
        // Back-pressure, each time for less than the grace.
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      response.end(Buffer.alloc(bytes))
    })
    const request = http.request({
      host: '127.0.0.1',
      port: await listen(server),
      method: 'POST',
      agent: false,
    })
    request.end(Buffer.alloc(1_000_000))
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    t.equal((await text(response)).length, 1_000_000)
    await close(server)
  })
})

t.test('dgram is left alone', async (t) => {
  await quietly(t, async (guard) => {
    const server = dgram.createSocket('udp4').bind(0, '127.0.0.1')
    await once(server, 'listening')
    const client = dgram.createSocket('udp4')
    client.connect(server.address().port, '127.0.0.1')
    await once(client, 'connect')
    client.send('hello')
    await once(server, 'message')
    t.equal(guard.snapshot({ all: true }).totals.tracked, 0)
    client.close()
    server.close()
  })
})

t.test("the pipes of a child are nobody's connection, however half-closed they are", async (t) => {
  await quietly(t, async (guard) => {
    const child = spawn(
      process.execPath,
      [
        '-e',
        'process.stdin.resume(); process.stdout.write("x"); process.stdout.end(); setTimeout(() => {}, 1e6)',
      ],
      {
        stdio: ['pipe', 'pipe', 'pipe', 'ipc', 'pipe'],
      },
    )
    // Output that nobody reads, input that has ended, and a pipe whose far end has gone.
    child.stdin!.end('hello')
    await until(() => child.stdout!.readableLength > 0 || child.stdout!.readableEnded, 'the child has spoken')
    await outlastGrace(guard)
    t.equal(guard.snapshot({ all: true }).totals.tracked, 0)
    child.kill()
    child.stdout!.resume()
    await once(child, 'close')
  })
})

t.test('nor are the standard streams of this process', async (t) => {
  const program = `
    import { install } from '${new URL('../../src/index.js', import.meta.url).href}'
    const guard = install({ graceMs: 20, sweepMs: 10 })
    guard.subscribe(({ socket }) => console.error(socket.diagnosis))
    process.stdin.resume()
    process.stdout.write('out')
    process.stdin.once('end', () => setTimeout(() => {
      console.error(JSON.stringify(guard.sweep({ all: true }).totals.tracked))
    }, 200))
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', program])
  child.stdin.end('in')
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  t.same([out, err, code], ['out', '0\n', 0])
})

t.test('a connection handed to a child is forgotten', async (t) => {
  const guard = install(HASTY)
  const program = `
    process.on('message', (message, socket) => {
      socket.end('from the child')
      process.disconnect()
    })
  `
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const exited = once(child, 'exit')
  const server = net.createServer({ pauseOnConnect: true }, (socket) => child.send('take it', socket))
  const client = net.connect(await listen(server), '127.0.0.1')
  t.equal(await text(client), 'from the child')
  await exited
  await until(() => guard.sweep({ all: true }).totals.tracked === 0, 'nothing is tracked any more')
  guard.uninstall()
  server.close()
})

t.test('methods return what they return without it', async (t) => {
  const guard = install(HASTY)
  await withServer({}, async ({ client, accepted }) => {
    t.equal(client.setKeepAlive(true, 1000), client)
    t.equal(client.setKeepAlive(false), client)
    t.equal(client.end(), client)
    await once(accepted, 'close')
    t.equal(accepted.destroy(), accepted)
    t.equal(accepted.end(), accepted)
    t.equal(new net.Socket().push('x'), true)
    t.throws(() => new net.Socket().connect({ port: -1 }), { code: 'ERR_SOCKET_BAD_PORT' })
  })
  guard.uninstall()
})
