// From the documented `sockets`, `freeSockets` and `requests` of node:http's agents, and from undici's pools.
import type { Socket } from 'node:net'
import { readAny, readField, readText } from '../core/foreign.js'
import type { RequestCount } from '../core/report.js'
import { clientRequestOf } from '../socket/fields.js'
import type { SocketRecord } from '../socket/record.js'
import { undiciClientOn, undiciLoads, type ClientLoad, type Loads } from '../socket/undici.js'
import { hostOf, nameOutgoing } from './outgoing.js'
import { nameRequest, siteOfRequest, ToldRoutes, withoutUser } from './request-name.js'

export class ClientFinder {
  readonly #agents = new Set<object>()
  readonly #clients = new Set<object>()

  add({ socket }: SocketRecord): void {
    const request = clientRequestOf(socket)
    const agent = request === null ? null : readField(request, 'agent')
    if (typeof agent === 'object' && agent !== null) this.#agents.add(agent)
    const client = request === null ? undiciClientOn(socket) : null
    if (client !== null) this.#clients.add(client)
  }

  *loads(): Loads {
    for (const agent of this.#agents) yield* loadsOfAgent(agent)
    if (this.#clients.size > 0) yield* undiciLoads(this.#clients)
  }
}

function loadsOfAgent(agent: object): ClientLoad[] {
  return namesIn(agent, 'requests').flatMap((name) => {
    // Node leaves a destroyed request in the queue until its turn comes.
    const queue = listIn(agent, 'requests', name).filter(
      (request) => readField(request, 'destroyed') !== true,
    )
    const [first] = queue
    if (first === undefined) return []
    const sockets = listIn(agent, 'sockets', name) as readonly Socket[]
    const running = sockets.map(clientRequestOf).filter((request) => request !== null)
    const free = listIn(agent, 'freeSockets', name).length
    const origin = withoutUser(`${readText(first, 'protocol')}//${hostOf(first)}`)
    return [
      { origin, library: 'node:http', busy: sockets.length, free, queued: queue.length, queue, running },
    ]
  })
}

const MOST_SITES = 3
const NAMES_A_STEP = 64
const NO_ROUTES = new ToldRoutes()

export function countRequests(requests: readonly object[]): RequestCount[] {
  const steps = countInSteps(requests)
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
  }
}

export function* countInSteps(requests: readonly object[]): Generator<null, RequestCount[]> {
  const counts = new Map<string, number>()
  for (const [i, request] of requests.entries()) {
    if (i % NAMES_A_STEP === NAMES_A_STEP - 1) yield null
    const name = nameOutgoing(request, '') ?? nameRequest(request, NO_ROUTES)
    if (name === null) continue
    const site = siteOfRequest({ ...name, route: '' })
    counts.set(site, (counts.get(site) ?? 0) + 1)
  }
  const sites = [...counts].map(([site, count]) => ({ site, count }))
  return sites.sort((a, b) => b.count - a.count).slice(0, MOST_SITES)
}

type Table = 'sockets' | 'freeSockets' | 'requests'

function namesIn(agent: object, table: Table): string[] {
  return Object.keys(readField(agent, table) ?? {})
}

function listIn(agent: object, table: Table, name: string): readonly object[] {
  const list = readAny(readField(agent, table) ?? {}, name)
  return Array.isArray(list) ? (list as object[]) : []
}
