/** Processes, threads, streams, libraries, and programs that end in their own ways. */
import { AsyncLocalStorage, AsyncResource, createHook } from 'node:async_hooks'
import { fork, spawn, type ChildProcess, type Serializable } from 'node:child_process'
import cluster from 'node:cluster'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import stream, { addAbortSignal, Duplex, finished, PassThrough, Readable, Transform } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { Worker } from 'node:worker_threads'
import type { Request, Response as ExpressResponse } from 'express'
import { ask, closed, HOST, listen, pair, serving, type Scene } from './stage.js'

const PROGRAM = process.argv[1]!

/** Another process of the same kind, which plays one scene and has a recorder of its own. */
function play(scene: string): ChildProcess {
  return fork(PROGRAM, [process.argv[2]!, scene])
}

function answers(port: number): Promise<string> {
  return ask({ port, path: '/x' })
}

const hello: http.RequestListener = (request, response) => response.end(`hello ${request.url}`)

export const PROGRAMS: Readonly<Record<string, Scene>> = {
  'process: the pipes of a child': async (note) => {
    const child = spawn(process.execPath, ['-e', 'process.stdin.pipe(process.stdout)'])
    child.stdin.end('through a child')
    const end = once(child, 'close')
    child.stdout.on('data', (chunk) => note(String(chunk)))
    child.stderr.on('data', (chunk) => note(String(chunk)))
    note(...(await end))
  },
  'process: messages': async (note) => {
    const child = play('in a child: answers')
    child.send('hello')
    const end = once(child, 'exit')
    note(...(await once(child, 'message')), ...(await end))
  },
  'process: a connection is handed over': async (note) => {
    const child = play('in a child: takes a connection')
    const end = once(child, 'exit')
    await serving(net.createServer({ pauseOnConnect: true }), async (port, server) => {
      const client = net.connect(port, HOST)
      const [socket] = (await once(server, 'connection')) as [net.Socket]
      child.send('take it', socket)
      note(await text(client))
    })
    note(...(await end))
  },
  'process: a server is handed over': async (note) => {
    const child = play('in a child: takes a server')
    const end = once(child, 'exit')
    const server = net.createServer()
    const port = await listen(server)
    child.send('take it', server)
    await once(child, 'message')
    server.close()
    note(await text(net.connect(port, HOST)), ...(await end))
  },
  'process: cluster': async (note) => {
    cluster.setupPrimary({ exec: PROGRAM, args: [process.argv[2]!, 'in a child: serves'] })
    const worker = cluster.fork()
    const [address] = (await once(worker, 'listening')) as [net.AddressInfo]
    note(await answers(address.port))
    const end = once(worker, 'exit')
    worker.disconnect()
    note(...(await end))
  },
  'process: a thread': async (note) => {
    const thread = new Worker(PROGRAM, { argv: [process.argv[2]!, 'net: echo'] })
    note(...(await once(thread, 'exit')))
  },
  'streams: a pipeline between two connections': (note) =>
    pair(async (client, accepted) => {
      const upper = new Transform({
        transform: (chunk, _encoding, done) => done(null, String(chunk).toUpperCase()),
      })
      client.end('hello')
      await pipeline(accepted, upper, accepted)
      note(await text(client))
    }),
  'streams: a pipeline that fails': (note) =>
    pair(async (client, accepted) => {
      client.on('error', (error) => note(error)).write('hello')
      const failing = new Transform({ transform: (_chunk, _encoding, done) => done(new Error('no')) })
      await pipeline(accepted, failing, new PassThrough()).catch(note)
      note(accepted.destroyed)
    }),
  'streams: finished, an abort signal, a composition': (note) =>
    pair(async (client, accepted) => {
      const control = new AbortController()
      finished(client, (error) => note('finished', error?.name))
      addAbortSignal(control.signal, client)
      const { compose } = stream as unknown as { compose(...streams: readonly Duplex[]): Duplex }
      const both = compose(accepted, new PassThrough())
      both.on('error', (error) => note('composed', error.name)).resume()
      control.abort()
      client.on('error', () => {})
      accepted.on('error', () => {})
      await closed(client)
    }),
  'streams: of the web': (note) =>
    pair(async (client, accepted) => {
      const { readable, writable } = Duplex.toWeb(client) as unknown as {
        readable: ReadableStream<Uint8Array>
        writable: WritableStream<Uint8Array>
      }
      accepted.end('from a server')
      const writer = writable.getWriter()
      await writer.write(Buffer.from('from the web'))
      note(await new Response(readable).text())
      await writer.close()
      note(await text(accepted))
    }),
  'streams: unpiped': (note) =>
    pair(async (client, accepted) => {
      const goal = new PassThrough()
      accepted.pipe(goal)
      client.write('one')
      note(String((await once(goal, 'data'))[0]))
      accepted.unpipe(goal)
      note(accepted.isPaused(), accepted.readableFlowing, accepted.listenerCount('data'))
      accepted.resume()
      client.end()
    }),
  'streams: from a list': async (note) => note(await text(Readable.from(['a', 'b']).pipe(new PassThrough()))),
  'context: kept through a connection': (note) => {
    const store = new AsyncLocalStorage<string>()
    return serving(http.createServer(hello), async (port) => {
      const seen = store.run('mine', () => ask({ port }).then(() => store.getStore()))
      note(await seen, store.getStore())
    })
  },
  'context: resources that are made': async (note) => {
    const kinds: string[] = []
    const from = new AsyncResource('Scene').asyncId()
    /** The timer of a sweep comes from none of these connections. */
    const foreign = new Set<number>()
    const hook = createHook({
      init(id, kind, trigger) {
        const isForeign = trigger < from || foreign.has(trigger)
        if (isForeign && /Timeout|Immediate/.test(kind)) foreign.add(id)
        else kinds.push(kind)
      },
    }).enable()
    await pair((client, accepted) => {
      accepted.resume()
      client.end('x')
    })
    hook.disable()
    note([...new Set(kinds)].sort(), kinds.filter((kind) => /Timeout|Immediate|Guard/.test(kind)).length)
  },
  'fetch: get, abort': (note) =>
    serving(
      http.createServer((request, response) => {
        response.write('hello')
        if (request.url === '/all') response.end()
      }),
      async (port, server) => {
        const url = `http://${HOST}:${port}`
        note(await (await fetch(`${url}/all`)).text())
        const control = new AbortController()
        const response = await fetch(url, { signal: control.signal })
        control.abort()
        await response.text().catch((error: Error) => note(error.name))
        server.closeAllConnections()
      },
    ),
  'fetch: a body that streams, a refused one': (note) =>
    serving(
      http.createServer(async (request, response) => response.end(await text(request))),
      async (port, server) => {
        const init = { method: 'POST', body: new Blob(['streamed']).stream(), duplex: 'half' } as RequestInit
        note(await (await fetch(`http://${HOST}:${port}`, init)).text())
        await fetch(`http://${HOST}:1`).catch((error: Error) => note(error.name))
        server.closeAllConnections()
      },
    ),
  'axios: get': (note) =>
    serving(http.createServer(hello), async (port) => {
      const { default: axios } = await import('axios')
      note((await axios.get<string>(`http://${HOST}:${port}/x`)).data)
      http.globalAgent.destroy()
    }),
  'ws: echo': (note) =>
    serving(http.createServer(hello), async (port, server) => {
      const { WebSocket, WebSocketServer } = await import('ws')
      const sockets = new WebSocketServer({ server })
      sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(data)))
      const client = new WebSocket(`ws://${HOST}:${port}`)
      await once(client, 'open')
      client.send('hello')
      note(...(await once(client, 'message')).map(String))
      client.close(1000, 'done')
      note(...(await once(client, 'close')).map(String))
      sockets.close()
    }),
  'ws: terminated': (note) =>
    serving(http.createServer(hello), async (port, server) => {
      const { WebSocket, WebSocketServer } = await import('ws')
      const sockets = new WebSocketServer({ server })
      const client = new WebSocket(`ws://${HOST}:${port}`)
      const [[socket]] = (await Promise.all([once(sockets, 'connection'), once(client, 'open')])) as [
        [import('ws').WebSocket],
        unknown,
      ]
      socket.on('close', (code) => note('server', code))
      client.terminate()
      await Promise.all([once(client, 'close'), once(socket, 'close')])
      sockets.close()
    }),
  'ws: refused by the server': (note) =>
    serving(http.createServer(hello), async (port, server) => {
      const { WebSocket, WebSocketServer } = await import('ws')
      const sockets = new WebSocketServer({ server, verifyClient: () => false })
      const client = new WebSocket(`ws://${HOST}:${port}`)
      note(...(await once(client, 'error')))
      sockets.close()
    }),
  'express: routes and an error': async (note) => {
    const { default: express } = await import('express')
    const app = express()
    app.get('/x', (_request, response) => void response.send('hello'))
    app.post('/x', express.text({ type: '*/*' }), (request, response) => void response.send(request.body))
    app.use((_request: Request, response: ExpressResponse) => void response.sendStatus(404))
    await serving(http.createServer(app), async (port) => {
      note(await answers(port), await ask({ port, path: '/x', method: 'POST' }, 'text'))
      note(await ask({ port, path: '/none' }))
    })
  },
  'fastify: a route': async (note) => {
    const { default: fastify } = await import('fastify')
    const app = fastify()
    app.get('/x', () => 'hello')
    await app.listen({ port: 0, host: HOST })
    note(await answers((app.server.address() as net.AddressInfo).port))
    await app.close()
  },
  'koa: a route': async (note) => {
    const { default: Koa } = await import('koa')
    const app = new Koa()
    app.use((ctx) => void (ctx.body = `hello ${ctx.path}`))
    await serving(http.createServer(app.callback()), async (port) => note(await answers(port)))
  },
  'socket.io: a message': (note) =>
    serving(http.createServer(hello), async (port, server) => {
      const [{ Server: SocketIO }, { io }] = await Promise.all([
        import('socket.io'),
        import('socket.io-client'),
      ])
      const sockets = new SocketIO(server)
      sockets.on('connection', (socket) => socket.on('ask', (reply: (word: string) => void) => reply('yes')))
      const client = io(`http://${HOST}:${port}`, { transports: ['websocket'], reconnection: false })
      note(await client.emitWithAck('ask'))
      client.close()
      await sockets.close()
    }),
}

/** What the scenes above start in processes of their own. */
export const CHILDREN: Readonly<Record<string, Scene>> = {
  'in a child: answers': () =>
    process.once('message', (message) =>
      process.send?.(message as Serializable, undefined, undefined, () => process.disconnect()),
    ),
  'in a child: takes a connection': (note) =>
    process.once('message', (_message, socket) => {
      note((socket as net.Socket).readyState)
      ;(socket as net.Socket).end('from a child')
      process.disconnect()
    }),
  'in a child: takes a server': () =>
    process.once('message', (_message, handle) => {
      const server = handle as net.Server
      server.once('connection', (socket) => {
        socket.end('from a child')
        server.close()
      })
      process.send?.('taken', undefined, undefined, () => process.disconnect())
    }),
  'in a child: serves': () => {
    http.createServer(hello).listen(0, HOST)
  },
}

async function refuse(): Promise<void> {
  throw new Error('refused')
}

/** Each ends its process. */
export const ENDINGS: Readonly<Record<string, Scene>> = {
  'ends: with nothing left to do': () => undefined,
  'ends: throws': () => setImmediate(refuseAtOnce),
  'ends: rejects': () => void refuse(),
  'ends: exits': () => process.exit(7),
  'ends: has an exit code': () => void (process.exitCode = 5),
  'ends: by a signal': () => {
    process.kill(process.pid, 'SIGTERM')
    setTimeout(() => {}, 1e6)
  },
  'ends: throws when data comes': () =>
    pair((client, accepted) => {
      client.on('data', refuseAtOnce)
      accepted.end('hello')
    }),
  'ends: throws at the end': () =>
    pair((client, accepted) => {
      client.resume().on('end', refuseAtOnce)
      accepted.end('hello')
    }),
  'ends: throws in close': () =>
    pair((client) => {
      client.on('close', refuseAtOnce).destroy()
    }),
  'ends: throws in a connection handler': () => {
    serving(net.createServer(refuseAtOnce), (port) => once(net.connect(port, HOST), 'close'))
  },
  'ends: throws in a request handler': () =>
    serving(http.createServer(refuseAtOnce), (port) => ask({ port })),
  'ends: throws in an upgrade handler': () =>
    serving(http.createServer().on('upgrade', refuseAtOnce), (port) =>
      ask({ port, headers: { connection: 'upgrade', upgrade: 'x' } }),
    ),
  'ends: rejects in a request handler': () => serving(http.createServer(refuse), (port) => ask({ port })),
  'ends: an error that nobody hears': () =>
    pair((client) => {
      client.destroy(new Error('unheard'))
    }),
  'ends: a reset that nobody hears': () =>
    pair((client, accepted) => {
      client.resume()
      accepted.resetAndDestroy()
    }),
  'ends: refused, and nobody hears': () => void net.connect(1, HOST),
  'ends: a request that nobody hears': () => void http.get({ host: HOST, port: 1, agent: false }),
  'ends: written after the end, and nobody hears': () =>
    pair((client) => {
      client.end()
      client.write('late')
    }),
  'ends: an error that is caught': (note) => {
    process.on('uncaughtException', (error, origin) => {
      note(error, origin)
      process.exit(9)
    })
    return pair((client) => {
      client.destroy(new Error('caught'))
    })
  },
  'ends: an idle server that is not waited for': async () => {
    const server = net.createServer()
    await listen(server)
    server.unref()
  },
  'ends: exits while connections are open': async () => {
    const server = http.createServer(() => process.exit(3))
    http.get({ host: HOST, port: await listen(server) }).on('error', () => {})
  },
}

function refuseAtOnce(): never {
  throw new Error('refused')
}
