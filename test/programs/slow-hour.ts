/**
 * An hour of slow but moving transfers on real sockets, by a clock that is turned by hand: every 50 seconds something moves, and the
 * grace is a minute. Says what was told of whom, and what arrived.
 */
import { once } from 'node:events'
import net from 'node:net'
import timers from 'node:timers'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { until } from '../support/until.js'

const HOUR_MS = 3_600_000
const STEP_MS = 5000
const MOVE_MS = 50_000
const FLOOD_BYTES = 16_000_000

interface Task {
  readonly atMs: number
  readonly run: () => void
  unref(): Task
}

let nowMs = 0
const tasks = new Set<Task>()

// What the package takes when it is loaded.
process.hrtime = Object.assign((): [number, number] => [Math.floor(nowMs / 1000), (nowMs % 1000) * 1e6], {
  bigint: () => BigInt(nowMs) * 1_000_000n,
})
Object.assign(timers, {
  setTimeout(run: () => void, ms: number): Task {
    const task = { atMs: nowMs + ms, run, unref: () => task }
    tasks.add(task)
    return task
  },
  clearTimeout: (task: Task) => tasks.delete(task),
})
const { install } = await import('../../src/index.js')

async function turnTo(ms: number): Promise<void> {
  for (;;) {
    const [next] = [...tasks].filter(({ atMs }) => atMs <= ms).sort((a, b) => a.atMs - b.atMs)
    if (next === undefined) break
    tasks.delete(next)
    nowMs = Math.max(nowMs, next.atMs)
    next.run()
  }
  nowMs = ms
  await nextTurn()
}

const guard = install({ graceMs: 60_000, stalled: { action: 'destroy' }, action: 'destroy', log: false })
const names = new Map<number, string>()
const told: Record<string, string[]> = {}
guard.subscribe(({ type, socket: { id } }) => {
  const name = names.get(id)!
  ;(told[name] ??= []).push(type)
})

interface Ends {
  readonly near: net.Socket
  readonly far: net.Socket
}

/** Both ends are this process's, and guarded. */
async function connect(name: string): Promise<Ends> {
  const server = net.createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  const far = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const [near] = (await once(server, 'connection')) as [net.Socket]
  server.close()
  for (const [side, socket] of Object.entries({ near, far })) {
    names.set(guard.adapter.describe(socket)!.id, `${name}, ${side}`)
  }
  return { near, far }
}

/** Counts what comes in. */
function receive(socket: net.Socket): { bytes: number } {
  const got = { bytes: 0 }
  socket.on('data', (chunk: Buffer) => (got.bytes += chunk.length))
  return got
}

async function send(from: net.Socket, got: { bytes: number }): Promise<void> {
  const wanted = got.bytes + 1
  from.write('.')
  await until(() => got.bytes >= wanted, 'the byte has arrived')
}

const requested = await connect('request, end, and a slow answer')
requested.far.end('the request')
const answer = receive(requested.far)
receive(requested.near)
await once(requested.near, 'end')

const stream = await connect('events')
const events = receive(stream.far)
stream.near.resume()

const poll = await connect('a long poll')
const polled = receive(poll.far)
receive(poll.near)
poll.far.write('anything new?')

const upload = await connect('a slow consumer')
upload.far.resume()
const consumed = receive(upload.near)
upload.near.on('end', () => upload.near.end()).pause()
const uploaded = once(upload.near, 'close')
upload.far.end(Buffer.alloc(FLOOD_BYTES))

const left = await connect('left alone')
left.far.resume().end()
left.near.resume()

async function consume(): Promise<void> {
  const before = consumed.bytes
  upload.near.resume()
  await until(() => consumed.bytes > before || upload.near.readableEnded, 'something is consumed')
  upload.near.pause()
}

for (let ms = STEP_MS; ms <= HOUR_MS; ms += STEP_MS) {
  await turnTo(ms)
  if (ms % MOVE_MS !== 0) continue
  await send(requested.near, answer)
  await send(stream.near, events)
  await consume()
}
await send(poll.near, polled)
requested.near.end()
await once(requested.far, 'end')
upload.near.resume()
await uploaded
const arrived = {
  answer: answer.bytes,
  events: events.bytes,
  polled: polled.bytes,
  consumed: consumed.bytes,
}
console.log(JSON.stringify({ told, arrived, wanted: { moves: HOUR_MS / MOVE_MS, flood: FLOOD_BYTES } }))
process.exit()
