import type { Condition } from '../core/vocabulary.js'

const DESCRIPTIONS: Readonly<Record<Condition, string>> = {
  'eof-ignored': 'the peer closed and the application was told, but never ended its own side',
  'eof-unread': 'the peer closed, but its end of stream waits behind bytes that nobody reads',
  'fin-unseen': 'the peer closed, but Node is not reading and has not noticed',
  'window-closed': 'the receive buffer is full because nobody reads; the peer can send no more',
  'reset-unseen': 'the connection is dead in the kernel and Node has not noticed',
  'fin-wait': 'the application ended its side and the peer never ends',
  'write-stalled': 'ended or half-closed, but unsent bytes do not drain',
  'closed-unread': 'both sides closed in good order, but unread bytes keep the descriptor open',
  'self-connected': 'a client connected to its own address and port',
  abandoned: 'the other connection of its pair has left, and nobody told this one',
}

/** A condition in plain words, for a legend or a tooltip. */
export function describeCondition(condition: Condition): string {
  return DESCRIPTIONS[condition]
}
