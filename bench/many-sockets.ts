/**
 * `node build/bench/many-sockets.js [COUNT]`: what the guard costs with 10,000 connections, healthy ones and leaked ones: the longest
 * time for which it blocks the event loop by itself and while it saves a report, the time of a whole sweep and of a report for each
 * socket, and its heap.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { install } from '../src/index.js'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void
const AT_A_TIME = 200
const WATCHED_MS = 2000

const [role, ...args] = process.argv.slice(2)
if (role === 'peers') await playPeers(Number(args[0]), Number(args[1]), args[2] === 'leaked')
else await main(Number(role ?? 10_000))

async function playPeers(port: number, count: number, isLeaking: boolean): Promise<void> {
  process.on('disconnect', () => process.exit())
  for (let made = 0; made < count; made += AT_A_TIME) {
    const some = Array.from({ length: Math.min(AT_A_TIME, count - made) }, async () => {
      const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
      socket.on('error', () => {}).resume()
      await once(socket, 'connect')
      if (isLeaking) socket.end()
    })
    await Promise.all(some)
  }
  process.send!('done')
}

async function main(count: number): Promise<void> {
  console.log(
    `| ${count} connections | longest block | saving a report | sweep, each | report, each | heap, each |`,
  )
  console.log('| --- | ---: | ---: | ---: | ---: | ---: |')
  for (const state of ['healthy', 'leaked'] as const) console.log(await measure(count, state))
  process.exit()
}

async function measure(count: number, state: 'healthy' | 'leaked'): Promise<string> {
  const guard = install({ graceMs: 200, sweepMs: 100, log: () => {} })
  const sockets: net.Socket[] = []
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket.on('error', () => {}).resume())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  const peers = fork(process.argv[1]!, ['peers', String(port), String(count), state])
  await once(peers, 'message')
  const wanted = state === 'leaked' ? count : 0
  while (sockets.length < count || guard.snapshot({ limit: 0 }).totals.leaked < wanted) await sleep(50)

  const blockMs = await longestBlock(sleep(WATCHED_MS))
  const folder = mkdtempSync(join(tmpdir(), 'slg-bench-'))
  const savings: number[] = []
  for (let i = 0; i < 3; i += 1)
    savings.push(await longestBlock(guard.saveReport(join(folder, 'report.json'))))
  rmSync(folder, { recursive: true })
  const sweepUs = timeOf(() => guard.sweep({ limit: 0 })) / count
  const reportUs = timeOf(() => guard.report({ limit: 0 })) / count
  const heap = heapUsed()
  guard.uninstall()
  const bytes = Math.round((heap - heapUsed()) / count)
  for (const socket of sockets) socket.destroy()
  server.close()
  peers.disconnect()
  return `| ${state} | ${blockMs.toFixed(1)} ms | ${Math.min(...savings).toFixed(1)} ms | ${sweepUs.toFixed(2)} µs | ${reportUs.toFixed(2)} µs | ${bytes} B |`
}

/** In CPU time: what another process takes of this machine is no block of ours. */
async function longestBlock(work: Promise<unknown>): Promise<number> {
  let longestUs = 0
  let isOver = false
  const over = work.then(() => (isOver = true))
  while (!isOver) {
    const before = process.cpuUsage()
    await new Promise(setImmediate)
    const { user, system } = process.cpuUsage(before)
    longestUs = Math.max(longestUs, user + system)
  }
  await over
  return longestUs / 1000
}

/** In microseconds: the best of three, since a busy machine only adds. */
function timeOf(work: () => unknown): number {
  const times = [0, 0, 0].map(() => {
    const startedMs = performance.now()
    work()
    return performance.now() - startedMs
  })
  return Math.min(...times) * 1000
}

function heapUsed(): number {
  collectGarbage()
  return process.memoryUsage().heapUsed
}
