// What undici, and `fetch()` with it, keeps on a socket under symbols (lib/core/symbols.js,
// lib/core/request.js, lib/dispatcher/client.js, as bundled in Node 20.20 to 26.10).
import type { Socket } from 'node:net'
import { bySymbol, hasListener, readAny, readField } from '../core/foreign.js'

export function undiciRequestOn(socket: Socket): object | null {
  const client = undiciClientOn(socket)
  return client === null ? null : requestRunningOn(client)
}

export function requestRunningOn(client: object): object | null {
  const queue = bySymbol(client, 'queue')
  const running = bySymbol(client, 'running index')
  const pending = bySymbol(client, 'pending index')
  if (!Array.isArray(queue) || typeof running !== 'number' || running === pending) return null
  return (queue[running] as object | null | undefined) ?? null
}

/** `statusCode` is 0 or `null` before the head of the answer (lib/dispatcher/client-h1.js `Parser`). */
export function isAnsweredByUndici(socket: Socket): boolean {
  const parser = bySymbol(socket, 'parser')
  return typeof parser !== 'object' || parser === null || Number(readField(parser, 'statusCode')) > 0
}

export function isHeldByUndici(socket: Socket): boolean {
  return undiciClientOn(socket) !== null
}

/** The response body as the application reads it, or before its decoders. */
export function undiciBodyOn(socket: Socket): object | null {
  const request = undiciRequestOn(socket)
  const handler = request === null ? null : bySymbol(request, 'handler')
  if (typeof handler !== 'object' || handler === null) return null
  const body = readField(handler, 'body') ?? readField(handler, 'res')
  return typeof body === 'object' ? body : null
}

export interface ClientLoad {
  readonly origin: string
  readonly library: 'node:http' | 'undici'
  readonly busy: number
  readonly free: number
  readonly queued: number
  /** Oldest first; the first one alone if the others can't be seen. */
  readonly queue: readonly object[]
  readonly running: readonly object[]
}

export function undiciClientOn(socket: Socket): object | null {
  // An agent of node:http holds it.
  if (hasListener(socket, 'agentRemove')) return null
  // undici adds a listener to that of net.Socket.
  if (!hasListener(socket, 'end', 2)) return null
  const client = bySymbol(socket, 'client')
  return typeof client === 'object' ? client : null
}

// The pools of the global dispatcher, and found clients outside of them; a client does not lead to a pool that an
// application made. Fields `clients`, `queued` and `queue` of lib/dispatcher/{agent,pool-base,fixed-queue}.js.
export function undiciLoads(found: ReadonlySet<object>): ClientLoad[] {
  const alone = new Set(found)
  const agents = new Set(
    [1, 2].map((version) => readAny(globalThis, Symbol.for(`undici.globalDispatcher.${version}`))),
  )
  const loads: ClientLoad[] = []
  for (const agent of agents) {
    const pools: unknown = isObject(agent) ? bySymbol(agent, 'clients') : null
    if (!(pools instanceof Map)) continue
    for (const held of (pools as Map<unknown, object>).values()) {
      const pool = readField(held, 'dispatcher') ?? held
      const clients = bySymbol(pool, 'clients')
      const members = Array.isArray(clients) ? (clients as object[]) : [pool]
      for (const member of members) alone.delete(member)
      loads.push(loadOf(pool, members))
    }
  }
  return [...loads, ...[...alone].map((client) => loadOf(client, [client]))]
}

function loadOf(pool: object, members: readonly object[]): ClientLoad {
  const running = members.map(requestRunningOn).filter((request) => request !== null)
  const pending = members.flatMap(pendingOn)
  const queued = Number(bySymbol(pool, 'queued')) || 0
  const head = queued === 0 ? null : headOf(bySymbol(pool, 'queue'))
  const stats = readField(pool, 'stats')
  return {
    origin: String(readField(bySymbol(pool, 'url') ?? {}, 'origin')),
    library: 'undici',
    busy: running.length,
    free: isObject(stats) ? Number(readField(stats, 'free')) || 0 : 0,
    queued: queued + pending.length,
    queue: head === null ? pending : [head],
    running,
  }
}

function pendingOn(client: object): object[] {
  const queue = bySymbol(client, 'queue')
  return Array.isArray(queue) ? (queue as object[]).slice(Number(bySymbol(client, 'pending index'))) : []
}

function headOf(queue: unknown): object | null {
  const tail = isObject(queue) ? readField(queue, 'tail') : null
  const list = isObject(tail) ? readField(tail, 'list') : null
  const head: unknown = isObject(tail) && Array.isArray(list) ? list[Number(readField(tail, 'bottom'))] : null
  return isObject(head) ? head : null
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
