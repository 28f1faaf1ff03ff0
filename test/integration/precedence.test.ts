/**
 * The specific wins over the general: socket, then the server above (a WebSocketServer), then the server that accepted it, then
 * the process. Every pair of calls, in every order and at every moment of a connection's life, with every way back.
 */
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import tls from 'node:tls'
import t from 'tap'
import { WebSocketServer } from 'ws'
import { guardServer as guardHttpServer } from '../../adapters/http/index.js'
import { guardServer as guardNetServer } from '../../adapters/net/index.js'
import { guardServer as guardWebSocketServer } from '../../adapters/ws/index.js'
import { install, installedGuard, type Guard, type ServerOptions } from '../../src/index.js'
import { installPreloaded } from '../../src/install.js'
import { CERTIFICATE } from '../support/certificate.js'
import { listen } from '../support/events.js'

t.setTimeout(120_000)

/** From the general to the specific. */
const LEVELS = ['process', 'server', 'upgrade server', 'socket'] as const
type Level = (typeof LEVELS)[number]

/** One connection, from before it is there to its last state. */
interface Stage {
  /** What leads from one moment to the next: the first is before the connection. */
  readonly steps: readonly (() => Promise<unknown>)[]
  /** Guards a server; returns what takes that back. */
  readonly servers: Partial<Record<Level, (options: ServerOptions) => () => void>>
  /** As the application has it at this moment. */
  socket(): net.Socket
  close(): void
}

/** At which moments a call can be made: 0 is before the connection. */
type Moments = Partial<Record<Level, readonly number[]>>

interface Play {
  readonly moments: Moments
  begin(): Promise<Stage>
}

const UPGRADE = [
  'GET /chat HTTP/1.1',
  'Host: localhost',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  '\r\n',
].join('\r\n')

const PLAYS: Readonly<Record<string, Play>> = {
  'an upgraded connection': {
    moments: { process: [0, 1, 2], server: [0, 1, 2], 'upgrade server': [0, 1, 2], socket: [1, 2] },
    async begin() {
      const server = http.createServer()
      const above = new WebSocketServer({ noServer: true })
      server.on('upgrade', (request, socket, head) => {
        above.handleUpgrade(request, socket, head, (webSocket) =>
          above.emit('connection', webSocket, request),
        )
      })
      const { client, connect, socket, close } = await toBeAccepted(server)
      const upgrade = async (): Promise<void> => {
        client().write(UPGRADE)
        await once(client(), 'data')
      }
      const servers: Stage['servers'] = {
        server: (options) => guardHttpServer(server, options).release,
        'upgrade server': (options) => guardWebSocketServer(above, options).release,
      }
      return { steps: [connect, upgrade], servers, socket, close }
    },
  },
  'a TLS connection': {
    moments: { process: [0, 1, 2], server: [0, 1, 2], socket: [1, 2] },
    async begin() {
      const server = tls.createServer(CERTIFICATE)
      const { client, connect, socket, close } = await toBeAccepted(server)
      let secured: net.Socket | null = null
      const secure = async (): Promise<void> => {
        const securing = once(server, 'secureConnection') as Promise<[tls.TLSSocket]>
        const options = { socket: client(), rejectUnauthorized: false, allowHalfOpen: true }
        tls.connect(options)
        ;[secured] = await securing
      }
      return {
        steps: [connect, secure],
        servers: { server: (options) => guardNetServer(server, options).release },
        socket: () => secured ?? socket(),
        close,
      }
    },
  },
  'an outgoing connection': {
    moments: { process: [0, 1], socket: [0, 1] },
    async begin() {
      const { port, close } = await silentServer()
      const socket = new net.Socket()
      return {
        steps: [() => once(socket.connect(port, '127.0.0.1'), 'connect')],
        servers: {},
        socket: () => socket,
        close() {
          socket.destroy()
          close()
        },
      }
    },
  },
}

/** A server and a client that never ends its side. */
async function toBeAccepted(server: net.Server) {
  const port = await listen(server)
  const sockets: net.Socket[] = []
  return {
    client: () => sockets[0]!,
    socket: () => sockets[1]!,
    async connect() {
      const accepted = once(server, 'connection') as Promise<[net.Socket]>
      const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
      const [socket] = await accepted
      sockets.push(client, socket)
    },
    close() {
      for (const socket of sockets) socket.on('error', () => {}).destroy()
      server.close()
    },
  }
}

/** Accepts, and never says or ends anything. */
async function silentServer() {
  const sockets: net.Socket[] = []
  const server = net.createServer({ allowHalfOpen: true }, (socket) => sockets.push(socket))
  return {
    port: await listen(server),
    close() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

interface Call {
  readonly level: Level | 'exempt'
  readonly moment: number
}

/** Two calls, in every order that their moments allow. */
function* ordersOf(first: Call['level'], second: Call['level'], moments: Moments): Generator<Pair> {
  const momentsOf = (level: Call['level']) => moments[level === 'exempt' ? 'socket' : level] ?? []
  for (const moment of momentsOf(first)) {
    for (const other of momentsOf(second)) {
      const [a, b] = [
        { level: first, moment },
        { level: second, moment: other },
      ]
      if (moment <= other) yield [a, b]
      if (moment >= other && first !== second) yield [b, a]
    }
  }
}

type Pair = readonly [Call, Call]

/** Calls that set the same thing. A process has one installation. */
function* pairsOf(moments: Moments): Generator<Pair> {
  for (const [i, general] of LEVELS.entries()) {
    for (const specific of LEVELS.slice(general === 'process' ? i + 1 : i)) {
      yield* ordersOf(general, specific, moments)
    }
  }
}

const SHORT_MS = 1
/** Soon enough for the wrong one to say its name. */
const LATER_MS = 500
const NEVER_MS = 3_600_000

/** Whose action was chosen for which socket. */
class Chosen {
  readonly names = new Map<number, string>()
  readonly #waiting = new Map<number, (name: string) => void>()

  note(id: number, name: string): void {
    this.names.set(id, name)
    this.#waiting.get(id)?.(name)
  }

  of(id: number): Promise<string> {
    return new Promise((resolve) => this.#waiting.set(id, resolve))
  }
}

const PRELOAD = 'preload'

interface Scene {
  readonly guard: Guard
  readonly stage: Stage
  readonly chosen: Chosen
  /** What takes each call back. */
  readonly undo: ReadonlyMap<Call, () => void>
}

/** @param graceOf the grace that a call sets; `null` stands for what the guard was preloaded with */
async function act(
  { begin }: Play,
  calls: Pair,
  graceOf: (call: Call | null) => number,
  test: (scene: Scene) => Promise<void>,
): Promise<void> {
  const chosen = new Chosen()
  function settings(call: Call | null) {
    const name = nameOf(calls, call)
    return {
      graceMs: graceOf(call),
      action({ id }: { readonly id: number }) {
        chosen.note(id, name)
        return 'report' as const
      },
    }
  }
  installPreloaded({ sweepMs: 10, kernel: 'off', keepAlive: false, ...settings(null) })
  const guard = installedGuard()!
  const stage = await begin()
  const undo = new Map<Call, () => void>()
  function make(call: Call): () => void {
    const { level } = call
    if (level === 'process') {
      install(settings(call))
      return () => {}
    }
    if (level === 'exempt') {
      guard.exempt(stage.socket())
      return () => guard.exempt(stage.socket(), false)
    }
    if (level !== 'socket') return stage.servers[level]!({ ...settings(call), label: nameOf(calls, call) })
    guard.configure(stage.socket(), settings(call))
    guard.label(stage.socket(), nameOf(calls, call))
    return () => {
      guard.configure(stage.socket(), null)
      guard.label(stage.socket(), null)
    }
  }
  try {
    for (let moment = 0; moment <= stage.steps.length; moment += 1) {
      if (moment > 0) await stage.steps[moment - 1]!()
      for (const call of calls) if (call.moment === moment) undo.set(call, make(call))
    }
    await test({ guard, stage, chosen, undo })
  } finally {
    stage.close()
    guard.uninstall()
  }
}

function nameOf(calls: Pair, call: Call | null): string {
  return call === null ? PRELOAD : `${calls.indexOf(call) + 1}. ${call.level} at moment ${call.moment}`
}

/** Which one holds when these have been taken back; `null`: what was there before. */
function winnerOf(calls: Pair, undone: readonly Call[]): Call | null {
  const [first, second] = calls
  if (first.level === second.level) {
    // All that a socket was given is taken back at once; of a server, the later call has replaced the earlier one.
    const isUndone = first.level === 'socket' ? undone.length > 0 : undone.includes(second)
    return isUndone ? null : second
  }
  const rankOf = ({ level }: Call): number => LEVELS.indexOf(level as Level)
  const left = calls.filter((call) => !undone.includes(call))
  return left.sort((a, b) => rankOf(b) - rankOf(a))[0] ?? null
}

/** Our side is ended, which the other one never answers. @returns whose action was chosen then */
async function leak({ guard, chosen }: Scene, socket: net.Socket): Promise<string> {
  const choice = chosen.of(guard.adapter.describe(socket)!.id)
  socket.end()
  return choice
}

/** Time for a leak: another socket, which began later, has been called leaked. */
async function letLeak(scene: Scene): Promise<void> {
  const { port, close } = await silentServer()
  const socket = net.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  scene.guard.configure(socket, {
    graceMs: SHORT_MS,
    action({ id }) {
      scene.chosen.note(id, 'another')
      return 'report'
    },
  })
  await leak(scene, socket)
  socket.destroy()
  close()
}

function* subsetsOf([first, second]: Pair): Generator<readonly Call[]> {
  for (const undone of [[], [first], [second], [first, second]]) {
    if (!undone.some(({ level }) => level === 'process')) yield undone
  }
}

for (const [what, play] of Object.entries(PLAYS)) {
  t.test(`${what}: the specific wins, and each call has its way back`, async (t) => {
    for (const calls of pairsOf(play.moments)) {
      for (const undone of subsetsOf(calls)) {
        const winner = winnerOf(calls, undone)
        const named = winnerOf(calls, undone.concat(calls.filter(({ level }) => level === 'process')))
        await act(
          play,
          calls,
          (call) => (call === winner ? SHORT_MS : LATER_MS),
          async (scene) => {
            for (const call of undone) scene.undo.get(call)!()
            const socket = scene.stage.socket()
            const label = scene.guard.adapter.describe(socket)!.owner.label
            t.same(
              { label, action: await leak(scene, socket) },
              { label: named === null ? null : nameOf(calls, named), action: nameOf(calls, winner) },
              `${calls.map((call) => nameOf(calls, call)).join(', ')}; undone: ${undone.map((call) => nameOf(calls, call)).join(', ')}`,
            )
          },
        )
      }
    }
  })

  t.test(`${what}: a long grace wins over a short one, too`, async (t) => {
    for (const calls of pairsOf(play.moments)) {
      const winner = winnerOf(calls, [])
      await act(
        play,
        calls,
        (call) => (call === winner ? NEVER_MS : SHORT_MS),
        async (scene) => {
          const socket = scene.stage.socket()
          void leak(scene, socket)
          await letLeak(scene)
          t.notOk(
            scene.chosen.names.has(scene.guard.adapter.describe(socket)!.id),
            calls.map((call) => nameOf(calls, call)).join(', '),
          )
        },
      )
    }
  })

  t.test(`${what}: exempt is exempt, whatever else is set, until that is taken back`, async (t) => {
    for (const level of LEVELS) {
      for (const calls of ordersOf('exempt', level, play.moments)) {
        const other = calls.find((call) => call.level === level)!
        await act(
          play,
          calls,
          () => SHORT_MS,
          async (scene) => {
            const { guard, stage, chosen } = scene
            const leaking = leak(scene, stage.socket())
            await letLeak(scene)
            const { id, verdict } = guard.adapter.describe(stage.socket())!
            t.same(
              { verdict, isChosen: chosen.names.has(id) },
              { verdict: 'exempt', isChosen: false },
              calls.map((call) => nameOf(calls, call)).join(', '),
            )
            scene.undo.get(calls.find((call) => call !== other)!)!()
            t.equal(await leaking, nameOf(calls, other))
          },
        )
      }
    }
  })
}
