/**
 * A client that comes back from a port that it has used before. Started by `NetworkNamespace.start()`.
 */
import net from 'node:net'
import { obey } from './actor.js'
import { statesOf } from './descriptors.js'
import { until } from './until.js'

export interface Target {
  readonly host: string
  readonly port: number
  readonly localAddress?: string
  /** Binds to it before it connects; without it the kernel chooses. */
  readonly localPort?: number
}

export interface Outcome {
  /** `null`: connected. */
  readonly error: string | null
  readonly localPort: number | null
  readonly tookMs: number
}

const sockets = new Map<string, net.Socket>()

const actions = {
  connect,
  /** Connects as soon as this machine's own kernel lets the port be used again. */
  async comeBack(target: Target): Promise<Outcome> {
    let outcome: Outcome | undefined
    await until(async () => {
      outcome = await connect(target)
      return outcome.error !== 'EADDRNOTAVAIL'
    }, `port ${target.localPort} may be used again`)
    return outcome!
  },
  /** Ends, and keeps the descriptor. */
  async end(localPort: number, port: number): Promise<void> {
    sockets.get(keyOf(localPort, port))!.end()
    await until(() => !statesOf(localPort, port).some(isUnacknowledged), 'the end was acknowledged')
  },
  /** Gives the descriptor back, and returns when the kernel has forgotten the connection too. */
  async leave(localPort: number, port: number): Promise<void> {
    const socket = sockets.get(keyOf(localPort, port))!
    socket.destroy()
    await until(() => statesOf(localPort, port).length === 0, 'the kernel has forgotten the connection')
  },
  /** Until the server has ended too; Node then closes this side by itself. */
  async untilClosed(localPort: number, port: number): Promise<void> {
    const socket = sockets.get(keyOf(localPort, port))!
    if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve))
  },
  states: (localPort: number, port: number) => statesOf(localPort, port),
}

async function connect({ port, ...target }: Target): Promise<Outcome> {
  const startedMs = performance.now()
  const socket = net.connect({ port, ...target })
  const error = await new Promise<string | null>((resolve) => {
    socket.once('connect', () => resolve(null))
    socket.on('error', ({ code, message }: NodeJS.ErrnoException) => resolve(code ?? message))
  })
  const localPort = error === null ? socket.localPort! : null
  if (localPort !== null) sockets.set(keyOf(localPort, port), socket.resume())
  return { error, localPort, tookMs: Math.round(performance.now() - startedMs) }
}

function isUnacknowledged(state: string): boolean {
  return state === 'ESTABLISHED' || state === 'FIN_WAIT1'
}

function keyOf(localPort: number, port: number): string {
  return `${localPort} ${port}`
}

export type ReturningClient = typeof actions

obey(actions)
