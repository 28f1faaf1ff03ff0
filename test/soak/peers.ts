/** The peers of the long run: some thousand connections in a process of its own. */
import { once } from 'node:events'
import net from 'node:net'
import { obey } from '../support/actor.js'
import { HEALTHY, ping, TICK_MS, visit, type HealthyScene, type SceneName } from './scenes.js'

const open = new Map<SceneName, Set<net.Socket>>()
const ticking = new Map<net.Socket, () => void>()
/** What happened to healthy connections that should not have. */
const problems: string[] = []
const closing = new WeakSet<net.Socket>()

setInterval(() => {
  for (const tick of ticking.values()) tick()
}, TICK_MS)

function isHealthy(scene: SceneName): scene is HealthyScene {
  return (HEALTHY as readonly string[]).includes(scene)
}

async function connect(scene: SceneName, port: number): Promise<void> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const sockets = open.get(scene) ?? new Set()
  open.set(scene, sockets)
  const notice = (what: string): void => {
    if (isHealthy(scene) && !closing.has(socket)) problems.push(`${scene}: ${what}`)
  }
  socket.on('error', (error: NodeJS.ErrnoException) => notice(error.code ?? error.message))
  socket.on('close', () => {
    notice('closed')
    sockets.delete(socket)
    ticking.delete(socket)
  })
  await once(socket, 'connect')
  sockets.add(socket)
  const tick = visit(scene, socket)
  if (tick !== undefined) ticking.set(socket, tick)
}

/** Closes in good order, and waits until the other side has closed too. */
async function leave(socket: net.Socket): Promise<void> {
  ticking.delete(socket)
  closing.add(socket)
  const closed = once(socket, 'close')
  if (!socket.writableEnded) socket.end()
  await closed
}

const BATCH = 100

async function inBatches(count: number, work: (index: number) => Promise<unknown>): Promise<void> {
  for (let begun = 0; begun < count; begun += BATCH) {
    const size = Math.min(BATCH, count - begun)
    const outcomes = await Promise.allSettled(Array.from({ length: size }, (_, index) => work(begun + index)))
    for (const outcome of outcomes) if (outcome.status === 'rejected') problems.push(String(outcome.reason))
  }
}

const actions = {
  /** Somebody for the guarded side to connect to, whose answer never ends. */
  async listen(): Promise<number> {
    const server = net.createServer({ allowHalfOpen: true }, (socket) => {
      socket.resume().on('error', () => {})
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\na beginning')
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return (server.address() as net.AddressInfo).port
  },
  open: (scene: SceneName, port: number, count: number) => inBatches(count, () => connect(scene, port)),
  /** Short connections: a word, its echo, and the end. */
  churn: (port: number, count: number) =>
    inBatches(count, async () => {
      const socket = net.connect(port, '127.0.0.1')
      socket.on('error', (error) => problems.push(`churn: ${error.message}`))
      socket.write('word')
      const [chunk] = (await once(socket, 'data')) as [Buffer]
      if (chunk.toString() !== 'word') problems.push(`churn: ${chunk.length} bytes`)
      socket.end()
      await once(socket, 'close')
    }),
  /** Says something on every healthy connection, and waits for the answers of those that answer. */
  async ping(): Promise<void> {
    for (const scene of HEALTHY) {
      const sockets = [...(open.get(scene) ?? [])]
      const word = ping(scene)
      if (word === null) continue
      await inBatches(sockets.length, async (index) => {
        const socket = sockets[index]!
        const answered = scene === 'echo' ? once(socket, 'data') : null
        socket.write(word)
        await answered
      })
    }
  },
  /** Of the healthy ones of this kind so many leave. */
  async leave(scene: SceneName, count: number): Promise<void> {
    await Promise.all([...(open.get(scene) ?? [])].slice(0, count).map(leave))
  },
  /** They have leaked and are gone on the other side. */
  forgetLeaks(): void {
    for (const [scene, sockets] of open) {
      if (!isHealthy(scene)) for (const socket of sockets) socket.destroy()
    }
  },
  problems: () => problems.splice(0),
}

export type Peers = typeof actions

obey(actions)
