import type { Duplex } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'

const sizes: number[] = []

/** Reads along, and never says goodbye. */
export async function readFeed(socket: Duplex): Promise<void> {
  await turn()
  let size = 0
  socket.on('data', (chunk: Buffer) => {
    // leaks: upgrade-feed
    size += chunk.length
  })
  socket.on('end', () => {
    sizes.push(size)
  })
}
