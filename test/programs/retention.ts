/**
 * What is still in memory when the application has let go of it? Plays each scene, lets go, collects garbage, and prints the
 * names of what is left. Without options of a guard on the command line it is played without one.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import tls from 'node:tls'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { install, type Guard, type InstallOptions } from '../../src/index.js'
import { CERTIFICATE } from '../support/certificate.js'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

// Node opens them when they are first used, and a pipe keeps the store in which it was opened.
void [process.stdin, process.stdout, process.stderr]

const [given] = process.argv.slice(2)
const guard: Guard | null =
  given === undefined
    ? null
    : install({ ...(JSON.parse(given) as InstallOptions), log: () => {}, graceMs: 100, sweepMs: 10 })
const told: string[] = []
guard?.subscribe(({ type, socket }) => told.push(`${type} ${socket.condition}`))

type Refs = Record<string, WeakRef<object>>
const ref = (object: object): WeakRef<object> => new WeakRef(object)

/** What must stay until the end of a scene: a connection that goes on, say. */
type Scene = (keep: (object: object) => void) => Promise<Refs>

async function listen<S extends net.Server>(server: S): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as net.AddressInfo).port
}

async function closed(...sockets: net.Socket[]): Promise<void> {
  await Promise.all(sockets.map(async (socket) => socket.closed || once(socket, 'close')))
}

async function ask(port: number): Promise<void> {
  const request = http.get({ port, host: '127.0.0.1', path: '/plain', agent: false })
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  await once(response.resume(), 'close')
}

/** Long enough for a leak to be called one. */
async function graceIsOver(): Promise<void> {
  if (guard === null) return
  for (let i = 0; i < 40; i += 1) {
    await sleep(10)
    guard.sweep()
  }
}

const SCENES: Record<string, Scene> = {
  async 'a plain connection'() {
    const server = net.createServer((socket) => socket.on('error', () => {}).resume())
    const client = net.connect(await listen(server), '127.0.0.1').resume()
    const [accepted] = (await once(server, 'connection')) as [net.Socket]
    client.end('hello')
    await closed(client, accepted)
    server.close()
    return { client: ref(client), accepted: ref(accepted), server: ref(server) }
  },

  async 'a relay whose ties were looked at, beside one that goes on'(keep) {
    const far = net.createServer((socket) => socket.on('error', () => {}).pipe(socket))
    const farPort = await listen(far)
    const relayed: net.Socket[] = []
    const relay = net.createServer((accepted) => {
      const upstream = net.connect(farPort, '127.0.0.1').on('error', () => {})
      accepted
        .on('error', () => {})
        .pipe(upstream)
        .pipe(accepted)
      relayed.push(accepted, upstream)
    })
    const relayPort = await listen(relay)
    const clients: net.Socket[] = []
    for (const name of ['stays', 'goes']) {
      const client = net.connect(relayPort, '127.0.0.1')
      client.write(name)
      await once(client, 'data')
      clients.push(client)
    }
    guard?.report({ all: true })
    const [stays, goes] = clients
    const [, , accepted, upstream] = relayed.splice(0)
    goes!.end()
    await closed(goes!, accepted!, upstream!)
    keep(stays!)
    keep(far.close())
    keep(relay.close())
    return { goes: ref(goes!), accepted: ref(accepted!), upstream: ref(upstream!) }
  },

  async 'a TLS connection'() {
    const server = tls.createServer(CERTIFICATE, (socket) => socket.on('error', () => {}).resume())
    const options = { host: '127.0.0.1', rejectUnauthorized: false }
    const client = tls.connect({ port: await listen(server), ...options }).resume()
    const [accepted] = (await once(server, 'secureConnection')) as [net.Socket]
    client.end('hello')
    await closed(client, accepted)
    server.close()
    return { client: ref(client), accepted: ref(accepted), server: ref(server) }
  },

  async 'a connection that leaked and was named'() {
    const server = net.createServer({ allowHalfOpen: true }, (socket) =>
      socket.on('error', () => {}).resume(),
    )
    const client = net
      .connect({ port: await listen(server), host: '127.0.0.1', allowHalfOpen: true })
      .resume()
    const [accepted] = (await once(server, 'connection')) as [net.Socket]
    guard?.adapter.configureServer(server, { label: 'forgetful' })
    guard?.label(accepted, 'one of them')
    guard?.configure(accepted, { graceMs: 50 })
    client.end('hello')
    await once(accepted, 'end')
    await graceIsOver()
    guard?.exempt(accepted)
    accepted.end()
    await closed(client, accepted)
    server.close()
    return { client: ref(client), accepted: ref(accepted), server: ref(server) }
  },

  async 'a connection that failed'() {
    const server = net.createServer((socket) => socket.on('error', () => {}).resume())
    const client = net.connect(await listen(server), '127.0.0.1').on('error', () => {})
    const [accepted] = (await once(server, 'connection')) as [net.Socket]
    const error = new Error('it failed')
    client.destroy(error)
    await closed(client, accepted)
    server.close()
    return { client: ref(client), error: ref(error) }
  },

  async 'a socket that never connects'() {
    const socket = new net.Socket()
    guard?.label(socket, 'later')
    guard?.exempt(socket)
    return { socket: ref(socket) }
  },

  async 'requests over a connection that goes on'(keep) {
    const refs: Refs = {}
    const server = http.createServer((request, response) => {
      refs['request'] ??= ref(request)
      refs['answer'] ??= ref(response)
      request.resume().on('end', () => response.end('ok'))
    })
    const agent = new http.Agent({ keepAlive: true })
    const port = await listen(server)
    for (let i = 0; i < 2; i += 1) {
      const request = http.request({ port, host: '127.0.0.1', agent, method: 'POST', path: `/${i}` })
      request.end('question')
      const [response] = (await once(request, 'response')) as [http.IncomingMessage]
      refs[`outgoing ${i}`] = ref(request)
      refs[`response ${i}`] = ref(response)
      await once(response.resume(), 'close')
    }
    delete refs['outgoing 1']
    delete refs['response 1']
    keep(server)
    keep(agent)
    return refs
  },

  async 'the request of an upgraded connection'(keep) {
    const refs: Refs = {}
    const server = http.createServer().on('upgrade', (request: http.IncomingMessage, socket: net.Socket) => {
      refs['request'] = ref(request)
      keep(socket.on('error', () => {}).resume())
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n')
    })
    const client = net.connect(await listen(server), '127.0.0.1')
    client.write('GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n')
    await once(client, 'data')
    guard?.sweep({ all: true })
    keep(client)
    keep(server)
    return refs
  },

  async 'a request that asks an upstream, in a store'() {
    const store = new AsyncLocalStorage<object>()
    const refs: Refs = {}
    const upstream = http.createServer((_, response) => response.end('ok'))
    const upstreamPort = await listen(upstream)
    const server = http.createServer((request, response) => {
      if (request.url === '/plain') return response.end()
      const context = { requestId: 'r1' }
      refs['store'] ??= ref(context)
      refs['request'] ??= ref(request)
      store.run(context, () => {
        http.get({ port: upstreamPort, host: '127.0.0.1', agent: false }, (answer) => answer.pipe(response))
      })
    })
    const request = http.get({ port: await listen(server), host: '127.0.0.1', agent: false })
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    await once(response.resume(), 'close')
    guard?.sweep({ all: true })
    // Node keeps parsers for later, each with the store in which it was used last.
    const port = (server.address() as net.AddressInfo).port
    await Promise.all(Array.from({ length: 20 }, () => ask(port)))
    server.close()
    upstream.close()
    await Promise.all([once(server, 'close'), once(upstream, 'close')])
    return { ...refs, outgoing: ref(request), response: ref(response), server: ref(server) }
  },

  async 'whoever opened a connection that goes on'(keep) {
    class Client {
      readonly #port: number
      constructor(port: number) {
        this.#port = port
      }
      open(): net.Socket {
        return net.connect(this.#port, '127.0.0.1')
      }
    }
    const server = net.createServer((socket) => socket.on('error', () => {}).resume())
    const client = new Client(await listen(server))
    const socket = client.open()
    await once(socket, 'connect')
    guard?.sweep({ all: true })
    keep(socket)
    keep(server)
    return { client: ref(client) }
  },

  async 'a server whose settings were taken back'() {
    const server = http.createServer()
    const release = guard?.adapter.configureServer(server, { label: 'short' }, () => 'GET /')
    await listen(server)
    release?.()
    server.close()
    return { server: ref(server) }
  },
}

async function remains(refs: Refs): Promise<string[]> {
  for (let tries = 0; ; tries += 1) {
    await sleep(10)
    collectGarbage()
    const left = Object.keys(refs).filter((name) => refs[name]!.deref() !== undefined)
    if (left.length === 0 || tries === 100) return left
  }
}

const left: Record<string, string[]> = {}
for (const [name, scene] of Object.entries(SCENES)) {
  const kept: object[] = []
  const found = await remains(await scene((object) => void kept.push(object)))
  if (found.length > 0) left[name] = found
  for (const object of kept) {
    if (object instanceof net.Socket || object instanceof http.Agent) object.destroy()
    else (object as net.Server).close()
  }
}
console.log(JSON.stringify({ left, told: [...new Set(told)] }))
process.exit()
