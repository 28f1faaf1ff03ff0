import type { Facts, SessionFacts } from './facts.js'
import type { Condition, Sensor } from '../core/vocabulary.js'

export interface Classification {
  readonly condition: Condition
  readonly seenBy: Sensor
  readonly isStall: boolean
}

// Fewer unread bytes are ordinary back-pressure: a default Linux receive window closes at about 30 KB or more.
export const WINDOW_CLOSED_BYTES = 16 * 1024

// The condition these facts show, or `null`. A socket that is closing in good order has a condition too.
// `idle`: no byte has moved between earlier observations and this one.
export function classify(facts: Facts, idle: boolean): Classification | null {
  if (facts.destroyed || facts.connecting) return null
  if (facts.disconnected === true) return classifyDead(facts)
  if (facts.eofReceived) return classifyPeerEnded(facts, idle)
  if (facts.localEnded) return classifyLocalEnded(facts, idle)
  // Before the backlog, which is a consequence: nobody reads any more.
  if (facts.abandoned !== null) return stuck('abandoned')
  const blind = facts.reading ? null : classifyBlind(facts, idle)
  if (blind?.isStall === false) return blind
  if (facts.reading && facts.selfConnected) return stuck('self-connected')
  // Output first: an application that can't send often pauses its input.
  const { session, kernel } = facts
  if (facts.unsentBytes > 0 && idle)
    // HTTP/2 stops reading while its output is blocked, and up to Node 24 the handle still claims to read.
    return session !== null && kernel?.peerEnded === true
      ? stuck('write-stalled', 'kernel')
      : stalled('write-stalled')
  return blind ?? (session !== null && idle ? classifySession(session) : null)
}

/** At most a stall, because other streams may go on. */
function classifySession({ held, isClosed }: SessionFacts): Classification | null {
  if (held !== null) return stalled('window-closed')
  return isClosed ? stalled('fin-wait') : null
}

function stuck(condition: Condition, seenBy: Sensor = 'stream'): Classification {
  return { condition, seenBy, isStall: false }
}

function stalled(condition: Condition, seenBy: Sensor = 'stream'): Classification {
  return { condition, seenBy, isStall: true }
}

function classifyDead(facts: Facts): Classification {
  return stuck(facts.localFinished && !facts.eofConsumed ? 'closed-unread' : 'reset-unseen', 'oracle')
}

function classifyPeerEnded(facts: Facts, idle: boolean): Classification | null {
  if (facts.localFinished || !facts.writable) {
    return facts.eofConsumed ? null : stuck('closed-unread')
  }
  if (facts.unsentBytes > 0 && idle) return stuck('write-stalled')
  if (!facts.eofConsumed) return stuck('eof-unread')
  return facts.localEnded ? null : stuck('eof-ignored')
}

function classifyLocalEnded(facts: Facts, idle: boolean): Classification | null {
  const kernel = facts.kernel
  if (!facts.localFinished) {
    return facts.unsentBytes > 0 && idle ? stuck('write-stalled') : null
  }
  if (!facts.readable) return null
  if (kernel?.peerEnded === true && !facts.reading) return stuck('closed-unread', 'kernel')
  const unsent = kernel?.unsentBytes ?? 0
  // Our FIN waits in the kernel behind unacknowledged data.
  if (unsent > 0 && idle && kernel?.state !== 'FIN_WAIT2') return stuck('write-stalled', 'kernel')
  return stuck('fin-wait')
}

function classifyBlind(facts: Facts, idle: boolean): Classification | null {
  const kernel = facts.kernel
  if (kernel === null) return null
  if (kernel.peerEnded === true) return stuck('fin-unseen', 'kernel')
  const isFull = facts.readable && idle && (kernel.unreadBytes ?? 0) >= WINDOW_CLOSED_BYTES
  if (!isFull) return null
  return facts.asked ? stalled('window-closed', 'kernel') : stuck('window-closed', 'kernel')
}

// The connection is dead and its reader has heard the end. Another reader would still get ECONNRESET, and
// could take a socket that we close for a complete stream.
export function isProvablyLossFree(facts: Facts): boolean {
  return facts.disconnected === true && (facts.eofConsumed || !facts.readable)
}
