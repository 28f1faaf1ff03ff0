/** Plain TCP, pipes, TLS. */
import { once } from 'node:events'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Duplex, PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import tls from 'node:tls'
import { inspect } from 'node:util'
import { closed, HOST, listen, pair, serving, TRUSTING, type Scene } from './stage.js'

function echo(socket: net.Socket): void {
  socket.pipe(socket)
}

async function overTls(
  act: (client: tls.TLSSocket, accepted: tls.TLSSocket) => unknown,
  options: tls.TlsOptions & tls.ConnectionOptions = {},
): Promise<void> {
  await serving(tls.createServer({ ...TRUSTING, ...options }), async (port, server) => {
    const arrival = once(server, 'secureConnection') as Promise<[tls.TLSSocket]>
    const client = tls.connect({ port, host: HOST, ...TRUSTING, ...options } as tls.ConnectionOptions)
    const [[accepted]] = await Promise.all([arrival, once(client, 'secureConnect')])
    const end = closed(client, accepted)
    await act(client, accepted)
    await end
  })
}

let pipes = 0
function pipePath(): string {
  return join(tmpdir(), `slg-transparency-${process.pid}-${(pipes += 1)}.sock`)
}

async function overPipe(options: net.ServerOpts, act: (client: net.Socket) => unknown): Promise<void> {
  const path = pipePath()
  const server = net.createServer(options, echo).listen(path)
  await once(server, 'listening')
  const client = net.connect({ path, ...options })
  await Promise.all([closed(client), act(client)])
  server.close()
  await once(server, 'close')
}

export const NET: Readonly<Record<string, Scene>> = {
  'net: echo': (note) =>
    serving(net.createServer(echo), async (port) => {
      const client = net.connect(port, HOST)
      client.end('hello')
      note(await text(client))
    }),
  'net: the server ends first': () =>
    pair((client, accepted) => {
      client.resume()
      accepted.resume().end('bye')
    }),
  'net: half-open on both sides': (note) =>
    pair(
      async (client, accepted) => {
        client.end('question')
        note(await text(accepted), accepted.writable, client.readyState, accepted.readyState)
        accepted.end('answer')
        note(await text(client))
      },
      { allowHalfOpen: true },
    ),
  'net: reset while reading': (note) =>
    pair((client, accepted) => {
      client.on('error', (error) => note(error)).resume()
      accepted.resetAndDestroy()
    }),
  'net: reset with output left': (note) =>
    pair((client, accepted) => {
      client.on('error', (error) => note(error)).resume()
      client.write(Buffer.alloc(1 << 22))
      accepted.once('readable', () => accepted.resetAndDestroy())
    }),
  'net: destroyed with an error': (note) =>
    pair((client, accepted) => {
      accepted.resume()
      client.on('error', (error) => note(error))
      note(client.destroy(new Error('enough')) === client, client.destroyed, client.errored)
    }),
  'net: destroyed twice, ended after that': (note) =>
    pair((client, accepted) => {
      accepted.resume()
      client.destroy().destroy(new Error('not heard'))
      note(client.end() === client, client.writableEnded, client.writable)
    }),
  'net: destroySoon': () =>
    pair((client, accepted) => {
      accepted.resume()
      client.write('last')
      client.destroySoon()
    }),
  'net: refused': async (note) => {
    // Nobody serves tcpmux.
    const client = net.connect(1, HOST)
    client.on('error', (error) => note(error))
    await closed(client)
  },
  'net: destroyed while it connects': (note) =>
    serving(net.createServer(), async (port) => {
      const client = net.connect(port, HOST)
      note(client.connecting, client.pending)
      await closed(client.destroy())
    }),
  'net: aborted by a signal': (note) =>
    pair(async (client, accepted) => {
      accepted.resume()
      const control = new AbortController()
      const other = new net.Socket({ signal: control.signal })
      other.on('error', (error) => note(error))
      control.abort()
      await closed(other)
      client.end()
    }),
  'net: a time limit': (note) =>
    pair(async (client, accepted) => {
      accepted.resume()
      client.setTimeout(20, () => note('timeout', client.timeout))
      await once(client, 'timeout')
      client.end()
    }),
  'net: paused, resumed': (note) =>
    pair(async (client, accepted) => {
      note(client.pause() === client, client.isPaused())
      accepted.end('hello')
      client.on('data', () => {})
      client.resume()
      note(client.isPaused(), client.readableFlowing)
    }),
  'net: read in paused mode': (note) =>
    pair((client, accepted) => {
      let read = 0
      client.on('readable', () => {
        for (
          let chunk = client.read(3) as Buffer | null;
          chunk !== null;
          chunk = client.read(3) as Buffer | null
        )
          read += chunk.length
        if (client.readableLength > 0) read += (client.read() as Buffer).length
      })
      client.on('end', () => note(read))
      accepted.end('hello world')
    }),
  'net: an iterator that breaks off': (note) =>
    pair(async (client, accepted) => {
      accepted.on('error', () => {}).write('hello')
      for await (const chunk of client) {
        note(chunk)
        break
      }
      note(client.destroyed)
    }),
  'net: a buffer of its own': (note) =>
    serving(
      net.createServer((socket) => socket.end('hello')),
      async (port) => {
        const client = net.connect({
          port,
          host: HOST,
          onread: { buffer: Buffer.alloc(64), callback: (bytes) => (note(bytes), true) },
        })
        await closed(client)
      },
    ),
  'net: corked, back-pressure': (note) =>
    pair(async (client, accepted) => {
      client.cork()
      client.write('a')
      client.write('b')
      note(client.writableCorked, client.writableLength)
      client.uncork()
      const isMore = client.write(Buffer.alloc(1 << 23))
      note(isMore, client.writableNeedDrain)
      accepted.resume()
      await once(client, 'drain')
      client.end('end', () => note('finished', client.bytesWritten))
    }),
  'net: too many connections': (note) =>
    serving(net.createServer(), async (port, server) => {
      server.maxConnections = 1
      server.on('drop', (data) => note(Object.keys(data as object)))
      const first = net.connect(port, HOST)
      await once(server, 'connection')
      await closed(net.connect(port, HOST).on('error', () => {}))
      server.getConnections((error, count) => note(error, count))
      first.destroy()
      await closed(first)
    }),
  'net: a server that closes around a connection': (note) =>
    serving(net.createServer(echo), async (port, server) => {
      const client = net.connect(port, HOST)
      await once(server, 'connection')
      const end = closed(server)
      note(server.close((error) => note('closed', error)) === server, server.listening)
      server.getConnections((error, count) => note(error, count))
      client.end('late').resume()
      await closed(client)
      await end
      note(server.close((error) => note(error)) === server)
      server.listen(0, HOST)
      await once(server, 'listening')
    }),
  'net: listens twice, and where somebody else does': (note) =>
    serving(net.createServer(), async (port, server) => {
      try {
        server.listen(0)
      } catch (error) {
        note(error)
      }
      const other = net.createServer().listen(port, HOST)
      note(...(await once(other, 'error')))
    }),
  'net: paused when it comes': (note) =>
    serving(net.createServer({ pauseOnConnect: true }), async (port, server) => {
      const client = net.connect(port, HOST)
      client.end('hello')
      const [accepted] = (await once(server, 'connection')) as [net.Socket]
      note(accepted.isPaused(), accepted.readableFlowing)
      note(await text(accepted.resume()))
    }),
  'net: options of a socket': (note) =>
    pair((client, accepted) => {
      note(client.setKeepAlive(true, 1000) === client, client.setNoDelay() === client)
      note(client.ref() === client, client.unref() === client, client.ref() === client)
      note(client.remoteAddress, client.remoteFamily, client.address(), client.bytesRead, client.bufferSize)
      note(client.allowHalfOpen, client.readableHighWaterMark, client.writableHighWaterMark)
      accepted.resume()
      client.end()
    }),
  'net: one socket connects twice': (note) =>
    serving(
      net.createServer((socket) => socket.end('hello')),
      async (port) => {
        const client = new net.Socket()
        for (const round of [1, 2]) {
          client.connect(port, HOST).resume()
          await once(client, 'close')
          note(round, client.destroyed, client.bytesRead)
        }
      },
    ),
  'net: a subclass': (note) =>
    serving(net.createServer(echo), async (port) => {
      class Own extends net.Socket {
        override push(chunk: unknown, encoding?: BufferEncoding): boolean {
          note('push', chunk === null)
          return super.push(chunk, encoding)
        }
        override destroy(error?: Error): this {
          note('destroy', error)
          return super.destroy(error)
        }
      }
      const client = new Own()
      client.connect(port, HOST).end('hello')
      note(await text(client))
    }),
  'net: a relay': (note) =>
    serving(net.createServer(echo), (port) =>
      serving(
        net.createServer((socket) => {
          const onward = net.connect(port, HOST)
          socket.pipe(onward).pipe(socket)
        }),
        async (front) => {
          const client = net.connect(front, HOST)
          client.end('through')
          note(await text(client))
        },
      ),
    ),
  'net: wrong arguments': (note) => {
    const socket = new net.Socket()
    for (const wrong of [
      () => socket.connect({ port: -1 }),
      () => socket.connect({} as net.SocketConnectOpts),
      () => socket.push({}),
      () => socket.end({} as string),
      () => Reflect.apply(net.Socket.prototype.end, {}, []),
      () => Reflect.apply(net.Socket.prototype.push, null, [null]),
      () => Reflect.apply(net.Server.prototype.emit, {}, ['connection']),
      () => net.createServer().emit('error', new Error('unheard')),
      () => Reflect.apply(net.Socket.prototype.destroy, {}, []),
    ]) {
      try {
        note(wrong())
      } catch (error) {
        note(error)
      }
    }
    socket.on('error', (error) => note(error))
    socket.write('to nobody')
  },
  'net: written after the end': (note) =>
    pair((client, accepted) => {
      accepted.resume()
      client.on('error', (error) => note(error)).resume()
      client.end('first')
      client.write('second', (error) => note(error))
      client.end('third', () => note('third'))
    }),
  'net: by name, over whichever family': (note) =>
    serving(net.createServer(echo), async (port) => {
      const client = net.connect({ port, host: 'localhost', autoSelectFamily: true })
      client.end('hello')
      note(await text(client))
    }),
  'net: classes and methods': (note) => {
    const { prototype } = net.Socket
    const methods = 'push end destroy connect pause resume write on once addListener emit pipe setKeepAlive'
    for (const name of methods.split(' ')) {
      const method = prototype[name as 'end'] as unknown as { name: string; length: number }
      note(name, method.name, method.length, Object.keys(method), method.hasOwnProperty('prototype'))
    }
    for (const { Server } of [net, tls]) note(Server.name, Server.length, Server.prototype.emit.name)
    note(net.Server.prototype.emit.length, Object.keys(net), Object.keys(net.Socket))
    const socket = new net.Socket()
    const inherited: string[] = []
    for (const key in socket) inherited.push(key)
    note(inherited.sort(), inspect(socket, { showHidden: true, depth: 0 }).length > 0)
    note(Object.getOwnPropertySymbols(socket).length, Object.getOwnPropertyNames(socket))
  },
  'pipe: echo': (note) =>
    overPipe({}, async (client) => {
      client.end('over a pipe')
      note(await text(client))
    }),
  'pipe: half-open': (note) =>
    overPipe({ allowHalfOpen: true }, async (client) => {
      client.write('one')
      note(await text(client.end('two')))
    }),
  'pipe: nobody is there': async (note) => {
    const client = net.connect(pipePath()).on('error', (error) => note(error.name))
    await closed(client)
  },
  'tls: echo': (note) =>
    overTls(async (client, accepted) => {
      accepted.pipe(accepted)
      client.end('secret')
      note(await text(client), client.authorized, client.encrypted, client.getProtocol())
    }),
  'tls: the server ends first': () =>
    overTls((client, accepted) => {
      client.resume()
      accepted.resume().end('bye')
    }),
  'tls: protocols, names': (note) =>
    overTls(
      (client, accepted) => {
        note(client.alpnProtocol, accepted.alpnProtocol, (accepted as { servername?: string }).servername)
        accepted.resume()
        client.end()
      },
      { ALPNProtocols: ['x', 'y'], servername: 'example.test' },
    ),
  'tls: nobody trusts the certificate': (note) =>
    serving(tls.createServer(TRUSTING), async (port, server) => {
      server.on('tlsClientError', (error) => note(error.name))
      const client = tls.connect({ port, host: HOST }).on('error', (error) => note(error))
      await closed(client)
    }),
  'tls: a client that speaks no TLS': (note) =>
    serving(tls.createServer(TRUSTING), async (port, server) => {
      server.on('tlsClientError', (error: NodeJS.ErrnoException) => note(error.code))
      const client = net.connect(port, HOST, () => client.write('GET / HTTP/1.0\r\n\r\n'))
      await closed(client.on('error', () => {}).resume())
    }),
  'tls: over a socket of the program': (note) =>
    serving(tls.createServer(TRUSTING, echo), async (port) => {
      const raw = net.connect(port, HOST)
      await once(raw, 'connect')
      const client = tls.connect({ socket: raw, ...TRUSTING })
      client.end('secret')
      note(await text(client), raw.destroyed)
    }),
  'tls: over a Duplex': (note) =>
    serving(tls.createServer(TRUSTING, echo), async (port) => {
      const raw = net.connect(port, HOST)
      const [output, input] = [new PassThrough(), new PassThrough()]
      output.pipe(raw).pipe(input)
      const client = tls.connect({ socket: Duplex.from({ writable: output, readable: input }), ...TRUSTING })
      client.write('secret')
      note(...(await once(client, 'data')))
      client.destroy()
      raw.destroy()
      await closed(raw)
    }),
  'tls: begun on a plain connection': (note) =>
    pair(async (client, accepted) => {
      const server = new tls.TLSSocket(accepted, { isServer: true, ...TRUSTING })
      const secure = tls.connect({ socket: client, ...TRUSTING })
      server.pipe(server)
      secure.end('secret')
      note(await text(secure))
    }),
  'tls: destroyed during the handshake': (note) =>
    serving(tls.createServer(TRUSTING), async (port, server) => {
      server.on('tlsClientError', (error: NodeJS.ErrnoException) => note(error.code))
      const gone = once(server, 'connection').then(([socket]) => closed(socket as net.Socket))
      const raw = net.connect(port, HOST)
      await once(raw, 'connect')
      raw.destroy()
      await gone
    }),
  'tls: a session that is resumed': (note) =>
    serving(
      tls.createServer(TRUSTING, (socket) => socket.end('hello')),
      async (port) => {
        let session: Buffer | undefined
        for (const round of [1, 2]) {
          const client = tls.connect({ port, host: HOST, ...TRUSTING, session, maxVersion: 'TLSv1.2' })
          client.on('session', (given) => (session = given))
          note(round, await text(client), client.isSessionReused())
        }
      },
    ),
  'handles at last': async (note) => {
    const server = net.createServer()
    await listen(server)
    net.connect((server.address() as net.AddressInfo).port, HOST).unref()
    const [accepted] = (await once(server, 'connection')) as [net.Socket]
    accepted.unref()
    server.unref()
    note(process.getActiveResourcesInfo().sort())
  },
}
