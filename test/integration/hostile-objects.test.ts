/** Objects of the application's that throw when they are read cost the field that was read, and nothing else. */
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import t, { type Test } from 'tap'
import { FOREIGN_FIELDS } from '../../src/core/foreign.js'
import { install, type Guard, type SocketReport } from '../../src/index.js'
import { closeAfter } from '../support/close-after.js'
import { listen } from '../support/events.js'
import { keysOf, watchReads } from '../support/foreign-reads.js'
import { PACKAGE_ROOT } from '../support/package-root.js'
import { until } from '../support/until.js'

function refuse(object: object, ...keys: readonly string[]): void {
  for (const key of keys) {
    Object.defineProperty(object, key, {
      configurable: true,
      get() {
        throw new Error(`not ${key}`)
      },
    })
  }
}

/** Three requests that are never answered, of which the second is spoilt, and whose clients then end. */
async function serve(t: Test, spoil: (request: http.IncomingMessage, response: http.ServerResponse) => void) {
  const guard = install({ graceMs: 100, sweepMs: 10, kernel: 'off', action: 'destroy' })
  t.teardown(() => guard.uninstall())
  const served = new Map<string, net.Socket>()
  const server = closeAfter(
    t,
    http.createServer((request, response) => {
      const { socket, url } = request
      served.set(url!, socket)
      if (url === '/spoilt') spoil(request, response)
    }),
  )
  Object.assign(server, { httpAllowHalfOpen: true })
  const port = await listen(server)
  const clients: net.Socket[] = []
  for (const path of ['/first', '/spoilt', '/last']) {
    const client = net
      .connect({ port, host: '127.0.0.1', allowHalfOpen: true })
      .on('error', () => {})
      .resume()
    t.teardown(() => client.destroy())
    client.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    await until(() => served.has(path), `${path} is served`)
    clients.push(client)
  }
  return { guard, served, clients }
}

function inboundOf({ guard }: { readonly guard: Guard }): SocketReport[] {
  return guard.snapshot({ all: true }).sockets.filter(({ direction }) => direction === 'inbound')
}

t.test('what can not be read is called so', async (t) => {
  const scene = await serve(t, (request) => refuse(request, 'originalUrl'))
  const paths = inboundOf(scene).map(({ owner }) => owner.request?.path)
  t.same(paths.sort(), ['/first', '/last', 'unreadable'])
})

t.test('a socket', async (t) => {
  const { guard, served, clients } = await serve(t, ({ socket }) => refuse(socket, 'readableLength'))
  t.equal(inboundOf({ guard }).length, 3)
  for (const client of clients) client.end()
  for (const path of ['/first', '/last']) {
    const socket = served.get(path)!
    if (!socket.destroyed) await once(socket, 'close')
  }
  t.pass('the others are looked after')
})

t.test('what an adapter has told', async (t) => {
  const { guard, served } = await serve(t, () => {})
  const webSocket = new Proxy({} as { isPaused: boolean; readyState: number; close(): void }, {
    get() {
      throw new Error('no')
    },
  })
  guard.adapter.attribute(served.get('/spoilt')!, {
    kind: 'websocket',
    webSocket,
    request: webSocket as object,
  })
  const told = inboundOf({ guard }).find(({ kind }) => kind === 'websocket')
  t.match(told?.owner, {
    context: { webSocket: 'unreadable' },
    request: { method: 'unreadable', path: 'unreadable' },
  })
})

/** What a handler has in its hands, by the kinds of the list. */
function objectsIn(
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Partial<Record<Kind, object[]>> {
  const { socket } = request
  return { ...objectsOf(socket), request: [request], response: [response] }
}

function objectsOf(socket: net.Socket): Partial<Record<Kind, object[]>> {
  const { _handle, _readableState, _writableState } = socket as unknown as Record<string, object>
  return { socket: [socket], handle: [_handle!], streamState: [_readableState!, _writableState!] }
}

/** Without these nobody can tell that the peer has ended. */
const UNKNOWABLE = ['/socket/_readableState', '/streamState/ended']

/** Methods by which the guard acts. */
const CALLED: ReadonlySet<string> = new Set(['destroy', 'end', 'resume', 'destroySoon', 'emit', 'on'])

type Kind = keyof typeof FOREIGN_FIELDS
const SPOILT = ['socket', 'handle', 'streamState', 'request', 'response', 'clientRequest', 'answer'] as const

t.test('each property that the guard reads may throw', async (t) => {
  const unlisted = new Set<string>()
  const warnings: string[] = []
  const onWarning = ({ message }: Error) => warnings.push(message)
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))
  const reclaimed = new Set<number>()
  const guard = install({
    graceMs: 300,
    sweepMs: 20,
    stacks: 'always',
    context: 'async-local-storage',
    propagateAbort: 'context',
    action: () => 'destroy',
  })
  t.teardown(() => guard.uninstall())
  guard.subscribe(({ type, socket }) => {
    if (type === 'reclaimed') reclaimed.add(socket.id)
  })

  function spoil(objects: Partial<Record<Kind, object[]>>, path: string): void {
    const [, spoiltKind, spoiltKey] = path.split('/')
    for (const [kind, each] of Object.entries(objects) as [Kind, object[]][]) {
      const listed: readonly string[] = FOREIGN_FIELDS[kind]
      for (const object of each) {
        if (kind === spoiltKind) {
          watchReads(object, [spoiltKey!], (key) => {
            throw new Error(`not ${key}`)
          })
        } else if (spoiltKey === undefined) {
          watchReads(object, new Set([...keysOf(object), ...listed]), (key) => {
            if (!listed.includes(key) && !CALLED.has(key)) unlisted.add(`${kind}.${key}`)
          })
        }
      }
    }
  }

  const upstream = closeAfter(
    t,
    http.createServer((_, response) => response.write('partly')),
  )
  const upstreamPort = await listen(upstream)
  const ids = new Map<string, number>()
  const sockets = new Map<string, net.Socket>()
  function serve(request: http.IncomingMessage, response: http.ServerResponse): void {
    const path = request.url!
    const { socket } = request
    ids.set(path, guard.adapter.describe(socket)!.id)
    sockets.set(path, socket)
    spoil(objectsIn(request, response), path)
    const asked = http.get({ port: upstreamPort, host: '127.0.0.1', agent: false }, (answer) => {
      spoil({ answer: [answer] }, path)
      answer.on('error', () => {}).pipe(response)
    })
    asked.on('error', () => {})
    spoil({ clientRequest: [asked] }, path)
    asked.on('socket', (outgoing) => outgoing.once('connect', () => spoil(objectsOf(outgoing), path)))
  }
  const server = closeAfter(t, http.createServer(serve))
  Object.assign(server, { httpAllowHalfOpen: true })
  const port = await listen(server)

  const paths = SPOILT.flatMap((kind) => FOREIGN_FIELDS[kind].map((key) => `/${kind}/${key}`))
  const clients: net.Socket[] = []
  for (const path of ['/first', ...paths, '/last']) {
    const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    t.teardown(() => client.destroy())
    client
      .on('error', () => {})
      .resume()
      .write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
    clients.push(client)
    await until(() => sockets.has(path), `${path} is served`)
  }
  await until(
    () => guard.sweep({ all: true, limit: 1000 }).sockets.length >= 2 * clients.length,
    'all are reported',
  )
  const report = guard.report({ all: true, limit: 1000 })
  const schema = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'report.schema.json'), 'utf8')) as object
  const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(schema)
  t.ok(validate(report), JSON.stringify(validate.errors))
  t.same(
    [...ids].filter(([, id]) => !report.sockets.some((one) => one.id === id)).map(([path]) => path),
    [],
    'every one is reported',
  )
  for (const client of clients) client.end()
  const left = () => [...ids].filter(([, id]) => !reclaimed.has(id)).map(([path]) => path)
  await until(() => left().length === UNKNOWABLE.length, 'all are reclaimed', 10_000).catch(() => {})
  t.same(left(), UNKNOWABLE, 'every one is reclaimed that is known to have heard the end')
  t.same([...unlisted].sort(), [], 'and no property is read that the list does not have')
  t.same(new Set(warnings).size, 1, 'it is told once')
})
