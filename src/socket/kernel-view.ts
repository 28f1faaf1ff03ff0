import type { Socket } from 'node:net'
import { descriptorOf, isTcp } from './fields.js'
import type { KernelSample, ProbeTarget } from '../kernel/probe.js'

// A socket's kernel samples. One is believed when the next agrees; until then the last believed one stands.
export class KernelView implements ProbeTarget {
  /** `null` once it is released: a probe may hold the view until it is asked again. */
  socket: Socket | null
  inode = 0
  #last: KernelSample | null = null
  believed: KernelSample | null = null

  constructor(socket: Socket) {
    this.socket = socket
  }

  get isPipe(): boolean {
    return this.#read((socket) => !isTcp(socket)) ?? false
  }

  fd(): number {
    return this.#read((socket) => (socket.destroyed ? -1 : descriptorOf(socket))) ?? -1
  }

  /** A socket that throws must not cost others their answer. */
  #read<T>(read: (socket: Socket) => T): T | null {
    try {
      return this.socket === null ? null : read(this.socket)
    } catch {
      return null
    }
  }

  hear(sample: KernelSample | null): void {
    if (sample !== null && this.#last !== null && agree(sample, this.#last)) this.believed = sample
    this.#last = sample
  }
}

// A `CLOSE` is ignored if the liveness oracle finds a connection: a table misses sockets that move while it is read.
export function believedOf(
  { kernel }: { readonly kernel: KernelView | null },
  disconnected: boolean | null,
): KernelSample | null {
  const sample = kernel?.believed ?? null
  return sample?.state === 'CLOSE' && disconnected === false ? null : sample
}

function agree(a: KernelSample, b: KernelSample): boolean {
  return a.state === b.state && a.peerEnded === b.peerEnded && a.hungUp === b.hungUp
}
