// Readers must not exhaust the process: answers are made one at a time, each followed by a rest of three times as long,
// and what slow readers have not taken is bounded. A scrape is next, unless the last was one too.
import type { ServerResponse } from 'node:http'
import { createDetached } from '../base/detached.js'
import { monotonicMs, setImmediate, setTimeout } from '../base/real-time.js'

const RESTS = 3
const MOST_WAITING = 64
const MOST_UNREAD_BYTES = 64 * 1024 * 1024
const LONGEST_READ_MS = 60_000

export interface WorkShare {
  /** Resolves to `null` if too much waits already, or the reader has left. `pause()` lets the event loop turn. */
  run<T>(
    work: (pause: () => Promise<void>) => T | Promise<T>,
    reader?: ServerResponse,
    isScrape?: boolean,
  ): Promise<T | null>
  watch(response: ServerResponse): void
}

interface Line {
  readonly turns: (() => void)[]
  /** The one whose turn it is too. */
  waiting: number
}

export function createWorkShare(
  mostUnreadBytes = MOST_UNREAD_BYTES,
  longestReadMs = LONGEST_READ_MS,
): WorkShare {
  const runDetached = createDetached()
  const reading = new Map<ServerResponse, number>()
  const scrapes: Line = { turns: [], waiting: 0 }
  const others: Line = { turns: [], waiting: 0 }
  let isTaken = false
  let wasScrape = false
  let restUntilMs = 0

  function unreadBytes(): number {
    let sum = 0
    for (const response of reading.keys()) sum += response.writableLength
    return sum
  }

  function dropSlowest(): void {
    const sinceMs = monotonicMs() - longestReadMs
    for (const [response, begunMs] of reading) if (begunMs < sinceMs) response.destroy()
  }

  /** Until it closes, which a response that has closed tells no more. */
  function follow(reader: ServerResponse): void {
    if (reader.destroyed) return
    // It can't be slow to read what is not made yet.
    reading.set(reader, Infinity)
    reader.once('close', function forgetReader() {
      reading.delete(reader)
    })
  }

  function hasLeft(reader: ServerResponse | undefined): boolean {
    return reader !== undefined && !reading.has(reader)
  }

  async function rest(): Promise<void> {
    const ms = restUntilMs - monotonicMs()
    if (ms > 0) await new Promise((resolve) => runDetached(setTimeout, resolve, ms).unref())
  }

  function queue({ turns }: Line): Promise<void> {
    const turn = new Promise<void>((resolve) => turns.push(resolve))
    if (!isTaken) void callNext()
    return turn
  }

  async function callNext(): Promise<void> {
    isTaken = true
    await rest()
    wasScrape = scrapes.turns.length > 0 && (!wasScrape || others.turns.length === 0)
    const next = (wasScrape ? scrapes : others).turns.shift()
    if (next === undefined) isTaken = false
    else next()
  }

  return {
    async run(work, reader, isScrape = false) {
      if (unreadBytes() > mostUnreadBytes) dropSlowest()
      const line = isScrape ? scrapes : others
      if (line.waiting >= MOST_WAITING || unreadBytes() > mostUnreadBytes) return null
      line.waiting += 1
      if (reader !== undefined) follow(reader)
      await queue(line)
      let begunMs = monotonicMs()
      let workedMs = 0
      try {
        if (hasLeft(reader)) return null
        return await work(async () => {
          workedMs += monotonicMs() - begunMs
          await turn()
          begunMs = monotonicMs()
        })
      } finally {
        const nowMs = monotonicMs()
        restUntilMs = Math.max(restUntilMs, nowMs + RESTS * (workedMs + nowMs - begunMs))
        line.waiting -= 1
        void callNext()
      }
    },
    watch(response) {
      if (reading.has(response)) reading.set(response, monotonicMs())
    },
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
