import type { KernelState } from './vocabulary.js'

/**
 * Socket descriptors of the process that no tracked socket stands for. The guard knows that they are there and what the
 * kernel's tables say of them; it can't know who opened them, who else holds them, or whether anybody will close them.
 */
export interface OrphansReport {
  readonly tcp: number
  /** The TCP ones by kernel state. */
  readonly states: Readonly<Partial<Record<KernelState, number>>>
  /** Among them are the channel to a parent process and the pipes to children. */
  readonly unix: number
  /** UDP, netlink, TCP sockets that were never connected, and TCP sockets whose connection the kernel has closed. */
  readonly other: number
  /** Untracked sockets that listen: servers, no orphans. */
  readonly listeners: number
  /** All socket descriptors, the tracked ones included. */
  readonly socketDescriptors: number
  /** How old this count is. */
  readonly ageMs: number
}
