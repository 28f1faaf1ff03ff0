// The part of the report about descriptors that no tracked socket stands for.
import type { Endpoint } from './endpoint.js'
import type { KernelState } from './vocabulary.js'

/** Socket descriptors without a tracked socket. Who opened them and who will close them is unknown. */
export interface OrphansReport {
  readonly tcp: number
  readonly states: Readonly<Partial<Record<KernelState, number>>>
  /** Those whose peer has ended; at most 20. */
  readonly closeWait: readonly OrphanSocket[]
  /** Includes the channel to a parent process and pipes to children. */
  readonly unix: number
  /** UDP, netlink, and TCP sockets that are not connected or closed by the kernel. */
  readonly other: number
  /** Listening sockets, which are no orphans. */
  readonly listeners: number
  readonly socketDescriptors: number
  readonly ageMs: number
}

export interface OrphanSocket {
  readonly fd: number
  readonly local: Endpoint
  readonly remote: Endpoint
  readonly unreadBytes: number
  readonly unsentBytes: number
}
