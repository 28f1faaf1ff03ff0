/** A raw TCP peer in a process of its own, so that its end of a connection is never one of our descriptors. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'

export type PeerCommand = { readonly id: number } & (
  | {
      readonly do: 'connect'
      readonly port: number
      readonly host?: string
      readonly tls?: boolean
      readonly paused?: boolean
      readonly linger2?: number
    }
  | { readonly do: 'listen'; readonly tls?: boolean; readonly paused?: boolean }
  | { readonly do: 'write'; readonly text?: string; readonly bytes?: number }
  | { readonly do: 'end'; readonly text?: string }
  | { readonly do: 'reset' | 'destroy' | 'pause' | 'resume' | 'settle' }
)

type Told<C> = C extends PeerCommand ? Omit<C, 'id'> : never

export interface PeerEvent {
  readonly id: number
  readonly event: 'listening' | 'connected' | 'data' | 'written' | 'end' | 'error' | 'close' | 'settled'
  readonly port?: number
  readonly bytes?: number
  readonly text?: string
  readonly code?: string
}

/** One connection of the peer. */
export class PeerConnection {
  readonly id: number
  readonly seen: PeerEvent[] = []
  readonly #peer: Peer
  #wake: (() => void)[] = []

  constructor(peer: Peer, id: number) {
    this.#peer = peer
    this.id = id
  }

  do(command: Told<PeerCommand>): this {
    this.#peer.child.send({ ...command, id: this.id })
    return this
  }

  hear(event: PeerEvent): void {
    this.seen.push(event)
    const waiting = this.#wake
    this.#wake = []
    for (const wake of waiting) wake()
  }

  /** Waits until the peer has seen this event, also if it has seen it already. */
  async saw(
    event: PeerEvent['event'],
    matches: (event: PeerEvent) => boolean = () => true,
  ): Promise<PeerEvent> {
    for (;;) {
      const found = this.seen.find((seen) => seen.event === event && matches(seen))
      if (found !== undefined) return found
      await new Promise<void>((resolve) => this.#wake.push(resolve))
    }
  }

  /** Everything that it was told has reached its kernel. */
  async settled(): Promise<void> {
    const before = this.seen.filter(({ event }) => event === 'settled').length
    this.do({ do: 'settle' })
    await this.saw('settled', () => this.seen.filter(({ event }) => event === 'settled').length > before)
  }

  has(event: PeerEvent['event']): boolean {
    return this.seen.some((seen) => seen.event === event)
  }
}

export class Peer {
  readonly child: ChildProcess
  readonly #connections = new Map<number, PeerConnection>()
  #next = 1

  constructor() {
    // Without the preload of the process that it is a peer of.
    this.child = fork(join(fileURLToPath(import.meta.url), '..', 'peer-process.js'), {
      stdio: 'inherit',
      execArgv: [],
    })
    this.child.on('message', (event: PeerEvent) => this.#connections.get(event.id)?.hear(event))
  }

  /** A connection that is about to do something; follow it with `.do({ do: 'connect', ... })`. */
  open(): PeerConnection {
    const connection = new PeerConnection(this, this.#next++)
    this.#connections.set(connection.id, connection)
    return connection
  }

  async connect(options: Omit<Extract<Told<PeerCommand>, { do: 'connect' }>, 'do'>): Promise<PeerConnection> {
    const connection = this.open().do({ do: 'connect', ...options })
    await connection.saw('connected')
    return connection
  }

  /** Dies without a word from the process; the kernel says what it says. */
  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    this.child.kill('SIGKILL')
    await once(this.child, 'exit')
  }
}
