import { Server } from 'node:net'
import { readField } from '../core/foreign.js'
import type { Hold, Holder, ClosingReport } from '../core/report.js'
import type { Kind } from '../core/vocabulary.js'
import { kindOf, nameListener } from '../owner/resolve.js'
import { describeClosing } from '../report/closing.js'
import { activeHandles, responseOn, serverOf, tcpHandleOf } from '../socket/fields.js'
import type { SocketRecord } from '../socket/record.js'
import type { Look } from './look.js'

const MOST_NAMED = 500
const MOST_HOLDERS = 10

export interface ClosingHooks {
  readonly ledger: Iterable<SocketRecord>
  readonly graceMs: number
  now(): number
  look(): Look
  onDue(closing: ClosingReport): void
}

export class Closings {
  readonly #hooks: ClosingHooks
  readonly #closedMs = new WeakMap<object, number>()
  readonly #told = new WeakSet<object>()
  #listener: WeakRef<Server> | null = null
  #silence: object = {}

  constructor(hooks: ClosingHooks) {
    this.#hooks = hooks
  }

  afterSweep(): void {
    const nowMs = this.#hooks.now()
    const waiting = this.#waiting()
    for (const key of waiting.keys()) if (!this.#closedMs.has(key)) this.#closedMs.set(key, nowMs)
    for (const [key, records] of waiting) {
      if (!this.#isDue(key, nowMs) || this.#told.has(key)) continue
      this.#told.add(key)
      this.#hooks.onDue(this.#describe(key, records, this.#hooks.look()))
    }
  }

  report(look: Look): ClosingReport[] {
    return [...this.#waiting()]
      .filter(([key]) => this.#isDue(key, look.nowMs))
      .map(([key, records]) => this.#describe(key, records, look))
  }

  #isDue(key: object, nowMs: number): boolean {
    return nowMs - (this.#closedMs.get(key) ?? nowMs) >= this.#hooks.graceMs
  }

  #waiting(): Map<object, SocketRecord[]> {
    const waiting = new Map<object, SocketRecord[]>()
    const others: SocketRecord[] = []
    const closed = new Map<Server, boolean>()
    for (const record of this.#hooks.ledger) {
      const server = record.direction === 'inbound' ? serverOf(record.socket) : null
      if (server !== null && !closed.has(server)) closed.set(server, isClosed(server))
      if (server !== null && closed.get(server) === true) {
        const records = waiting.get(server)
        if (records === undefined) waiting.set(server, [record])
        else records.push(record)
      } else others.push(record)
    }
    if (!others.some(isOfListener) && this.#hasFallenSilent()) {
      const holding = others.filter(({ socket }) => tcpHandleOf(socket)?.hasRef?.() !== false)
      if (holding.length > 0) waiting.set(this.#silence, holding)
    } else if (this.#closedMs.has(this.#silence)) this.#silence = {}
    return waiting
  }

  #hasFallenSilent(): boolean {
    if (isListening(this.#listener?.deref())) return false
    const found = activeHandles().find((handle) => handle instanceof Server && isListening(handle))
    if (found !== undefined) this.#listener = new WeakRef(found as Server)
    return found === undefined && this.#listener !== null
  }

  #describe(key: object, records: readonly SocketRecord[], look: Look): ClosingReport {
    const first = records[0]!
    const closing = {
      server: key instanceof Server ? nameListener(first, look.sources.ports) : null,
      sinceMs: Math.round(look.nowMs - (this.#closedMs.get(key) ?? look.nowMs)),
      connections: records.length,
      holders: holdersOf(records.slice(0, MOST_NAMED), look),
    }
    return { ...closing, line: describeClosing(closing) }
  }
}

function holdersOf(records: readonly SocketRecord[], look: Look): Holder[] {
  const holders = new Map<string, { -readonly [K in keyof Holder]: Holder[K] }>()
  for (const record of records) {
    const kind = kindOf(record)
    const owner = look.resolve(record)
    const how = holdOf(record, kind)
    const key = `${how} ${owner.site}`
    const holder = holders.get(key) ?? { how, site: owner.site, count: 0, oldestMs: 0 }
    holder.count += 1
    holder.oldestMs = Math.max(holder.oldestMs, Math.round(look.nowMs - record.firstSeenMs))
    holders.set(key, holder)
  }
  return [...holders.values()].sort((a, b) => b.count - a.count).slice(0, MOST_HOLDERS)
}

function holdOf({ socket, peerEndedMs, localEndedMs }: SocketRecord, kind: Kind): Hold {
  if (kind === 'upgrade' || kind === 'connect' || kind === 'websocket' || kind === 'h2') return kind
  if (peerEndedMs + localEndedMs > 0) return 'half-open'
  if (kind !== 'http') return 'open'
  return responseOn(socket) === null ? 'keep-alive' : 'unanswered'
}

/** `close()` was called (lib/net.js `Server.close`). A server that never listened has no `_connectionKey`. */
function isClosed(server: Server): boolean {
  return !isListening(server) && typeof readField(server, '_connectionKey') === 'string'
}

function isListening(server: object | null | undefined): boolean {
  return server != null && readField(server, 'listening') === true
}

/** In a cluster's worker, where the primary listens, no handle of the process shows it. */
function isOfListener({ socket, direction }: SocketRecord): boolean {
  return direction === 'inbound' && isListening(serverOf(socket))
}
