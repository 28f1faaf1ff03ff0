/**
 * `npm run soak [-- --connections N --waves N]`: thousands of connections with churn, of which in every wave some leak in every
 * condition. With reclaiming on, heap and descriptors stay flat, no leak is missed, and no healthy connection is closed.
 *
 * The guarded side is this process; its peers are in others, so that neither comes near the limit of descriptors.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { install, type Condition, type GuardEvent } from '../../src/index.js'
import { Actor } from '../support/actor.js'
import { until } from '../support/until.js'
import type { Peers } from './peers.js'
import {
  HEALTHY,
  LEAKS,
  serve,
  TICK_MS,
  type HealthyScene,
  type LeakScene,
  type SceneName,
} from './scenes.js'

const { values: flags } = parseArgs({
  options: {
    connections: { type: 'string', default: '10000' },
    waves: { type: 'string', default: '5' },
  },
})
const connections = Number(flags.connections)
const waves = Number(flags.waves)
/** In each condition, over all waves, one connection of a hundred. */
const leaksAWave = Math.max(1, Math.ceil(connections / 100 / waves))
const PEERS = 4
const PATIENCE_MS = 30_000
/** What garbage collection leaves to chance. */
const HEAP_SLACK = 0.1
const HEAP_SLACK_BYTES = 3e6
const DESCRIPTOR_SLACK = 5

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

interface Tracked {
  readonly scene: SceneName
  readonly socket: net.Socket
  readonly condition: Condition | null
  readonly end: GuardEvent['type'] | null
}

const guard = install({
  graceMs: 3000,
  sweepMs: 250,
  escalateMs: 500,
  action: 'end',
  propagateAbort: 'pipe',
  log: false,
})
const tracked = new Map<number, Tracked>()
const ticking = new Map<net.Socket, () => void>()
const wronged: string[] = []
const told = new Map<LeakScene, Map<string, number>>()

guard.subscribe(({ type, socket: { id, condition } }) => {
  const known = tracked.get(id)
  if (known === undefined || type === 'suspect') return
  if (!isLeak(known.scene)) {
    if (type !== 'stalled' && type !== 'recovered') wronged.push(`${known.scene}: ${type} (${condition})`)
    return
  }
  const end = type === 'reclaimed' || type === 'dead' ? type : known.end
  tracked.set(id, { ...known, condition, end })
})

setInterval(() => {
  for (const tick of ticking.values()) tick()
}, TICK_MS).unref()

function isLeak(scene: SceneName): scene is LeakScene {
  return (LEAKS as readonly string[]).includes(scene)
}

function track(scene: SceneName, socket: net.Socket): void {
  socket.on('error', () => {})
  const { id } = guard.adapter.describe(socket)!
  tracked.set(id, { scene, socket, condition: null, end: null })
  socket.on('close', () => {
    ticking.delete(socket)
    if (!isLeak(scene)) tracked.delete(id)
  })
}

async function listen(scene: SceneName): Promise<number> {
  const pauseOnConnect = scene === 'fin-unseen'
  const server =
    scene === 'abandoned'
      ? http.createServer(abandon)
      : net.createServer({ allowHalfOpen: true, pauseOnConnect }, accept)
  function accept(socket: net.Socket): void {
    track(scene, socket)
    const tick = serve(scene, socket)
    if (tick !== undefined) ticking.set(socket, tick)
    // Who has half-closed may be answered for as long as he is not told otherwise.
    if (scene === 'echo' || scene === 'slow-reader') socket.on('end', () => socket.end())
  }
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return (server.address() as net.AddressInfo).port
}

let upstreamPort = 0

/** A proxy that does not tell its upstream when the client has gone: that connection is the leak. */
function abandon(_request: http.IncomingMessage, response: http.ServerResponse): void {
  const upstream = http.get({ port: upstreamPort, host: '127.0.0.1', agent: false }, (answer) => {
    answer.on('error', () => {}).pipe(response)
  })
  upstream.on('error', () => {})
  upstream.once('socket', (socket) => socket.once('connect', () => track('abandoned', socket)))
}

/** A client that is given a port which nobody listens on any more, and takes it for its own. */
async function meetItself(): Promise<void> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  const socket = net.connect({ port, host: '127.0.0.1', localPort: port, localAddress: '127.0.0.1' })
  await once(socket, 'connect')
  track('self-connected', socket)
}

const peers = Array.from(
  { length: PEERS },
  () => new Actor<Peers>(fork(join(import.meta.dirname, 'peers.js'), { execArgv: [] })),
)

/** So many, spread over the peers. */
async function spread(
  count: number,
  work: (peer: Actor<Peers>, share: number) => Promise<unknown>,
): Promise<void> {
  await Promise.all(
    peers.map((peer, index) => work(peer, Math.floor(count / PEERS) + (index < count % PEERS ? 1 : 0))),
  )
}

function descriptors(): number {
  return readdirSync('/proc/self/fd').length
}

function openLeaks(): number {
  return [...tracked.values()].filter(({ scene, socket }) => isLeak(scene) && !socket.destroyed).length
}

function countLeaks(): { missed: string[]; reclaimed: number; dead: number } {
  const counts = { missed: [] as string[], reclaimed: 0, dead: 0 }
  for (const [id, { scene, end, condition }] of tracked) {
    if (!isLeak(scene)) continue
    tracked.delete(id)
    if (end === 'reclaimed' || end === 'dead') counts[end] += 1
    else counts.missed.push(`${scene}: ${condition}, ${end}`)
    const names = told.get(scene) ?? new Map<string, number>()
    told.set(scene, names)
    const name = condition ?? 'nothing'
    names.set(name, (names.get(name) ?? 0) + 1)
  }
  return counts
}

const SHARES: Readonly<Record<HealthyScene, number>> = {
  echo: 0.92,
  'half-closed': 0.03,
  'slow-reader': 0.02,
  waiting: 0.03,
}
const faults: string[] = []
const heaps: number[] = []
const numbersOfDescriptors: number[] = []

async function wave(ports: Readonly<Record<SceneName, number>>): Promise<string[]> {
  const startedMs = performance.now()
  for (const scene of LEAKS) {
    if (scene === 'self-connected') for (let made = 0; made < leaksAWave; made += 1) await meetItself()
    else await spread(leaksAWave, (peer, share) => peer.ask('open', scene, ports[scene], share))
  }
  const churned = Math.round(connections / 10)
  await Promise.all([
    spread(churned, (peer, share) => peer.ask('churn', ports.echo, share)),
    spread(Math.round(churned / 2), async (peer, share) => {
      await peer.ask('leave', 'echo', share)
      await peer.ask('open', 'echo', ports.echo, share)
    }),
  ])
  await Promise.all(peers.map((peer) => peer.ask('ping')))
  const total = leaksAWave * LEAKS.length
  const leaks = () => [...tracked.values()].filter(({ scene }) => isLeak(scene)).length
  await until(() => leaks() === total && openLeaks() === 0, 'every leak is gone', PATIENCE_MS).catch(() => {})
  await Promise.all(peers.map((peer) => peer.ask('ping')))
  await Promise.all(peers.map((peer) => peer.ask('forgetLeaks')))
  const { missed, reclaimed, dead } = countLeaks()
  const problems = [
    ...wronged.splice(0),
    ...(await Promise.all(peers.map((peer) => peer.ask('problems')))).flat(),
  ]
  faults.push(...missed.map((fault) => `missed: ${fault}`), ...problems.map((fault) => `wrong: ${fault}`))
  collect()
  heaps.push(process.memoryUsage().heapUsed)
  numbersOfDescriptors.push(descriptors())
  return [
    guard.snapshot().totals.tracked,
    numbersOfDescriptors.at(-1),
    (heaps.at(-1)! / 1e6).toFixed(1),
    churned + Math.round(churned / 2),
    total,
    reclaimed,
    dead,
    missed.length,
    problems.length,
    ((performance.now() - startedMs) / 1000).toFixed(1),
  ].map(String)
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}

async function main(): Promise<void> {
  upstreamPort = await peers[0]!.ask('listen')
  const ports = Object.fromEntries(
    await Promise.all([...HEALTHY, ...LEAKS].map(async (scene) => [scene, await listen(scene)] as const)),
  ) as Record<SceneName, number>
  for (const scene of HEALTHY) {
    const count = Math.round(connections * SHARES[scene])
    await spread(count, (peer, share) => peer.ask('open', scene, ports[scene], share))
  }
  console.log(
    row([
      'wave',
      'open',
      'descriptors',
      'heap MB',
      'churned',
      'leaked',
      'reclaimed',
      'dead',
      'missed',
      'wrong',
      's',
    ]),
  )
  console.log(`|${' ---: |'.repeat(11)}`)
  for (let index = 1; index <= waves; index += 1) console.log(row([String(index), ...(await wave(ports))]))

  // The first wave still warms up.
  const heap = heaps[Math.min(1, heaps.length - 1)] ?? 0
  const heapGrowth = (heaps.at(-1) ?? 0) - heap
  if (heapGrowth > Math.max(HEAP_SLACK * heap, HEAP_SLACK_BYTES))
    faults.push(`the heap grew by ${heapGrowth} bytes`)
  const [atFirst = 0] = numbersOfDescriptors
  const fdGrowth = (numbersOfDescriptors.at(-1) ?? 0) - atFirst
  if (fdGrowth > DESCRIPTOR_SLACK) faults.push(`${fdGrowth} descriptors were kept`)

  console.log(`\n${row(['leak', 'told as'])}\n| --- | --- |`)
  for (const [scene, names] of told)
    console.log(row([scene, [...names].map(([name, count]) => `${name} ${count}`).join(', ')]))
  for (const fault of new Set(faults))
    console.log(`FAULT ${fault} (${faults.filter((it) => it === fault).length})`)
  console.log(faults.length === 0 ? '\nflat, none missed, none closed wrongly' : '')
  process.exitCode = faults.length === 0 ? 0 : 1
  await Promise.all(peers.map((peer) => peer.kill()))
  process.exit()
}

await main()
