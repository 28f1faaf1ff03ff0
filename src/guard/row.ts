import { agoMs } from '../core/durations.js'
import type { SocketReport } from '../core/report.js'
import type { SocketRow } from '../report/build.js'
import type { Condition, Phase, Verdict } from '../core/vocabulary.js'
import { addressesOf } from '../socket/addresses.js'
import { descriptorOf } from '../socket/fields.js'
import { believedOf } from '../socket/kernel-view.js'
import { readRecord, type Addresses, type SocketRecord } from '../socket/record.js'
import { conditionOf, type Look } from './look.js'

type Waiting = ReturnType<SocketRow['waiting']>

export class RecordRow implements SocketRow {
  readonly id: number
  readonly direction: SocketRecord['direction']
  readonly verdict: Verdict
  readonly condition: Condition | null
  readonly phase: Phase
  readonly sinceMs: number
  readonly isDisconnected: boolean
  readonly #record: SocketRecord
  readonly #look: Look
  readonly #unsettled: boolean
  #site: string | null = null
  #waiting: Waiting | null = null

  constructor(record: SocketRecord, look: Look, unsettled: boolean) {
    const { trouble } = record
    this.id = record.id
    this.direction = record.direction
    this.verdict = record.isExempt ? 'exempt' : (trouble?.verdict ?? 'none')
    this.condition = conditionOf(trouble, unsettled)
    this.phase = trouble?.phase ?? 'open'
    this.sinceMs = agoMs(trouble === null ? record.firstSeenMs : trouble.sinceMs, look.nowMs)
    this.isDisconnected = trouble !== null && trouble.deadTurn !== -1
    this.#record = record
    this.#look = look
    this.#unsettled = unsettled
  }

  fd(): number {
    return descriptorOf(this.#record.socket)
  }

  site(): string {
    return (this.#site ??= this.#look.site(this.#record))
  }

  ends(): Addresses {
    const { addresses } = this.#record
    const isWhole = addresses !== null && addresses.local !== null && addresses.remote !== null
    return isWhole ? addresses : readRecord(this.#record, addressesOf)
  }

  waiting(): Waiting {
    return (this.#waiting ??= this.#readWaiting())
  }

  #readWaiting(): Waiting {
    const kernel = believedOf(this.#record, this.isDisconnected)
    return readRecord(this.#record, ({ socket: { readableLength, writableLength } }) => ({
      unreadBytes: (readableLength || 0) + (kernel?.unreadBytes ?? 0),
      unsentBytes: (writableLength || 0) + (kernel?.unsentBytes ?? 0),
    }))
  }

  read(): void {
    this.site()
    this.waiting()
  }

  isGone(): boolean {
    return this.#record.index === -1
  }

  describe(): SocketReport {
    return this.#look.describe(this.#record, this.#unsettled)
  }
}
