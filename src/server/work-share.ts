// Readers must not exhaust the process: answers are made one at a time, then the endpoint rests for three times as long as it
// has worked, and what slow readers have not taken is bounded.
import type { ServerResponse } from 'node:http'
import { createDetached } from '../base/detached.js'
import { monotonicMs, setImmediate, setTimeout } from '../base/real-time.js'

const RESTS = 3
const MOST_WAITING = 64
const MOST_UNREAD_BYTES = 64 * 1024 * 1024
const LONGEST_READ_MS = 60_000

export interface WorkShare {
  /** Resolves to `null` if too much waits already. `pause()` lets the event loop turn. */
  run<T>(work: (pause: () => Promise<void>) => T | Promise<T>): Promise<T | null>
  /** Counts what is not yet read of a response that is about to end. */
  watch(response: ServerResponse): void
}

export function createWorkShare(mostUnreadBytes = MOST_UNREAD_BYTES): WorkShare {
  const runDetached = createDetached()
  const reading = new Map<ServerResponse, number>()
  let last: Promise<void> = Promise.resolve()
  let waiting = 0
  let restUntilMs = 0

  function unreadBytes(): number {
    let sum = 0
    for (const response of reading.keys()) sum += response.writableLength
    return sum
  }

  function dropSlowest(): void {
    const sinceMs = monotonicMs() - LONGEST_READ_MS
    for (const [response, begunMs] of reading) if (begunMs < sinceMs) response.destroy()
  }

  async function rest(): Promise<void> {
    const ms = restUntilMs - monotonicMs()
    if (ms > 0) await new Promise((resolve) => runDetached(setTimeout, resolve, ms).unref())
  }

  return {
    async run(work) {
      if (unreadBytes() > mostUnreadBytes) dropSlowest()
      if (waiting >= MOST_WAITING || unreadBytes() > mostUnreadBytes) return null
      waiting += 1
      const before = last
      let leave = () => {}
      last = new Promise((resolve) => (leave = resolve))
      await before
      await rest()
      let begunMs = monotonicMs()
      let workedMs = 0
      try {
        return await work(async () => {
          workedMs += monotonicMs() - begunMs
          await turn()
          begunMs = monotonicMs()
        })
      } finally {
        const nowMs = monotonicMs()
        restUntilMs = nowMs + RESTS * (workedMs + nowMs - begunMs)
        waiting -= 1
        leave()
      }
    },
    watch(response) {
      reading.set(response, monotonicMs())
      response.once('close', function forgetReader() {
        reading.delete(response)
      })
    },
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
