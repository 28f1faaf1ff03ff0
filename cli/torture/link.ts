/** One connection of the chaos peer, and what it saw of the server's end. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { clearTimeout, setTimeout } from 'node:timers'
import { connect as connectTls } from 'node:tls'

export interface Goal {
  readonly isTls: boolean
  /** Resolved: what is connected to is what was checked. */
  readonly address: string
  readonly port: number
  /** For the Host header and the name in TLS. */
  readonly hostname: string
  readonly host: string
  readonly path: string
}

const PATIENCE_MS = 5000

export class Link {
  readonly raw: Socket
  readonly port: number
  /** Carries TLS if there is any. */
  readonly stream: Socket
  received = Buffer.alloc(0)
  bytes = 0
  lastByteMs = performance.now()
  /** When the server's FIN or RST came. */
  closedMs: number | null = null
  #wake: (() => void)[] = []

  static async open(goal: Goal, protocol: 'plain' | 'http/1.1' | 'h2'): Promise<Link> {
    const raw = connect({ host: goal.address, port: goal.port, allowHalfOpen: true, noDelay: true })
    await within(once(raw, 'connect'), raw)
    if (!goal.isTls || protocol === 'plain') return new Link(raw, raw)
    const name = goal.hostname
    const tls = connectTls({
      socket: raw,
      // What is tested is how the server closes.
      rejectUnauthorized: false,
      ALPNProtocols: [protocol],
      ...(/[a-z]/i.test(name) && !name.includes(':') ? { servername: name } : {}),
    })
    await within(once(tls, 'secureConnect'), raw)
    if (protocol === 'h2' && tls.alpnProtocol !== 'h2') {
      raw.destroy()
      throw new Error('no h2 over TLS')
    }
    return new Link(raw, tls)
  }

  private constructor(raw: Socket, stream: Socket) {
    this.raw = raw
    this.stream = stream
    this.port = raw.localPort ?? 0
    stream.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length
      this.lastByteMs = performance.now()
      if (this.received.length < 65_536) this.received = Buffer.concat([this.received, chunk])
      this.#wakeAll()
    })
    for (const one of new Set([raw, stream])) {
      for (const event of ['end', 'close']) one.once(event, () => this.#onClosed())
      one.on('error', () => this.#onClosed())
    }
  }

  send(data: string | Buffer): void {
    if (this.stream.writable) this.stream.write(data)
  }

  /** Our FIN; over TLS without close_notify, as a vanishing client leaves. */
  finish(): void {
    this.raw.end()
  }

  reset(): void {
    this.raw.resetAndDestroy()
  }

  destroy(): void {
    this.stream.destroy()
    this.raw.destroy()
  }

  /** Until the claim holds, the server has closed, or some seconds have passed. */
  async until(claim: () => boolean): Promise<boolean> {
    for (const end = performance.now() + PATIENCE_MS; !claim();) {
      if (this.closedMs !== null || performance.now() > end) return false
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve)
        setTimeout(resolve, 100)
      })
    }
    return true
  }

  #onClosed(): void {
    this.closedMs ??= performance.now()
    this.#wakeAll()
  }

  #wakeAll(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}

async function within(event: Promise<unknown>, socket: Socket): Promise<void> {
  const timer = setTimeout(() => socket.destroy(new Error('no answer')), PATIENCE_MS)
  try {
    await Promise.race([
      event,
      once(socket, 'close').then(() => {
        throw new Error('the server closed')
      }),
    ])
  } finally {
    clearTimeout(timer)
  }
}
