import type { CodeReport } from '../core/report.js'
import { holdersOf } from '../owner/holders.js'
import { locate } from '../owner/locate.js'
import type { SocketRecord } from '../socket/record.js'

const MOST_SITES = 20

export class CodeBook {
  readonly #found = new Map<string, CodeReport>()

  /** Blocks the event loop. */
  locate(record: SocketRecord, site: string): CodeReport {
    const found: CodeReport = { id: record.id, site, ...locate(holdersOf(record)) }
    this.#found.delete(site)
    if (found.reason !== null) return found
    if (this.#found.size >= MOST_SITES) this.#found.delete(this.#found.keys().next().value!)
    this.#found.set(site, found)
    return found
  }

  locateOnce(record: SocketRecord, site: string): void {
    if (!this.#found.has(site) && this.#found.size < MOST_SITES) this.locate(record, site)
  }

  report(): CodeReport[] {
    return [...this.#found.values()]
  }
}
