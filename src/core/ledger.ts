import { EVENT_TYPES, type EventType } from './vocabulary.js'

export interface Entry {
  index: number
}

// The tracked sockets and the events since the start. A removal moves the last entry into the gap, so an interrupted
// walk must go downwards to miss none.
export class Ledger<T extends Entry> {
  readonly #entries: T[] = []
  readonly counts = Object.fromEntries(EVENT_TYPES.map((type) => [type, 0])) as Record<EventType, number>

  get size(): number {
    return this.#entries.length
  }

  at(index: number): T | undefined {
    return this.#entries[index]
  }

  add(entry: T): void {
    entry.index = this.#entries.push(entry) - 1
  }

  remove(entry: T): void {
    if (this.#entries[entry.index] !== entry) return
    const last = this.#entries.pop()!
    if (last !== entry) {
      this.#entries[entry.index] = last
      last.index = entry.index
    }
    entry.index = -1
  }

  count(event: EventType): void {
    this.counts[event] += 1
  }

  [Symbol.iterator](): IterableIterator<T> {
    return this.#entries.values()
  }
}
