/**
 * A model: both peers, the guard and time act in any order on real sockets. Whatever they did, in the end what the guard says is
 * what the kernel says; what was alive was let be, what was dead is gone, and nothing was told twice.
 *
 * `MODEL_RUNS=1000 node build/test/integration/model.test.js` tries more; `MODEL_SEED` repeats a run.
 */
import { once } from 'node:events'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import tls from 'node:tls'
import fc from 'fast-check'
import t from 'tap'
import { install, type Guard, type GuardEvent, type SocketReport } from '../../src/index.js'
import { CERTIFICATE } from '../support/certificate.js'
import { statesOf } from '../support/descriptors.js'
import { listen, meet } from '../support/events.js'
import { Peer, type PeerConnection } from '../support/peer.js'
import { until } from '../support/until.js'

const RUNS = Number(process.env['MODEL_RUNS'] ?? 8)
const SEED = Number(process.env['MODEL_SEED'] ?? Date.now() % 1_000_000_000)
const GRACE_MS = 60
/** What reads /proc rests for a hundred times what it took, and on a busy machine that is long. */
const PATIENCE_MS = 90_000

const KINDS = ['accepted', 'unread', 'outgoing', 'tls'] as const
type Kind = (typeof KINDS)[number]

interface Setting {
  readonly kind: Kind
  readonly allowHalfOpen: boolean
}

const ACTS = {
  peer: ['write', 'flood', 'end', 'end', 'pause', 'resume', 'reset', 'destroy'],
  application: ['read', 'read', 'pause', 'write', 'flood', 'end', 'destroy'],
  guard: ['sweep', 'exempt', 'report'],
  time: ['wait'],
} as const

interface Act {
  readonly on: number
  readonly by: keyof typeof ACTS
  readonly does: string
}

const CONNECTIONS = 4
const FLOOD_BYTES = 4_000_000

const anyAct: fc.Arbitrary<Act> = fc
  .constantFrom<keyof typeof ACTS>('peer', 'peer', 'peer', 'application', 'application', 'guard', 'time')
  .chain((by) =>
    fc.record({
      on: fc.nat(CONNECTIONS - 1),
      by: fc.constant(by),
      does: fc.constantFrom<string>(...ACTS[by]),
    }),
  )

const anyLife = fc.record({
  kernel: fc.constantFrom('ffi' as const, 'proc' as const, 'off' as const),
  settings: fc.array(fc.record<Setting>({ kind: fc.constantFrom(...KINDS), allowHalfOpen: fc.boolean() }), {
    minLength: CONNECTIONS,
    maxLength: CONNECTIONS,
  }),
  acts: fc.array(anyAct, { maxLength: 30 }),
})

class Link {
  readonly socket: net.Socket
  readonly #peer: PeerConnection
  readonly #guard: Guard
  /** The guard's. */
  readonly id: number
  readonly localPort: number
  readonly remotePort: number
  isExempt = false
  /** Since the last event: it begins anew then. */
  wasExempted = false
  /** The application has asked for what comes in. */
  isAsked = false

  constructor(socket: net.Socket, peer: PeerConnection, guard: Guard) {
    this.socket = socket.on('error', () => {})
    this.#peer = peer
    this.#guard = guard
    this.id = guard.adapter.describe(socket)!.id
    this.localPort = socket.localPort!
    this.remotePort = socket.remotePort!
  }

  /** What a connection whose row has gone is in, or one of which only an orphan is left. */
  get kernelState(): string {
    const [state] = statesOf(this.localPort, this.remotePort).filter((name) => name !== 'TIME_WAIT')
    return state ?? 'CLOSE'
  }

  get name(): string {
    return `${this.localPort} → ${this.remotePort}`
  }

  async act({ by, does }: Act): Promise<void> {
    if (by === 'peer') await this.#actOfPeer(does)
    else if (by === 'application') this.#actOfApplication(does)
    else if (does === 'exempt') this.#exempt()
    else if (does === 'sweep') this.#guard.sweep()
    else if (does === 'report') this.#guard.report({ all: true })
    else await sleep(GRACE_MS)
  }

  async #actOfPeer(does: string): Promise<void> {
    if (does === 'flood') this.#peer.do({ do: 'write', bytes: FLOOD_BYTES })
    else if (does === 'write') this.#peer.do({ do: 'write', text: 'hello' })
    else this.#peer.do({ do: does as 'end' | 'reset' })
    await this.settled()
  }

  #exempt(): void {
    this.isExempt = !this.isExempt
    this.wasExempted = true
    this.#guard.exempt(this.socket, this.isExempt)
  }

  async settled(): Promise<void> {
    await this.#peer.settled()
  }

  #actOfApplication(does: string): void {
    const { socket } = this
    if (does === 'read' || does === 'pause') this.isAsked = true
    if (does === 'read') socket.resume()
    else if (does === 'pause') socket.pause()
    else if (does === 'end') socket.end()
    else if (does === 'destroy') socket.destroy()
    else if (!socket.writableEnded) socket.write(Buffer.alloc(does === 'flood' ? FLOOD_BYTES : 10))
  }
}

async function connect(peer: Peer, guard: Guard, { kind, allowHalfOpen }: Setting): Promise<Link> {
  if (kind === 'outgoing') {
    const far = peer.open().do({ do: 'listen' })
    const { port } = await far.saw('listening')
    const socket = net.connect({ port: port!, host: '127.0.0.1', allowHalfOpen })
    await Promise.all([once(socket, 'connect'), far.saw('connected')])
    return new Link(socket, far, guard)
  }
  const server =
    kind === 'tls'
      ? tls.createServer({ ...CERTIFICATE, allowHalfOpen })
      : net.createServer({ allowHalfOpen, pauseOnConnect: kind === 'unread' })
  await listen(server)
  const { socket, connection } = await meet(peer, server, { tls: kind === 'tls' })
  server.close()
  const link = new Link(socket, connection, guard)
  if (kind === 'accepted') await link.act({ on: 0, by: 'application', does: 'read' })
  return link
}

/** What holds at every single event. */
class Chronicle {
  readonly faults: string[] = []
  readonly #last = new Map<number, GuardEvent['type']>()
  readonly #links: readonly Link[]
  ends = 0

  constructor(links: readonly Link[], guard: Guard) {
    this.#links = links
    guard.subscribe((event) => this.#hear(event))
  }

  #hear({ type, socket }: GuardEvent): void {
    const link = this.#links.find(({ id }) => id === socket.id)
    if (link?.wasExempted === true) this.#last.delete(socket.id)
    if (link !== undefined) link.wasExempted = false
    const last = this.#last.get(socket.id)
    this.#last.set(socket.id, type)
    const name = `${type} after ${last ?? 'nothing'}: ${link?.name ?? 'an unknown socket'}`
    if (link === undefined || last === 'dead' || last === 'reclaimed') this.faults.push(name)
    // Of a suspicion that passes nobody is told.
    if (type === last && type !== 'suspect') this.faults.push(name)
    if (type === 'recovered' && last !== 'leaked') this.faults.push(name)
    if (type === 'reclaimed') this.faults.push(`${name}, with action "report"`)
    if (type === 'dead') this.ends += 1
    if (type === 'dead' && link !== undefined && link.kernelState !== 'CLOSE') {
      this.faults.push(`${name}, in ${link.kernelState}`)
    }
    if (type === 'leaked' && link?.isExempt === true) this.faults.push(`${name}, exempt`)
  }
}

/** What is still other than it should be at rest, or `null`. */
function disagreement(
  link: Link,
  guard: Guard,
  sockets: readonly SocketReport[],
  kernel: string,
): string | null {
  const { socket, isExempt, kernelState } = link
  const rows = sockets.filter(({ id }) => id === link.id)
  if (socket.destroyed) return rows.length === 0 ? null : 'closed, and still in the report'
  const row = guard.adapter.describe(socket)
  if (row === null || rows.length !== 1) return `open, and ${rows.length} times in the report`
  const { verdict, condition } = row
  if (row.kernelState !== null && row.kernelState !== kernelState) {
    return `${row.kernelState} for the guard, ${kernelState} for the kernel`
  }
  const isBlind = kernel === 'off' && !socket.readableEnded && !socket.writableEnded
  const expected = ((): readonly string[] => {
    if (kernelState === 'CLOSE') return socket.readableEnded ? [] : ['leaked']
    if (kernelState !== 'ESTABLISHED') return isBlind ? ['leaked', 'none'] : ['leaked']
    if (socket.writableEnded) return ['leaked']
    return link.isAsked ? ['none', 'stalled'] : ['none', 'stalled', 'leaked']
  })()
  const wanted = isExempt ? ['exempt', 'none', ...(expected.length === 0 ? [] : ['stalled'])] : expected
  if (expected.length > 0 && wanted.includes(verdict)) return null
  return `${verdict} (${condition}) in ${kernelState}, not ${wanted.join(' or ') || 'closed'}`
}

async function live(
  peer: Peer,
  { kernel, settings, acts }: typeof anyLife extends fc.Arbitrary<infer L> ? L : never,
) {
  using guard = install({ graceMs: GRACE_MS, sweepMs: 20, kernel, log: false })
  const links: Link[] = []
  const chronicle = new Chronicle(links, guard)
  try {
    for (const setting of settings) links.push(await connect(peer, guard, setting))
    for (const act of acts) await links[act.on]!.act(act)
    await Promise.all(links.map((link) => link.settled()))
    let wrong: (string | null)[] = []
    const agree = until(
      () => {
        const { sockets } = guard.sweep({ all: true, limit: 100 })
        wrong = links.map((link) => disagreement(link, guard, sockets, kernel))
        return wrong.every((it) => it === null)
      },
      'the guard and the kernel agree',
      PATIENCE_MS,
    )
    await agree.catch((error: unknown) => {
      const told = links.map(
        ({ name }, index) => `${settings[index]!.kind} ${name}: ${wrong[index] ?? 'right'}`,
      )
      throw new Error(told.join('\n'), { cause: error })
    })
    if (chronicle.faults.length > 0) throw new Error(chronicle.faults.join('\n'))
  } finally {
    for (const { socket } of links) socket.destroy()
  }
  const { totals } = guard.sweep()
  if (totals.tracked !== 0 || totals.reclaimed !== 0 || totals.dead !== chronicle.ends) {
    throw new Error(`at the end: ${JSON.stringify(totals)}, ${chronicle.ends} times told dead`)
  }
  if (chronicle.faults.length > 0) throw new Error(chronicle.faults.join('\n'))
}

t.setTimeout(0)
t.test(
  `the guard's view is the kernel's (seed ${SEED}, ${RUNS} runs)`,
  { skip: process.platform !== 'linux' },
  async (t) => {
    const peer = new Peer()
    t.teardown(() => peer.kill())
    await fc.assert(
      fc.asyncProperty(anyLife, (life) => live(peer, life)),
      { numRuns: RUNS, seed: SEED, endOnFailure: process.env['MODEL_SHRINK'] === undefined },
    )
  },
)
