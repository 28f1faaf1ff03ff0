import type { KernelFacts } from '../core/kernel-facts.js'
import type { Phase } from '../core/vocabulary.js'

/** Everything the sensors saw of one socket at one moment. Facts only: nothing here is a judgement. */
export interface Facts {
  readonly connecting: boolean
  readonly destroyed: boolean
  /** The stream has a side that can receive (a child's stdin, for one, has not). */
  readonly readable: boolean
  /** The stream has a side that can send. */
  readonly writable: boolean
  /** The peer's FIN has reached the stream, even if unread bytes still keep `'end'` back. */
  readonly eofReceived: boolean
  /** `'end'` was emitted: everything the peer sent has been consumed. */
  readonly eofConsumed: boolean
  /** `end()` was called. */
  readonly localEnded: boolean
  /** Everything written was handed to the kernel, our FIN included. */
  readonly localFinished: boolean
  /** The handle is being read from. While it is, a FIN or RST reaches JavaScript by itself. */
  readonly reading: boolean
  /** Somebody has asked for what comes in: by a listener, a pipe, a reader, `resume()` or `pause()`. */
  readonly asked: boolean
  /** Bytes in the stream's read buffer. */
  readonly unreadBytes: number
  /** Bytes in the stream's write buffer and in libuv's queue. */
  readonly unsentBytes: number
  readonly bytesRead: number
  /** Bytes that the kernel has accepted from us: grows only when something really left the process. */
  readonly bytesAccepted: number
  readonly selfConnected: boolean
  /**
   * The other connection of its pair is closed, or its peer has ended, while this one goes on for it. `null`: there is none,
   * it is open, or what becomes of it is not to be propagated. `for-nobody`: a client that is closed, so bytes are no progress.
   */
  readonly abandoned: 'for-nobody' | 'waiting' | null
  /** The liveness oracle: the kernel says that this descriptor has no connection any more. `null`: not asked. */
  readonly disconnected: boolean | null
  readonly kernel: KernelFacts | null
}

export function phaseOf(facts: Facts): Phase {
  if (facts.destroyed) return 'closed'
  if (facts.connecting) return 'connecting'
  if (facts.eofReceived) return facts.localEnded ? 'closing' : 'peer-ended'
  return facts.localEnded ? 'local-ended' : 'open'
}
