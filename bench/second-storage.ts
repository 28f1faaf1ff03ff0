/**
 * What a second AsyncLocalStorage costs where one runs already: CPU of a handler that only awaits. In one process and in
 * turns, so that it tells a few percent apart, which `context.ts` can't on a busy machine: requests are mostly not awaits.
 *
 * `node build/bench/second-storage.js [rounds]` prints a line for the Node that runs it.
 */
import { AsyncLocalStorage } from 'node:async_hooks'

const HANDLERS = 2000
const AWAITS = 100

const first = new AsyncLocalStorage<object>()
const second = new AsyncLocalStorage<object>()

async function handle(): Promise<void> {
  for (let i = 0; i < AWAITS; i += 1) await Promise.resolve(i)
}

async function cpuMicros(run: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage()
  for (let i = 0; i < HANDLERS; i += 1) await run()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / HANDLERS
}

async function withOne(): Promise<number> {
  second.disable()
  return cpuMicros(() => first.run({}, handle))
}

async function withTwo(): Promise<number> {
  return cpuMicros(() => second.run({}, () => first.run({}, handle)))
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!
}

const rounds = Number(process.argv[2] ?? 15)
await withTwo()
await withOne()
const found: { one: number; two: number }[] = []
for (let round = 0; round < rounds; round += 1) {
  if (round % 2 === 0) found.push({ one: await withOne(), two: await withTwo() })
  else {
    const two = await withTwo()
    found.push({ one: await withOne(), two })
  }
}
const ratios = found.map(({ one, two }) => two / one)
console.log(
  `| ${process.version} | ${median(found.map(({ one }) => one)).toFixed(0)} µs | ` +
    `${median(found.map(({ two }) => two)).toFixed(0)} µs | ${median(ratios).toFixed(2)} | ` +
    `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)} |`,
)
