/** A host of clients, each with a port of its own from which it comes back. Started in a network namespace by reuse.ts. */
import { once } from 'node:events'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { obey } from '../../test/support/actor.js'

export interface Journey {
  readonly localPorts: readonly number[]
  readonly returns: number
  /** From an end to the next connection. */
  readonly restMs: number
}

/** The clients of one server do not all set out at once. */
const SPREAD_MS = 20_000

const actions = {
  /** How long each return took to connect; `null`: it never did. */
  async comeBack(port: number, { localPorts, returns, restMs }: Journey): Promise<(number | null)[]> {
    const journeys = localPorts.map(async (localPort, i) => {
      await sleep((SPREAD_MS * i) / localPorts.length)
      await use(port, localPort)
      const times: (number | null)[] = []
      while (times.length < returns) {
        await sleep(restMs)
        times.push(await use(port, localPort))
      }
      return times
    })
    return (await Promise.all(journeys)).flat()
  },
}

/** Connects, ends and leaves. */
async function use(port: number, localPort: number): Promise<number | null> {
  const startMs = performance.now()
  const socket = net.connect({ port, host: '127.0.0.1', localPort })
  try {
    await once(socket, 'connect')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ETIMEDOUT') return null
    throw error
  }
  const tookMs = performance.now() - startMs
  socket.end()
  await once(socket, 'finish')
  socket.destroy()
  return tookMs
}

export type ReuseClient = typeof actions

obey(actions)
