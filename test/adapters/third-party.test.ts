/** An adapter of somebody else's: in a project of its own, against `socket-leak-guard/adapter` as it is published. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { compile, makeConsumer } from '../support/consumer.js'
import { runNode } from '../support/run-node.js'

t.setTimeout(120_000)

/** What is adapted: calls as lines of JSON, `{ "call": "subscribe", "topic": "news" }`, and a pattern for each. */
const FRAMEWORK = `
import { EventEmitter } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { createInterface } from 'node:readline'

export interface Call {
  readonly call: string
  readonly topic?: string
}

export class LineServer extends EventEmitter<{ call: [call: Call, pattern: string, socket: Socket] }> {
  readonly tcp: Server
  constructor(answer: (call: Call, socket: Socket) => void) {
    super()
    this.tcp = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => {})
      createInterface(socket).on('line', (line) => {
        const call = JSON.parse(line) as Call
        this.emit('call', call, call.topic === undefined ? call.call : call.call + '/:topic', socket)
        answer(call, socket)
      })
    })
  }
}
`

const ADAPTER = `
import type { Socket } from 'node:net'
import {
  checkServerOptions,
  drainServer,
  install,
  installedGuard,
  wrongServer,
  type GuardedServer,
  type ServerOptions,
} from 'socket-leak-guard/adapter'
import { LineServer, type Call } from './framework.js'

export function guardServer(server: LineServer, options: ServerOptions = {}): GuardedServer {
  if (!(server instanceof LineServer)) throw wrongServer('a LineServer', server)
  checkServerOptions(options)
  const guard = installedGuard() ?? install()
  const undo = guard.adapter.configureServer(server.tcp, options)

  function nameCall({ call, topic }: Call, pattern: string, socket: Socket): void {
    if (installedGuard() !== guard) return
    const request = { method: 'CALL', url: topic === undefined ? call : \`\${call}/\${topic}\` }
    guard.adapter.nameRoute(request, pattern)
    guard.adapter.attribute(socket, { request })
  }

  server.on('call', nameCall)
  return {
    drain: (drainOptions) => drainServer(guard, server.tcp, drainOptions),
    release() {
      server.off('call', nameCall)
      undo()
    },
  }
}

// @ts-expect-error: no such option
void (() => guardServer(new LineServer(() => {}), { grace: 5 }))
// @ts-expect-error: not this server
void (() => guardServer(new LineServer(() => {}).tcp))
`

const APPLICATION = `
import { once } from 'node:events'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { install, type GuardEvent, type Owner } from 'socket-leak-guard'
import { guardServer } from './adapter.js'
import { LineServer } from './framework.js'

const guard = install({ sweepMs: 20 })
const accepted: Socket[] = []
const server = new LineServer((_call, socket) => accepted.push(socket))
const guarded = guardServer(server, { label: 'feed', graceMs: 50 })
await once(server.tcp.listen(0, '127.0.0.1'), 'listening')
const leaked = new Promise<GuardEvent>((resolve) => {
  guard.subscribe((event) => void (event.type === 'leaked' && resolve(event)))
})

async function call(line: object): Promise<{ client: Socket; socket: Socket }> {
  const { port } = server.tcp.address() as AddressInfo
  const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {}).resume()
  client.write(JSON.stringify(line) + '\\n')
  await once(server, 'call')
  return { client, socket: accepted.at(-1)! }
}

function told({ site, label, request }: Owner): unknown {
  return { site, label, path: request?.path }
}

const { client, socket } = await call({ call: 'subscribe', topic: 'news' })
client.end()
const { socket: report } = await leaked
const refused = [{ grace: 5 }, 5].map((options) => {
  try {
    guardServer(server, options as object)
    return null
  } catch (error) {
    return (error as { code: string }).code
  }
})
guarded.release()
const other = await call({ call: 'status' })
const released = guard.adapter.describe(other.socket)!
const again = guardServer(server, { label: 'feed again' })
const held = guard.adapter.describe(socket)!
const drained = await again.drain({ timeoutMs: 50 })
console.log(
  JSON.stringify({
    leaked: { ...told(report.owner) as object, condition: report.condition },
    refused,
    released: told(released.owner),
    held: held.owner.label,
    drained: { closed: drained.ended + drained.destroyed, remaining: drained.remaining },
    isClosed: socket.destroyed && other.socket.destroyed && !server.tcp.listening,
  }),
)
client.destroy()
other.client.destroy()
`

t.test('it compiles, names what leaks, and takes itself back', async (t) => {
  const { folder } = await makeConsumer(t)
  const sources = { 'framework.ts': FRAMEWORK, 'adapter.ts': ADAPTER, 'application.ts': APPLICATION }
  for (const [file, source] of Object.entries(sources)) writeFileSync(join(folder, file), source)
  t.equal(await compile(folder, Object.keys(sources)), '')

  const { code, stdout, stderr } = await runNode([join(folder, 'application.js')], { cwd: folder })
  t.equal(stderr, '')
  t.equal(code, 0)
  const { released, ...rest } = JSON.parse(stdout) as { released: { site: string; label: null } }
  t.same(rest, {
    leaked: {
      site: 'CALL subscribe/:topic',
      label: 'feed',
      path: 'subscribe/news',
      condition: 'eof-ignored',
    },
    refused: ['SLG_ERR_UNKNOWN_OPTION', 'SLG_ERR_INVALID_OPTION'],
    held: 'feed again',
    drained: { closed: 2, remaining: 0 },
    isClosed: true,
  })
  t.match(released, { site: /^listener :\d+$/, label: null }, 'nothing of the adapter is left')
})
