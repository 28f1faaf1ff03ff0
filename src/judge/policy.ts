import type { SocketReport } from '../core/report.js'
import type { KeepAliveTimes } from '../core/kernel-facts.js'
import type { Action, Condition, Tie } from '../core/vocabulary.js'

/**
 * Chooses what is done to one leaked socket. Called once for each, inside a timer of the guard: should it throw,
 * or return anything but an action, the socket is only reported.
 */
export type ActionChooser = (socket: SocketReport) => Action

/** By which ties an abort is passed on; `null`: by none. */
export type PropagateAbort = Tie | null

export interface KeepAlivePolicy extends KeepAliveTimes {
  readonly when: 'suspect' | 'always'
}

/** What is done about a connection that is open both ways and does not move. */
export interface StallPolicy {
  /** Idle time after which it is called stalled; `null`: as long as the grace of a leak. */
  readonly graceMs: number | null
  readonly action: Action | ActionChooser
}

/** What holds for one socket: every field present, frozen. */
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

/**
 * One deed of the executor. `resume-end` throws unread input away so that the stream can end; `let-go` destroys, and wakes
 * nobody who is stuck in the body of an HTTP message.
 */
export type Deed = 'end' | 'resume-end' | 'let-go' | 'destroy' | 'reset'

/**
 * What is done, in which order, to a leaked socket: each step only if the one before has not closed it
 * within `escalateMs`.
 *
 * `end` means: the remedy that really closes *this* condition and loses least. A plain `end()` closes the wire but not
 * the descriptor when input is unread, and nothing graceful is left once output is blocked or the connection is gone.
 * With output blocked, RST is preferred to `destroy()`: the latter leaves the kernel an orphan in LAST_ACK or FIN_WAIT1
 * that goes on for minutes and keeps the four-tuple from being used.
 */
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
