/**
 * What one question to the kernel costs a process that holds many sockets of which a few are suspect.
 *
 *     node build/bench/kernel-sweep.js [sockets=10000] [suspectPercent=1] [rounds=15]
 *
 * The peers live in a process of their own. Both views are asked in slices of a millisecond with a turn of
 * the event loop in between. The baseline of the same run is the obvious way: readFileSync of both tables,
 * split into lines and columns, matched by inode.
 *
 * `block` is the longest slice of an ask, in the median of the rounds, less the time that the thread waited
 * for a processor meanwhile (/proc/thread-self/schedstat), as a busy machine makes it; `with waiting` is what
 * the clock said. The row of idle slices, spent on looking at the clock, shows what any program suffers from
 * this machine.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fstatSync, readFileSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createDescriptorCounter } from '../src/kernel/descriptors.js'
import { createFfiProbe } from '../src/kernel/ffi.js'
import { loadLibc } from '../src/kernel/libc.js'
import type { KernelProbe, ProbeTarget } from '../src/kernel/probe.js'
import { createProcProbe } from '../src/kernel/proc.js'

const SLICE_MS = 1
const SPARE_DESCRIPTORS = 200

interface Cost {
  readonly cpuMs: number
  readonly blockMs: number
  readonly blockWithWaitingMs: number
}

if (process.send === undefined) await measure()
else holdPeers(Number(process.argv[2]), Number(process.argv[3]), Number(process.argv[4]))

async function measure(): Promise<void> {
  const room = (createDescriptorCounter()()?.softLimit ?? 1024) - SPARE_DESCRIPTORS
  const wanted = Number(process.argv[2] ?? 10_000)
  const sockets = Math.min(wanted, room)
  const suspectCount = Math.max(1, Math.round((sockets * Number(process.argv[3] ?? 1)) / 100))
  const rounds = Number(process.argv[4] ?? 15)
  const { listener, held, peers } = await holdSockets(sockets, suspectCount)
  const ffi = createFfiProbe(loadLibc())
  const proc = createProcProbe()
  const ended = ask(ffi, held.map(targetOf)).then(suspectsAmong)
  const suspects = (await ended).map((index) => held[index]!)

  const baseline = await repeat(rounds, () => costOfSlices(() => readAndSplit(suspects)))
  const rows: Array<[string, Cost[]]> = [
    ['readFileSync, split (baseline)', baseline],
    [`proc, ${suspects.length} suspects`, await repeat(rounds, () => cost(proc, suspects))],
    [`ffi, ${suspects.length} suspects`, await repeat(rounds, () => cost(ffi, suspects))],
    [`ffi, all ${held.length}`, await repeat(rounds, () => cost(ffi, held))],
    ['50 idle slices', await repeat(rounds, () => idleSlices(50))],
  ]
  const limited = sockets < wanted ? ` (of ${wanted}: RLIMIT_NOFILE)` : ''
  console.log(
    `Node ${process.version}, ${sockets} sockets${limited}, ${suspects.length} suspects, ${rounds} rounds`,
  )
  const baselineMs = median(baseline.map(({ cpuMs }) => cpuMs))
  console.table(Object.fromEntries(rows.map(([name, costs]) => [name, summarize(costs, baselineMs)])))

  peers.kill()
  for (const socket of held) socket.destroy()
  listener.close()
}

/** `suspectCount` of them have a FIN that nobody has read. */
async function holdSockets(count: number, suspectCount: number) {
  const held: Socket[] = []
  const listener = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    held.push(socket)
    if (held.length === count) listener.emit('all-held')
  })
  listener.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
  await once(listener, 'listening')
  const allHeld = once(listener, 'all-held')
  const peers = fork(import.meta.filename, [String(portOf(listener)), String(count), String(suspectCount)])
  await Promise.all([allHeld, once(peers, 'message')])
  return { listener, held, peers }
}

/** The other process: opens the connections a few at a time and ends its side of some. */
function holdPeers(port: number, count: number, endedCount: number): void {
  let opened = 0
  let connected = 0
  const peers: Socket[] = []
  function open(): void {
    if (opened === count) return
    opened += 1
    const peer = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    peers.push(peer)
    peer.on('error', () => {})
    peer.once('connect', onConnect)
  }
  function onConnect(): void {
    connected += 1
    if (connected < count) return open()
    for (const peer of peers.slice(0, endedCount)) peer.end()
    process.send?.('ready')
  }
  for (let lane = 0; lane < 32; lane += 1) open()
}

async function ask(probe: KernelProbe, targets: readonly ProbeTarget[]) {
  const run = probe.ask(targets)
  while (!run.advance(SLICE_MS)) await nextTurn()
  return run.samples
}

function suspectsAmong(samples: Awaited<ReturnType<typeof ask>>): number[] {
  return samples.flatMap((sample, index) => (sample?.peerEnded === true ? [index] : []))
}

async function cost(probe: KernelProbe, sockets: readonly Socket[]): Promise<Cost> {
  const run = probe.ask(sockets.map(targetOf))
  return costOfSlices(() => run.advance(SLICE_MS))
}

function idleSlices(count: number): Promise<Cost> {
  let slices = 0
  return costOfSlices(() => {
    const startedMs = performance.now()
    while (performance.now() - startedMs < SLICE_MS);
    slices += 1
    return slices >= count
  })
}

async function costOfSlices(advance: () => boolean): Promise<Cost> {
  let blockMs = 0
  let blockWithWaitingMs = 0
  let isDone = false
  const cpuBefore = process.cpuUsage()
  while (!isDone) {
    const waitedMs = waitedForProcessorMs()
    const startedMs = performance.now()
    isDone = advance()
    const tookMs = performance.now() - startedMs
    blockWithWaitingMs = Math.max(blockWithWaitingMs, tookMs)
    blockMs = Math.max(blockMs, tookMs - (waitedForProcessorMs() - waitedMs))
    if (!isDone) await nextTurn()
  }
  return { cpuMs: cpuSince(cpuBefore), blockMs, blockWithWaitingMs }
}

/**
 * Of this thread, since it began; nanoseconds in the second column (Documentation/scheduler/sched-stats.rst).
 */
function waitedForProcessorMs(): number {
  return Number(readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ')[1]) / 1e6
}

function readAndSplit(sockets: readonly Socket[]): boolean {
  const wanted = new Set(sockets.map((socket) => String(fstatSync(fdOf(socket)).ino)))
  const found = new Set<string>()
  for (const table of ['tcp6', 'tcp']) {
    for (const line of readFileSync(`/proc/self/net/${table}`, 'latin1').split('\n').slice(1)) {
      const inode = line.trim().split(/\s+/)[9] ?? ''
      if (wanted.has(inode)) found.add(inode)
    }
  }
  if (found.size === 0) throw new Error(`none of ${sockets.length} sockets found`)
  return true
}

async function repeat(rounds: number, once: () => Promise<Cost>): Promise<Cost[]> {
  await once()
  const costs: Cost[] = []
  for (let round = 0; round < rounds; round += 1) {
    costs.push(await once())
    await nextTurn()
  }
  return costs
}

function summarize(costs: readonly Cost[], baselineMs: number) {
  const cpuMs = median(costs.map((each) => each.cpuMs))
  return {
    'CPU ms': rounded(cpuMs),
    'of baseline': rounded(cpuMs / baselineMs),
    'block ms': rounded(median(costs.map((each) => each.blockMs))),
    'with waiting': rounded(median(costs.map((each) => each.blockWithWaitingMs))),
  }
}

function cpuSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

function rounded(value: number): number {
  return Number(value.toPrecision(3))
}

function portOf(listener: Server): number {
  return (listener.address() as { port: number }).port
}

function fdOf(socket: Socket): number {
  return (socket as unknown as { _handle: { fd: number } | null })._handle?.fd ?? -1
}

function targetOf(socket: Socket): ProbeTarget {
  return { inode: 0, fd: () => fdOf(socket) }
}
