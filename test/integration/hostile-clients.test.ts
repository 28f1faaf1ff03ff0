/** Whatever else of the application's throws when it is read: it costs what was read, and nothing else. */
import { once, type EventEmitter } from 'node:events'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { Ajv2020 } from 'ajv/dist/2020.js'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { guardServer } from '../../adapters/ws/index.js'
import { FOREIGN_FIELDS } from '../../src/core/foreign.js'
import { install } from '../../src/index.js'
import { listen } from '../support/events.js'
import { keysOf, watchReads } from '../support/foreign-reads.js'
import { PACKAGE_ROOT } from '../support/package-root.js'
import { until } from '../support/until.js'

type Kind = 'agent' | 'session' | 'stream' | 'undici' | 'webSocket'

/** Makes connections that stay open. @returns the objects of that kind behind them */
const SCENES: Readonly<Record<Kind, (ports: Ports, path: string) => Promise<readonly object[]>>> = {
  async agent({ http: port }, path) {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    for (const turn of ['running', 'queued']) {
      const request = http.get({ port, host: '127.0.0.1', path: `${path}/${turn}`, agent })
      request.on('error', () => {})
      if (turn === 'running') await once(request, 'socket')
    }
    return [agent]
  },
  async session(ports, path) {
    const { session, stream } = await askByHttp2(ports, path)
    return [session, stream.session!]
  },
  async stream(ports, path) {
    const { asked, stream, headers } = await askByHttp2(ports, path)
    return [asked, asked.sentHeaders, stream, headers]
  },
  async undici({ http: port }, path) {
    const dispatcher = newAgent(2)
    const url = `http://127.0.0.1:${port}${path}`
    for (const turn of ['running', 'running too', 'queued'])
      void fetch(`${url}/${turn}`, { dispatcher } as object).catch(() => {})
    await REQUESTS.next(`${path}/running`)
    const [held] = under<Map<string, { dispatcher?: object }>>(dispatcher, 'clients').values()
    const pool = held!.dispatcher ?? held!
    const [client] = under<object[]>(pool, 'clients')
    const queue = under<{ tail: { list: unknown[] } }>(pool, 'queue')
    const [request] = under<object[]>(client!, 'queue')
    const parser = bySymbol(under<object>(client!, 'socket') ?? {}, 'parser') ?? {}
    const stats = (pool as { stats: object }).stats
    const more = [under<object>(pool, 'url'), under<object>(request!, 'handler'), parser as object]
    return [held!, pool, client!, queue, queue.tail, request!, stats, ...more].filter(Boolean)
  },
  async webSocket({ webSocket: port }, path) {
    const client = new WebSocket(`ws://127.0.0.1:${port}${path}`).on('error', () => {})
    await once(client, 'open')
    return [await WEB_SOCKETS.next(path)]
  },
}

/** Methods by which the guard acts, or listens for the end of an object. */
const CALLED: ReadonlySet<string> = new Set(['close', 'destroy', 'emit', 'on'])

interface Ports {
  readonly http: number
  readonly http2: number
  readonly webSocket: number
}

/** What a server has been given, by its path. */
class Arrivals<T> {
  readonly #all = new Map<string, T>()

  add(path: string, arrived: T): void {
    this.#all.set(path, arrived)
  }

  async next(path: string): Promise<T> {
    await until(() => this.#all.has(path), `${path} has come`)
    return this.#all.get(path)!
  }
}

const REQUESTS = new Arrivals<http.IncomingMessage>()
const STREAMS = new Arrivals<readonly [http2.ServerHttp2Stream, object]>()
const WEB_SOCKETS = new Arrivals<WebSocket>()

async function askByHttp2({ http2: port }: Ports, path: string) {
  const session = http2.connect(`http://127.0.0.1:${port}`).on('error', () => {})
  const asked = session.request({ ':path': path, ':method': 'POST' }).on('error', () => {})
  asked.write('partly')
  const [stream, headers] = await STREAMS.next(path)
  return { session, asked, stream, headers }
}

/** Node makes its global one when `fetch()` is first used. */
function newAgent(connections: number): EventEmitter {
  const all = globalThis as unknown as Record<symbol, object>
  const [agent] = [2, 1]
    .map((version) => all[Symbol.for(`undici.globalDispatcher.${version}`)])
    .filter(Boolean)
  return new (agent!.constructor as new (options: object) => EventEmitter)({ connections })
}

function bySymbol(object: object, description: string): unknown {
  const symbol = Object.getOwnPropertySymbols(object).find((one) => one.description === description)
  return symbol === undefined ? undefined : (object as Record<symbol, unknown>)[symbol]
}

function under<T>(object: object, description: string): T {
  return bySymbol(object, description) as T
}

t.test('clients, streams and WebSockets that throw', async (t) => {
  const warnings: string[] = []
  const onWarning = ({ message }: Error) => warnings.push(message)
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))
  const guard = install({
    graceMs: 400,
    sweepMs: 20,
    stacks: 'always',
    context: 'async-local-storage',
    propagateAbort: 'context',
    log: () => {},
  })
  t.teardown(() => guard.uninstall())
  const servers = {
    http: http.createServer((request) => REQUESTS.add(request.url!, request)),
    http2: http2.createServer().on('stream', (stream, headers) => {
      stream.on('error', () => {})
      STREAMS.add(headers[':path']!, [stream, headers])
    }),
    webSocket: http.createServer(),
  }
  const sockets = new Set<net.Socket>()
  for (const server of Object.values(servers)) {
    server.on('connection', (socket: net.Socket) => sockets.add(socket))
    t.teardown(() => server.close())
  }
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
  })
  const webSockets = new WebSocketServer({ server: servers.webSocket })
  const guarded = guardServer(webSockets)
  t.teardown(() => guarded.release())
  webSockets.on('connection', (webSocket, request) => {
    webSocket.on('error', () => {})
    WEB_SOCKETS.add(request.url!, webSocket)
  })
  const ports: Ports = {
    http: await listen(servers.http),
    http2: await listen(servers.http2),
    webSocket: await listen(servers.webSocket),
  }
  servers.http.once('request', (_request, response) => response.end())
  await (await fetch(`http://127.0.0.1:${ports.http}/`)).text()

  const unlisted = new Set<string>()
  const kinds = Object.keys(SCENES) as Kind[]
  const scenes = kinds.flatMap((kind) => ['', ...FOREIGN_FIELDS[kind]].map((key) => ({ kind, key })))
  for (const { kind, key } of scenes) {
    for (const object of await SCENES[kind](ports, `/${kind}/${key}`)) {
      if (key !== '') {
        watchReads(object, [key], () => {
          throw new Error(`not ${key}`)
        })
        continue
      }
      const listed: readonly string[] = FOREIGN_FIELDS[kind]
      watchReads(object, keysOf(object), (read) => {
        if (!listed.includes(read) && !CALLED.has(read)) unlisted.add(`${kind}.${read}`)
      })
    }
  }
  await until(() => guard.sweep().census.inbound.unanswered > 0, 'requests wait for an answer')
  const report = guard.report({ all: true, limit: 1000 })
  const schema = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'report.schema.json'), 'utf8')) as object
  const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(schema)
  t.ok(validate(report), JSON.stringify(validate.errors))
  const inbound = report.sockets.filter(({ direction }) => direction === 'inbound')
  t.equal(inbound.length, sockets.size, 'every one is reported')
  const nameless = inbound.filter(({ owner }) => owner.request === null)
  t.equal(nameless.length, 1, 'and named, but that of the request which is answered')
  for (const { id } of report.sockets) guard.reclaim(id, 'destroy')
  await until(() => guard.snapshot({ all: true }).sockets.length === 0, 'each is closed')
  t.same([...unlisted].sort(), [], 'no property is read that the list does not have')
  t.same(warnings, [])
})

/** Objects around a connection that its server forgets, which are read when it is told, or when it closes. */
const AROUND = ['connectOptions', 'server', 'pipeTarget', 'listener', 'error'] as const

t.test('connections between objects that throw', async (t) => {
  const guard = install({ graceMs: 100, sweepMs: 10, code: 'once', stacks: 'always', action: 'report' })
  t.teardown(() => guard.uninstall())
  const told: string[] = []
  guard.subscribe(({ type, socket }) => {
    if (socket.direction === 'inbound') told.push(`${type} ${socket.owner.label}`)
  })
  const unlisted = new Set<string>()

  async function play(kind: (typeof AROUND)[number], key: string): Promise<void> {
    const listed: readonly string[] = FOREIGN_FIELDS[kind]
    function spoil<T extends object>(own: (typeof AROUND)[number], object: T): T {
      if (own !== kind) return object
      watchReads(object, key === '' ? [...keysOf(object), ...listed] : [key], (read) => {
        if (key !== '') throw new Error(`not ${key}`)
        if (!listed.includes(read) && !CALLED.has(read)) unlisted.add(`${kind}.${read}`)
      })
      return object
    }
    const label = `${kind}.${key}`
    const server = spoil('server', net.createServer({ allowHalfOpen: true }))
    t.teardown(() => server.close())
    const target = new Writable({ write: (_chunk, _encoding, done) => done() })
    const onData = (): void => {}
    const arrived = once(server, 'connection') as Promise<[net.Socket]>
    const port = await listen(server)
    const client = net.connect(spoil('connectOptions', { port, host: '127.0.0.1' }))
    const [socket] = await arrived
    guard.label(socket, label)
    socket.on('error', () => {})
    socket.on('data', spoil('listener', onData))
    socket.pipe(spoil('pipeTarget', target), { end: false })
    client.end('bye')
    await until(() => told.includes(`leaked ${label}`), `${label} is told as leaked`)
    const [{ id } = { id: 0 }] = guard.report().sockets.filter(({ owner }) => owner.label === label)
    t.ok(id > 0, `${label} is reported`)
    t.ok(await guard.locate(id), `${label} is located`)
    socket.destroy(spoil('error', Object.assign(new Error('enough'), { code: 'ECONNRESET' })))
    await until(
      () => told.some((line) => /^(?:recovered|dead) /.test(line) && line.endsWith(label)),
      'it is over',
    )
  }

  const scenes = AROUND.flatMap((kind) => ['', ...FOREIGN_FIELDS[kind]].map((key) => play(kind, key)))
  await Promise.all(scenes)
  t.same([...unlisted].sort(), [], 'no property is read that the list does not have')
})
