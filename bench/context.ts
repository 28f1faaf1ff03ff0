/**
 * What knowing the request costs: CPU per request of a handler that awaits a lot, for each source of context, as a ratio to
 * the same server with the guard and `context: 'off'`.
 *
 * `node build/bench/context.js [rounds]` prints Markdown tables for the Node that runs it. Every measurement is a process of
 * its own; the sources take turns within a round, and the ratio is taken within the round, so that a machine that grows
 * slower meanwhile slows all of them. `off` is measured twice: the second is the noise.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { createNamespace } from 'cls-hooked'
import { fromClsHooked, install } from '../src/index.js'
import { usesAsyncContextFrame } from '../src/owner/context/async-context-frame.js'
import type { ContextChoice } from '../src/options/options.js'

const SOURCES = ['off', 'off again', 'auto', 'async-local-storage', 'cls-hooked'] as const
/** The same with an application that runs its handlers in an AsyncLocalStorage of its own. */
const BESIDE = ['off beside', 'off again beside', 'async-local-storage beside'] as const
type Source = (typeof SOURCES | typeof BESIDE)[number]

const REQUESTS = 6000
const WARM_UP = 2000
const AWAITS = 100
const CONNECTIONS = 10

async function handle(): Promise<string> {
  for (let i = 0; i < AWAITS; i += 1) await Promise.resolve(i)
  return 'done'
}

/** With cls-hooked the application keeps a namespace of its own, as it has to: that is its cost, not the reading. */
function createServer(source: Source): http.Server {
  if (source.endsWith(' beside')) return createServerBeside(source.slice(0, -' beside'.length))
  if (source !== 'cls-hooked') {
    install({ context: choiceOf(source), kernel: 'off' })
    return http.createServer(async (_request, response) => response.end(await handle()))
  }
  const namespace = createNamespace('bench')
  install({ context: fromClsHooked(namespace, ['request']), kernel: 'off' })
  return http.createServer((request, response) => {
    namespace.run(() => {
      namespace.set('request', `${request.method} ${request.url}`)
      void handle().then((body) => response.end(body))
    })
  })
}

/** What the guard's storage adds where the application already pays for one. */
function createServerBeside(source: string): http.Server {
  const storage = new AsyncLocalStorage<{ id: number }>()
  let id = 0
  install({ context: choiceOf(source), kernel: 'off' })
  return http.createServer((_request, response) => {
    storage.run({ id: ++id }, () => void handle().then((body) => response.end(body)))
  })
}

function choiceOf(source: string): ContextChoice {
  return source === 'off again' ? 'off' : (source as ContextChoice)
}

async function load(port: number, count: number): Promise<void> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS })
  let left = count
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      for (; left > 0; left -= 1) {
        const request = http.get({ port, host: '127.0.0.1', agent })
        const [response] = (await once(request, 'response')) as [http.IncomingMessage]
        response.resume()
        await once(response, 'close')
      }
    }),
  )
  agent.destroy()
}

/** Serves in this process; the parent is the client. Prints its port, then at each line of input its CPU time. */
async function serve(source: Source): Promise<void> {
  const server = createServer(source)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  process.send!((server.address() as AddressInfo).port)
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    process.send!(user + system)
  })
  process.on('disconnect', () => process.exit())
}

async function measure(source: Source): Promise<number> {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), 'serve', source], {
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  })
  const complaints = text(child.stderr!)
  async function hear(): Promise<number> {
    const [number] = (await once(child, 'message')) as [number]
    return number
  }
  async function cpuMicros(): Promise<number> {
    child.send('cpu')
    return hear()
  }
  const port = await hear()
  await load(port, WARM_UP)
  const before = await cpuMicros()
  await load(port, REQUESTS)
  const micros = (await cpuMicros()) - before
  child.disconnect()
  await once(child, 'exit')
  process.stderr.write(await complaints)
  return micros / REQUESTS
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return (sorted[Math.floor((sorted.length - 1) / 2)]! + sorted[Math.ceil((sorted.length - 1) / 2)]!) / 2
}

interface Measured {
  readonly micros: number[]
  readonly ratios: number[]
}

async function compare(sources: readonly Source[], rounds: number): Promise<string> {
  const measured = new Map<Source, Measured>(sources.map((source) => [source, { micros: [], ratios: [] }]))
  for (let round = 0; round < rounds; round += 1) {
    const found = new Map<Source, number>()
    const order = round % 2 === 0 ? sources : [...sources].reverse()
    for (const source of order) found.set(source, await measure(source))
    for (const [source, value] of found) {
      measured.get(source)!.micros.push(value)
      measured.get(source)!.ratios.push(value / found.get(sources[0]!)!)
    }
  }
  const rows = sources.map((source) => {
    const { micros, ratios } = measured.get(source)!
    const spread = `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`
    const name = source.replace(/ beside$/, '')
    return `| \`${name}\` | ${median(micros).toFixed(0)} µs | ${median(ratios).toFixed(2)} | ${spread} |`
  })
  return [
    '| context | CPU per request | ratio to `off` (median) | spread |',
    '|---|---|---|---|',
    ...rows,
  ].join('\n')
}

async function compareAll(rounds: number): Promise<string> {
  const chosen = usesAsyncContextFrame()
    ? 'chooses `async-local-storage`'
    : 'knows a request while its handler runs'
  const about = `Node ${process.version}, ${rounds} rounds, ${AWAITS} awaits a request`
  return [
    `${about}; \`auto\` ${chosen}`,
    await compare(SOURCES, rounds),
    `${about}; the application runs an AsyncLocalStorage of its own`,
    await compare(BESIDE, rounds),
  ].join('\n\n')
}

if (process.argv[2] === 'serve') await serve(process.argv[3] as Source)
else console.log(await compareAll(Number(process.argv[2] ?? 7)))
