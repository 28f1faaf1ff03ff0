// What undici, and `fetch()`, keeps on a socket under symbols (lib/core/, lib/dispatcher/; Node 20.20 to 26.10).
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { bySymbol, hasListener, listenersOf, readAny, readField } from '../core/foreign.js'

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

/** What undici tells of the answer: an object of `fetch()`, or the handler of `request()`, `stream()` and the like. */
export function undiciHandlerOn(socket: Socket): object | null {
  const request = undiciRequestOn(socket)
  const handler = request === null ? null : bySymbol(request, 'handler')
  return isObject(handler) ? handler : null
}

/** The response body as the application reads it, or before its decoders. */
export function undiciBodyOn(socket: Socket): object | null {
  const handler = undiciHandlerOn(socket)
  if (handler === null) return null
  const body = readField(handler, 'body') ?? readField(handler, 'res')
  return typeof body === 'object' ? body : null
}

export interface ClientLoad {
  readonly origin: string
  readonly library: 'node:http' | 'undici'
  readonly busy: number
  readonly free: number
  readonly queued: number
  readonly queue: readonly object[]
  readonly running: readonly object[]
}

/** `null` between steps: a pool may have thousands of clients, and there may be thousands of pools. */
export type Loads = Generator<ClientLoad | null, void>

const CLIENTS_A_STEP = 16

export function undiciClientOn(socket: Socket): object | null {
  // An agent of node:http holds it.
  if (hasListener(socket, 'agentRemove')) return null
  // undici adds a listener to that of net.Socket.
  if (!hasListener(socket, 'end', 2)) return null
  const client = bySymbol(socket, 'client')
  return typeof client === 'object' ? client : null
}

// The pools of the global dispatcher and those of found clients. Fields `clients`, `queued` and `queue` of
// lib/dispatcher/{agent,pool-base,fixed-queue}.js.
export function* undiciLoads(found: ReadonlySet<object>): Loads {
  const alone = new Set(found)

  function* look(pool: object): Loads {
    const members = yield* clientsOf(pool)
    for (const member of members) alone.delete(member)
    yield yield* loadOf(pool, members)
  }

  for (const pool of globalPools()) yield* look(pool)
  for (const client of found) if (alone.has(client)) yield* look(poolOver(client))
}

function globalPools(): object[] {
  const agents = [1, 2].map((version) =>
    readAny(globalThis, Symbol.for(`undici.globalDispatcher.${version}`)),
  )
  return [...new Set(agents)].flatMap((agent) => {
    const pools: unknown = isObject(agent) ? bySymbol(agent, 'clients') : null
    if (!(pools instanceof Map)) return []
    return [...(pools as Map<unknown, object>).values()].map(
      (held) => (readField(held, 'dispatcher') as object | undefined) ?? held,
    )
  })
}

function* clientsOf(pool: object): Generator<null, object[]> {
  const clients = bySymbol(pool, 'clients')
  if (!Array.isArray(clients)) return [pool]
  const found: object[] = []
  for (const [i, client] of ([...clients] as object[]).entries()) {
    found.push(...(yield* clientsOf(client)))
    if (i % CLIENTS_A_STEP === CLIENTS_A_STEP - 1) yield null
  }
  return found
}

// `pool.emit('connect', ...)` is all that this listener of a client does, in undici 5.0 to 8.13.
const ON_CONNECT = /^\((\w+),(\w+)\)=>\{?(\w+)\.emit\((["'])connect\4,\1,\[\3,\.\.\.\2\]\);?\}?$/
const MOST_LEVELS = 3

// A client does not know its pool. Its pool's listener does, and shows it to the getter by which it finds `emit`. It
// never gets as far as a call of `emit`, because the targets throw before.
function poolOver(client: object): object {
  let top = client
  for (let level = 0; level < MOST_LEVELS; level += 1) {
    const pool = listenersOf(top, 'connect')
      .map((listener) => emitterIn(listener, top))
      .find(isPool)
    if (pool === undefined) break
    top = pool
  }
  return top
}

function isPool(found: object | null): found is object {
  return found !== null && Array.isArray(bySymbol(found, 'clients'))
}

function emitterIn(listener: Function, client: object): object | null {
  if (!ON_CONNECT.test(Function.prototype.toString.call(listener).replaceAll(/\s/g, ''))) return null
  const base = baseUnderEmitter(client)
  if (base === null) return null
  let found: object | null = null
  const targets = {
    [Symbol.iterator](): never {
      throw new Error('seen')
    },
  }
  const emit = {
    configurable: true,
    get(this: object): unknown {
      found = this
      return undefined
    },
  }
  try {
    Object.defineProperty(base, 'emit', emit)
    Reflect.apply(listener, client, [null, targets])
  } catch {
    // As the targets have it.
  } finally {
    Reflect.deleteProperty(base, 'emit')
  }
  return found
}

/** The prototype of all undici's dispatchers, or `null` if somebody gave them an `emit` of their own. */
function baseUnderEmitter(client: object): object | null {
  let base = Object.getPrototypeOf(client) as object | null
  while (base !== null && Object.getPrototypeOf(base) !== EventEmitter.prototype)
    base = Object.getPrototypeOf(base) as object | null
  return base === null || Object.hasOwn(base, 'emit') ? null : base
}

function originOf(pool: object): string | null {
  const origin = readField(bySymbol(pool, 'url') ?? {}, 'origin')
  return typeof origin === 'string' ? origin : null
}

function* loadOf(pool: object, members: readonly object[]): Generator<null, ClientLoad> {
  const running: object[] = []
  const pending: object[] = []
  for (const [i, member] of members.entries()) {
    const request = requestRunningOn(member)
    if (request !== null) running.push(request)
    for (const one of pendingOn(member)) pending.push(one)
    if (i % CLIENTS_A_STEP === CLIENTS_A_STEP - 1) yield null
  }
  const queued = Number(bySymbol(pool, 'queued')) || 0
  const waiting = queued === 0 ? [] : waitingIn(bySymbol(pool, 'queue'))
  const stats = readField(pool, 'stats')
  return {
    origin: originOf(pool) ?? originOf(members[0] ?? pool) ?? 'undici',
    library: 'undici',
    busy: running.length,
    free: isObject(stats) ? Number(readField(stats, 'free')) || 0 : 0,
    queued: queued + pending.length,
    queue: [...waiting, ...pending],
    running,
  }
}

function pendingOn(client: object): object[] {
  const queue = bySymbol(client, 'queue')
  return Array.isArray(queue) ? (queue as object[]).slice(Number(bySymbol(client, 'pending index'))) : []
}

function waitingIn(queue: unknown): object[] {
  const tail = isObject(queue) ? readField(queue, 'tail') : null
  const list = isObject(tail) ? readField(tail, 'list') : null
  if (!isObject(tail) || !Array.isArray(list)) return []
  const bottom = Number(readField(tail, 'bottom'))
  return [...(list as unknown[]).slice(bottom), ...(list as unknown[]).slice(0, bottom)].filter(isObject)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
