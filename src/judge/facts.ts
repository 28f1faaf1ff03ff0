import type { KernelFacts } from '../core/kernel-facts.js'
import type { Phase } from '../core/vocabulary.js'

/** What the sensors saw of one socket at one moment, without judgement. */
export interface Facts {
  readonly connecting: boolean
  readonly destroyed: boolean
  readonly readable: boolean
  readonly writable: boolean
  /** The peer's FIN has reached the stream, even if unread bytes hold `'end'` back. */
  readonly eofReceived: boolean
  readonly eofConsumed: boolean
  readonly localEnded: boolean
  /** Everything written, and our FIN, is with the kernel. */
  readonly localFinished: boolean
  /** The handle is being read from, so that a FIN or RST reaches JavaScript. */
  readonly reading: boolean
  /** The application asked for input: by a listener, a pipe, a reader, `resume()` or `pause()`. */
  readonly asked: boolean
  readonly unreadBytes: number
  readonly unsentBytes: number
  readonly bytesRead: number
  readonly bytesAccepted: number
  readonly selfConnected: boolean
  // Its partner connection closed, or the partner's peer ended. `for-nobody`: the partner is a closed client,
  // so bytes are no progress. `null`: no such partner, or its end is not to be propagated.
  readonly abandoned: 'for-nobody' | 'waiting' | null
  /** The kernel has no connection for this descriptor; `null` if not asked. */
  readonly disconnected: boolean | null
  readonly kernel: KernelFacts | null
  /** `null` unless the connection has an HTTP/2 session that has not ended. */
  readonly session: SessionFacts | null
}

/** An HTTP/2 session keeps unread data of its streams out of the kernel. */
export interface SessionFacts {
  /** `session.close()` was called: open streams go on. */
  readonly isClosed: boolean
  readonly openStreams: number
  /** The stream that has stood still longest with waiting data, or `null`. */
  readonly held: {
    readonly unreadBytes: number
    readonly unsentBytes: number
    readonly movedMs: number
  } | null
}

export function phaseOf(facts: Facts): Phase {
  if (facts.destroyed) return 'closed'
  if (facts.connecting) return 'connecting'
  if (facts.eofReceived) return facts.localEnded ? 'closing' : 'peer-ended'
  return facts.localEnded ? 'local-ended' : 'open'
}
