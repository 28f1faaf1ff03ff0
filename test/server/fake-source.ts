import { EventEmitter, once } from 'node:events'
import type { CodeReport, GuardEvent, Report, SnapshotQuery } from '../../src/core/report.js'
import type { EventType } from '../../src/core/vocabulary.js'
import { LEAKY, sampleSocket } from '../report/sample-reports.js'

export interface FakeSource {
  readonly queries: SnapshotQuery[]
  reportInSteps(query: SnapshotQuery): Generator<void, Report>
  snapshot(query: SnapshotQuery): Report
  locate(id: number): CodeReport
  reclaim(id: number, action: string): void
  exempt(id: number, isExempt: boolean): void
  subscribe(listener: (event: GuardEvent) => void): () => void
  emit(event: GuardEvent): void
  /** Resolves when exactly `count` listeners are subscribed. */
  subscribed(count: number): Promise<void>
}

export function createFakeSource(read: (query: SnapshotQuery) => Report = () => LEAKY): FakeSource {
  const queries: SnapshotQuery[] = []
  const listeners = new Set<(event: GuardEvent) => void>()
  const changes = new EventEmitter()
  function answer(query: SnapshotQuery): Report {
    queries.push(query)
    return read(query)
  }

  return {
    queries,
    *reportInSteps(query) {
      yield
      return answer(query)
    },
    snapshot: answer,
    locate: (id) => ({ id, site: 'GET /a', code: [], reason: null, blockedMs: 70 }),
    reclaim() {},
    exempt() {},
    subscribe(listener) {
      listeners.add(listener)
      changes.emit('change')
      return () => {
        listeners.delete(listener)
        changes.emit('change')
      }
    },
    emit(event) {
      for (const listener of listeners) listener(event)
    },
    async subscribed(count) {
      while (listeners.size !== count) await once(changes, 'change')
    },
  }
}

export function sampleEvent(type: EventType, id = 7, diagnosis = 'What happened.'): GuardEvent {
  return { type, at: '2026-02-03T14:05:06.789Z', socket: sampleSocket(id, { diagnosis }) }
}
