import type { CodeReport } from '../core/report.js'
import { holdersOf } from '../owner/holders.js'
import { locate, type Located } from '../owner/locate.js'
import type { SocketRecord } from '../socket/record.js'
import { isHeldByUndici } from '../socket/undici.js'

const MOST_SITES = 20

function whyNone({ code }: Located, { socket }: SocketRecord): string | null {
  return code.length === 0 && isHeldByUndici(socket)
    ? 'a promise of fetch() or undici waits, which names no function: look for the request'
    : null
}

export class CodeBook {
  readonly #found = new Map<string, CodeReport>()

  /** Blocks the event loop. */
  locate(record: SocketRecord, site: string): CodeReport {
    const located = locate(holdersOf(record))
    const found: CodeReport = {
      id: record.id,
      site,
      ...located,
      reason: located.reason ?? whyNone(located, record),
    }
    this.#found.delete(site)
    if (located.reason !== null) return found
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
