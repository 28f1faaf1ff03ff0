import type { Socket } from 'node:net'
import { descriptorOf, isTcp } from './fields.js'
import type { KernelSample, ProbeTarget } from '../kernel/probe.js'

/**
 * What the kernel said about one socket, over time. One sample may catch a connection in the middle of a change, so a
 * sample is believed only when the next one agrees with it; until then the last believed one stands.
 */
export class KernelView implements ProbeTarget {
  socket: Socket
  inode = 0
  #last: KernelSample | null = null
  believed: KernelSample | null = null

  constructor(socket: Socket) {
    this.socket = socket
  }

  get isPipe(): boolean {
    return !isTcp(this.socket)
  }

  fd(): number {
    return this.socket.destroyed ? -1 : descriptorOf(this.socket)
  }

  hear(sample: KernelSample | null): void {
    if (sample !== null && this.#last !== null && agree(sample, this.#last)) this.believed = sample
    this.#last = sample
  }
}

/**
 * What may be believed of the kernel's word. A table that does not list a socket says `CLOSE`, but tables are no
 * snapshots: where the liveness oracle knows better, that word counts for nothing.
 */
export function believedOf(
  { kernel }: { readonly kernel: KernelView | null },
  disconnected: boolean | null,
): KernelSample | null {
  const sample = kernel?.believed ?? null
  return sample?.state === 'CLOSE' && disconnected === false ? null : sample
}

function agree(a: KernelSample, b: KernelSample): boolean {
  return a.state === b.state && a.peerEnded === b.peerEnded
}
