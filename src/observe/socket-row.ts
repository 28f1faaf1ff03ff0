/** A record as a row of the report: a few fields now, the rest for who asks. */
import type { SocketReport } from '../core/report.js'
import type { SocketRow } from '../core/snapshot.js'
import type { Condition, Verdict } from '../core/vocabulary.js'
import { describeSocket, endsOf, identifySocket } from './describe-socket.js'
import { believedOf } from './kernel/view.js'
import type { SocketEnds, TrackedSocket } from './tracked-socket.js'

export class RecordRow implements SocketRow {
  readonly id: number
  readonly direction: TrackedSocket['direction']
  readonly verdict: Verdict
  readonly condition: Condition | null
  readonly sinceMs: number
  readonly isDisconnected: boolean
  readonly #record: TrackedSocket
  readonly #nowMs: number
  readonly #unsettled: boolean

  /** @param unsettled name a condition even while it is too young for a verdict */
  constructor(record: TrackedSocket, nowMs: number, unsettled: boolean) {
    const { case: kase } = record
    this.id = record.id
    this.direction = record.direction
    this.verdict = record.isExempt ? 'exempt' : (kase?.verdict ?? 'none')
    this.condition = kase === null || (kase.verdict === 'none' && !unsettled) ? null : kase.condition
    this.sinceMs = Math.round(nowMs - (kase === null ? record.firstSeenMs : kase.sinceMs))
    this.isDisconnected = kase !== null && kase.deadTurn !== -1
    this.#record = record
    this.#nowMs = nowMs
    this.#unsettled = unsettled
  }

  site(): string {
    return identifySocket(this.#record).site
  }

  ends(): SocketEnds {
    return endsOf(this.#record)
  }

  waiting(): { unreadBytes: number; unsentBytes: number } {
    const { socket } = this.#record
    const kernel = believedOf(this.#record, this.isDisconnected)
    return {
      unreadBytes: socket.readableLength + (kernel?.unreadBytes ?? 0),
      unsentBytes: socket.writableLength + (kernel?.unsentBytes ?? 0),
    }
  }

  describe(): SocketReport {
    return describeSocket(this.#record, this.#nowMs, this.#unsettled)
  }
}
