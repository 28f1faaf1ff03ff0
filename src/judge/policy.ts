import type { SocketReport } from '../core/report.js'
import type { KeepAliveTimes } from '../core/kernel-facts.js'
import type { Action, Condition, Tie } from '../core/vocabulary.js'

/** Called once for each leaked socket. If it throws or returns no action, the socket is only reported. */
export type ActionChooser = (socket: SocketReport) => Action

export type PropagateAbort = Tie | null

export interface KeepAlivePolicy extends KeepAliveTimes {
  readonly when: 'suspect' | 'always'
}

export interface StallPolicy {
  /** Idle time before it is called stalled; `null` for the grace of a leak. */
  readonly graceMs: number | null
  readonly action: Action | ActionChooser
}

export interface SocketPolicy {
  readonly graceMs: number
  readonly maxHalfClosedMs: number | null
  readonly action: Action | ActionChooser
  readonly escalateMs: number
  readonly reclaimDead: boolean
  readonly keepAlive: KeepAlivePolicy | false
  readonly propagateAbort: PropagateAbort
  readonly stalled: StallPolicy
}

// `resume-end` discards unread input, so that the stream can end; `let-go` wakes no reader stuck in an HTTP body.
export type Deed = 'end' | 'resume-end' | 'let-go' | 'destroy' | 'reset'

// The steps against a leaked socket; the next one follows if the socket is not closed within `escalateMs`.
// `end` picks the gentlest remedy that closes the condition. A plain `end()` keeps the descriptor while input
// is unread, and does nothing on blocked output or a dead connection. Blocked output gets RST, because
// `destroy()` leaves the kernel an orphan in LAST_ACK or FIN_WAIT1 that occupies the four-tuple for minutes.
export function remedyLadder(action: Action, condition: Condition, localEnded: boolean): readonly Deed[] {
  switch (action) {
    case 'report':
      return []
    case 'destroy':
      return ['destroy', 'reset']
    case 'reset':
      return ['reset', 'destroy']
    case 'end':
      return gracefulLadder(condition, localEnded)
  }
}

function gracefulLadder(condition: Condition, localEnded: boolean): readonly Deed[] {
  switch (condition) {
    case 'eof-ignored':
    case 'self-connected':
    case 'abandoned':
      return ['end', 'let-go', 'reset']
    case 'eof-unread':
    case 'fin-unseen':
    case 'window-closed':
      return ['resume-end', 'let-go', 'reset']
    case 'write-stalled':
      return localEnded ? ['reset', 'let-go'] : ['end', 'reset', 'let-go']
    case 'fin-wait':
    case 'closed-unread':
    case 'reset-unseen':
      return ['let-go', 'reset']
  }
}
