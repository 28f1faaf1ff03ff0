/**
 * JavaScript heap per idle accepted connection, with the guard and without, each in a fresh process and after full
 * collections. What a process needs but once (compiled code, grown tables) is there before the first look.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { openConnections } from './load.js'
import { startServer, type MeasuredServer } from './measured-server.js'
import type { Usage } from './server.js'
import { spreadOf, type Spread } from './statistics.js'
import type { Idleness } from './workloads.js'

const WARM_UP_CONNECTIONS = 200

export interface HeapComparison {
  readonly idleness: Idleness
  readonly bareBytes: number
  /** What the guard adds. */
  readonly added: Spread
}

export async function compareHeap(
  idleness: Idleness,
  { rounds, sockets }: { readonly rounds: number; readonly sockets: number },
): Promise<HeapComparison> {
  const bareBytes: number[] = []
  const added: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    const bare = await heapPerConnection(idleness, false, sockets)
    const guarded = await heapPerConnection(idleness, true, sockets)
    bareBytes.push(bare)
    added.push(guarded - bare)
  }
  return { idleness, bareBytes: spreadOf(bareBytes).median, added: spreadOf(added) }
}

async function heapPerConnection(idleness: Idleness, guarded: boolean, sockets: number): Promise<number> {
  const server = await startServer(idleness.server, { guarded, exposeGc: true })
  try {
    const warmUp = await openConnections(server.port, idleness.handshake, WARM_UP_CONNECTIONS)
    for (const socket of warmUp) socket.destroy()
    const before = await usageAt(server, 0)
    const idle = await openConnections(server.port, idleness.handshake, sockets)
    const after = await usageAt(server, sockets)
    for (const socket of idle) socket.destroy()
    return (after.heapBytes - before.heapBytes) / sockets
  } finally {
    await server.stop()
  }
}

/** Waits until the server has noticed who came and who went, and looks twice, so that finalizers have run. */
async function usageAt(server: MeasuredServer, connections: number): Promise<Usage> {
  for (;;) {
    const usage = await server.usage()
    if (usage.connections === connections) return server.usage()
    await sleep(20)
  }
}
