/** HTTP/1 and HTTP/2, with Node's own means. */
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { ask, closed, HOST, serving, TRUSTING, type Scene } from './stage.js'

function answer(request: http.IncomingMessage, response: http.ServerResponse): void {
  request.resume().on('end', () => response.end(`${request.method} ${request.url}`))
}

/** Sends bytes as they are. @returns what comes back until the server has closed */
async function raw(port: number, ...lines: readonly string[]): Promise<string> {
  const client = net.connect({ port, host: HOST, allowHalfOpen: true })
  client.write(lines.join('\r\n'))
  const got = await text(client.on('error', () => {}))
  client.end()
  return got.replaceAll(/Date: .*\r\n/g, '').replaceAll(/\r\n/g, ' | ')
}

async function overHttp2(
  server: http2.Http2Server,
  act: (session: http2.ClientHttp2Session) => unknown,
): Promise<void> {
  await serving(server as unknown as net.Server, async (port) => {
    const session = http2.connect(`http://${HOST}:${port}`)
    await act(session)
    if (!session.destroyed) session.close()
    if (!session.closed || !session.destroyed) await closed(session)
  })
}

export const HTTP: Readonly<Record<string, Scene>> = {
  'http: get': (note) =>
    serving(http.createServer(answer), async (port) => note(await ask({ port, path: '/x' }))),
  'http: a connection that is kept': (note) =>
    serving(http.createServer(answer), async (port, server) => {
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
      for (const path of ['/1', '/2']) note(await ask({ port, path, agent }))
      note(await ask({ port, path: '/3', method: 'POST', agent }, 'body'))
      note(Object.keys(agent.freeSockets).length, Object.keys(agent.sockets).length)
      server.getConnections((error, count) => note(error, count))
      agent.destroy()
    }),
  'http: more requests than connections': (note) =>
    serving(http.createServer(answer), async (port) => {
      const agent = new http.Agent({ maxSockets: 1 })
      const all = ['/1', '/2', '/3'].map((path) => ask({ port, path, agent }))
      note(...(await Promise.all(all)))
    }),
  'http: idle connections are closed': (note) =>
    serving(http.createServer(answer), async (port, server) => {
      const agent = new http.Agent({ keepAlive: true })
      const request = http.get({ port, host: HOST, agent })
      const [socket] = (await once(request, 'socket')) as [net.Socket]
      const [response] = (await once(request, 'response')) as [http.IncomingMessage]
      note(await text(response))
      const end = closed(socket)
      await new Promise((done) => setImmediate(done))
      server.closeIdleConnections()
      await end
    }),
  'http: all connections are closed': (note) =>
    serving(
      http.createServer(() => {}),
      async (port, server) => {
        const request = http.get({ port, host: HOST, agent: false })
        request.on('error', (error) => note(error))
        await once(server, 'request')
        server.closeAllConnections()
        await closed(request)
      },
    ),
  'http: chunks and trailers': (note) =>
    serving(
      http.createServer(async (request, response) => {
        const body = await text(request)
        response.writeHead(200, { trailer: 'x-end' })
        response.write(body)
        response.addTrailers({ 'x-end': 'yes' })
        response.end()
      }),
      async (port) => {
        const request = http.request({ port, host: HOST, method: 'POST', agent: false })
        request.write('one')
        request.end('two')
        const [response] = (await once(request, 'response')) as [http.IncomingMessage]
        note(await text(response), response.trailers)
      },
    ),
  'http: head, and an answer before the body': (note) =>
    serving(
      http.createServer((_request, response) => response.writeHead(413, { connection: 'close' }).end()),
      async (port) => {
        note(await ask({ port, method: 'HEAD' }))
        note(await ask({ port, method: 'POST' }, 'x'.repeat(100)))
      },
    ),
  'http: expect, and early hints': (note) => {
    const server = http.createServer(answer)
    server.on('checkContinue', (request: http.IncomingMessage, response: http.ServerResponse) => {
      response.writeEarlyHints({ link: '</x>; rel=preload' })
      response.writeContinue()
      answer(request, response)
    })
    server.on('checkExpectation', (_request, response: http.ServerResponse) => response.writeHead(417).end())
    return serving(server, async (port) => {
      const request = http.request({
        port,
        host: HOST,
        method: 'POST',
        agent: false,
        headers: { expect: '100-continue' },
      })
      request.on('information', ({ statusCode }) => note('information', statusCode))
      request.on('continue', () => request.end('now'))
      request.flushHeaders()
      const [response] = (await once(request, 'response')) as [http.IncomingMessage]
      note(await text(response))
      note(await ask({ port, headers: { expect: 'tea' } }))
    })
  },
  'http: an upgrade': (note) => {
    const server = http.createServer(answer)
    server.on('upgrade', (request: http.IncomingMessage, socket: net.Socket, head: Buffer) => {
      note(request.url, head.length, socket.listenerCount('data'), socket.listenerCount('error'))
      socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n')
      socket.pipe(socket)
    })
    return serving(server, async (port) => {
      const headers = { connection: 'upgrade', upgrade: 'echo' }
      const request = http.get({ port, host: HOST, headers, path: '/up' })
      const [response, socket] = (await once(request, 'upgrade')) as [http.IncomingMessage, net.Socket]
      note(response.statusCode, socket.listenerCount('error'))
      socket.end('hello')
      note(await text(socket))
    })
  },
  'http: an upgrade that nobody wants': (note) =>
    serving(http.createServer(answer), async (port) => {
      const lines = ['GET / HTTP/1.1', 'Host: x', 'Connection: upgrade, close', 'Upgrade: echo', '', '']
      note((await raw(port, ...lines)).slice(0, 12))
    }),
  'http: a tunnel': (note) =>
    serving(
      net.createServer((socket) => socket.pipe(socket)),
      (target) => {
        const proxy = http.createServer()
        proxy.on('connect', (_request, socket: net.Socket) => {
          const onward = net.connect(target, HOST, () => {
            socket.write('HTTP/1.1 200 OK\r\n\r\n')
            socket.pipe(onward).pipe(socket)
          })
        })
        return serving(proxy, async (port) => {
          const request = http.request({ port, host: HOST, method: 'CONNECT', path: `x:${1}`, agent: false })
          request.end()
          const [, socket] = (await once(request, 'connect')) as [unknown, net.Socket]
          socket.end('through')
          note(await text(socket))
        })
      },
    ),
  'http: pipelined': (note) =>
    serving(http.createServer(answer), async (port) => {
      const first = ['GET /1 HTTP/1.1', 'Host: x', '']
      const last = ['GET /2 HTTP/1.1', 'Host: x', 'Connection: close', '', '']
      note(await raw(port, ...first, ...last))
    }),
  'http: no HTTP at all': (note) => {
    const server = http.createServer(answer)
    return serving(server, async (port) => {
      note(await raw(port, 'nonsense', '', ''))
      server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
        note(error.code)
        socket.end('HTTP/1.1 400 Mine\r\n\r\n')
      })
      note(await raw(port, 'nonsense', '', ''))
    })
  },
  'http: the client goes away': (note) =>
    serving(http.createServer(), async (port, server) => {
      const request = http.get({ port, host: HOST, agent: false }).on('error', (error) => note(error))
      const [incoming, response] = (await once(server, 'request')) as [
        http.IncomingMessage,
        http.ServerResponse,
      ]
      incoming.on('error', (error) => note(error))
      request.destroy()
      await closed(response)
      note(incoming.aborted, incoming.destroyed, response.writableEnded, response.destroyed)
    }),
  'http: a body that breaks off': (note) =>
    serving(
      http.createServer((_request, response) => {
        response.writeHead(200, { 'content-length': 10 }).write('half')
        response.flushHeaders()
        setImmediate(() => response.destroy())
      }),
      async (port) => {
        const request = http.get({ port, host: HOST, agent: false })
        const [response] = (await once(request, 'response')) as [http.IncomingMessage]
        response.on('aborted', () => note('aborted')).on('error', (error) => note(error))
        await closed(response.resume())
        note(response.complete)
      },
    ),
  'http: a request that takes too long': (note) =>
    serving(
      http.createServer({ requestTimeout: 40, headersTimeout: 40, connectionsCheckingInterval: 20 }, answer),
      async (port) => note(await raw(port, 'POST / HTTP/1.1', 'Host: x', 'Content-Length: 9', '', 'x')),
    ),
  'http: the server loses patience with an idle connection': (note) =>
    serving(http.createServer({ keepAliveTimeout: 20 }, answer), async (port) => {
      note(await raw(port, 'GET / HTTP/1.1', 'Host: x', '', ''))
    }),
  'http: time limits of a response and a request': (note) =>
    serving(http.createServer(), async (port, server) => {
      server.setTimeout(20, (socket: net.Socket) => {
        note('server', socket.timeout)
        socket.destroy()
      })
      const request = http.get({ port, host: HOST, agent: false, timeout: 5000 })
      await closed(request.on('error', (error) => note(error)))
    }),
  'http: refused': async (note) => {
    const request = http.get({ port: 1, host: HOST, agent: false })
    await closed(request.on('error', (error) => note(error)))
  },
  'http: over a pipe': async (note) => {
    const socketPath = join(tmpdir(), `slg-transparency-${process.pid}.http`)
    const server = http.createServer(answer).listen(socketPath)
    await once(server, 'listening')
    const request = http.get({ socketPath, agent: false })
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    note(await text(response))
    server.close()
    await once(server, 'close')
  },
  'http: a pipeline into a response': (note) =>
    serving(
      http.createServer((_request, response) => {
        void pipeline(Readable.from(['one', 'two', 'three']), response)
      }),
      async (port) => note(await ask({ port })),
    ),
  'http: connections made by hand': (note) =>
    serving(http.createServer(answer), async (port) => {
      const createConnection = (): net.Socket => net.connect(port, HOST)
      const request = http.get({ createConnection, headers: { connection: 'close' } })
      const [response] = (await once(request, 'response')) as [http.IncomingMessage]
      note(await text(response))
    }),
  'http: a server that is given its connections': (note) => {
    const inner = http.createServer(answer)
    return serving(
      net.createServer((socket) => inner.emit('connection', socket)),
      async (port) => note(await ask({ port })),
    )
  },
  'http: classes and methods': (note) => {
    for (const Class of [http.Server, https.Server, http.ClientRequest, http.Agent, http.IncomingMessage]) {
      note(Class.name, Class.length, Object.getOwnPropertyNames(Class.prototype).sort())
    }
    note(http.Server.prototype.emit.name, http.Server.prototype.emit.length, Object.keys(http))
    note(http.ClientRequest.prototype.onSocket.name, http.ClientRequest.prototype.onSocket.length)
  },
  'https: get, twice over one connection': (note) =>
    serving(https.createServer(TRUSTING, answer), async (port) => {
      const agent = new https.Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false })
      for (const path of ['/1', '/2']) {
        const request = https.get({ port, host: HOST, agent, path })
        const [response] = (await once(request, 'response')) as [http.IncomingMessage]
        note(await text(response), (response.socket as unknown as { encrypted: boolean }).encrypted)
      }
      agent.destroy()
    }),
  'https: an untrusted certificate': (note) =>
    serving(https.createServer(TRUSTING, answer), async (port) => {
      const request = https.get({ port, host: HOST, agent: false })
      await closed(request.on('error', (error) => note(error)))
    }),
  'http2: requests and responses': (note) =>
    overHttp2(
      http2.createServer((request, response) => {
        request.resume().on('end', () => response.end(`${request.method} ${request.url}`))
      }),
      async (session) => {
        for (const path of ['/1', '/2']) {
          const stream = session.request({ ':path': path, ':method': 'POST' })
          stream.end('body')
          note(await text(stream))
        }
      },
    ),
  'http2: a pushed stream': (note) => {
    const server = http2.createServer()
    server.on('stream', (stream) => {
      stream.pushStream({ ':path': '/pushed' }, (error, pushed) => {
        note(error)
        pushed.respond({ ':status': 200 })
        pushed.end('pushed')
        stream.respond({ ':status': 200 })
        stream.end('asked')
      })
    })
    return overHttp2(server, async (session) => {
      const pushed = once(session, 'stream') as Promise<[http2.ClientHttp2Stream]>
      const stream = session.request({ ':path': '/' })
      note(await text(stream), await text((await pushed)[0]))
    })
  },
  'http2: a stream that is given up': (note) => {
    const server = http2.createServer()
    server.on('stream', (stream) => {
      stream.on('error', (error) => note(error)).on('aborted', () => note('aborted'))
      stream.respond({ ':status': 200 })
      stream.write('part')
    })
    return overHttp2(server, async (session) => {
      const stream = session.request({ ':path': '/' })
      await once(stream, 'data')
      stream.close(http2.constants.NGHTTP2_CANCEL)
      await closed(stream)
    })
  },
  'http2: a session that the server ends': (note) => {
    const server = http2.createServer()
    server.on('session', (session) =>
      session.once('remoteSettings', () => {
        session.goaway()
        session.close()
      }),
    )
    return overHttp2(server, async (session) => {
      session.on('goaway', (code) => note('goaway', code)).on('error', (error) => note(error))
      await closed(session)
    })
  },
  'http2: settings and pings': (note) =>
    overHttp2(http2.createServer(), async (session) => {
      await once(session, 'remoteSettings')
      note(session.remoteSettings.maxFrameSize, session.alpnProtocol, session.encrypted)
      await new Promise<void>((done) => {
        session.ping((error) => {
          note(error)
          done()
        })
      })
      const { socket } = session
      note(typeof socket.remotePort, socket.constructor.name)
      try {
        socket.destroy()
      } catch (error) {
        note(error)
      }
    }),
  'http2: secure, and HTTP/1 beside it': (note) =>
    serving(
      http2.createSecureServer({ ...TRUSTING, allowHTTP1: true }, (request, response) =>
        response.end(request.httpVersion),
      ) as unknown as net.Server,
      async (port) => {
        const session = http2.connect(`https://${HOST}:${port}`, { rejectUnauthorized: false })
        note(await text(session.request({ ':path': '/' })))
        session.close()
        await closed(session)
        const request = https.get({ port, host: HOST, agent: false, rejectUnauthorized: false })
        const [response] = (await once(request, 'response')) as [http.IncomingMessage]
        note(await text(response))
      },
    ),
  'http2: the connection is lost': (note) =>
    overHttp2(
      http2.createServer(() => {}),
      async (session) => {
        session.on('error', (error) => note(error))
        const stream = session.request({ ':path': '/' }).on('error', (error) => note(error))
        await once(session, 'connect')
        session.destroy(new Error('lost'))
        await closed(stream)
      },
    ),
}
