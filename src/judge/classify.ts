import type { Facts } from './facts.js'
import type { Condition, Sensor } from '../core/vocabulary.js'

export interface Classification {
  readonly condition: Condition
  readonly seenBy: Sensor
  /** Open both ways: the application or the peer takes its time, which is no leak. */
  readonly isStall: boolean
}

/**
 * Below this many bytes waiting in the kernel, an unread socket is taken for ordinary back-pressure, not for a closed
 * receive window. The smallest backlog at which a default Linux receive window was seen closed is about 30 KB.
 */
export const WINDOW_CLOSED_BYTES = 16 * 1024

/**
 * From facts to a condition: which of the known ways of being stuck this looks like, or `null` for none.
 * It says nothing about blame or time; a socket that is closing in good order passes through here too.
 *
 * @param idle no byte has moved in either direction between this observation and earlier ones
 */
export function classify(facts: Facts, idle: boolean): Classification | null {
  if (facts.destroyed || facts.connecting) return null
  if (facts.disconnected === true) return classifyDead(facts)
  if (facts.eofReceived) return classifyPeerEnded(facts, idle)
  if (facts.localEnded) return classifyLocalEnded(facts, idle)
  // Before what its backlog looks like: that nobody reads on is what comes of it.
  if (facts.abandoned !== null) return stuck('abandoned')
  const blind = facts.reading ? null : classifyBlind(facts, idle)
  if (blind?.isStall === false) return blind
  if (facts.reading && facts.selfConnected) return stuck('self-connected')
  // Output comes first: who can send no more often pauses what he would have to answer.
  return facts.unsentBytes > 0 && idle ? stalled('write-stalled') : blind
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
  // Node has handed everything over, but the kernel can't deliver it: our FIN waits behind unacknowledged data.
  if (unsent > 0 && idle && kernel?.state !== 'FIN_WAIT2') return stuck('write-stalled', 'kernel')
  return stuck('fin-wait')
}

/** Nothing is being read, so Node knows nothing: only the kernel can tell. */
function classifyBlind(facts: Facts, idle: boolean): Classification | null {
  const kernel = facts.kernel
  if (kernel === null) return null
  if (kernel.peerEnded === true) return stuck('fin-unseen', 'kernel')
  const isFull = facts.readable && idle && (kernel.unreadBytes ?? 0) >= WINDOW_CLOSED_BYTES
  if (!isFull) return null
  return facts.asked ? stalled('window-closed', 'kernel') : stuck('window-closed', 'kernel')
}

/**
 * Closing this socket loses nothing: the connection is dead, and its reader has heard the end. One that has not would still be told
 * of a reset (ECONNRESET) when it reads on, and could take a socket closed by us for a complete stream.
 */
export function isProvablyLossFree(facts: Facts): boolean {
  return facts.disconnected === true && (facts.eofConsumed || !facts.readable)
}
