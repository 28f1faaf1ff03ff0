// The part of the report about connections that are open both ways.
import type { Direction } from './vocabulary.js'

/** Waits of a grace or longer. A suspect, leaked, stalled or exempt socket counts in `count` alone. */
export interface CensusCounts {
  readonly count: number
  readonly unanswered: number
  readonly longestUnansweredMs: number
  readonly unread: number
  readonly longestUnreadMs: number
  readonly unused: number
  readonly longestUnusedMs: number
}

/** The open connections of one site and direction. */
export interface CensusSite extends CensusCounts {
  readonly site: string
  readonly direction: Direction
  readonly oldestMs: number
  /** Milliseconds since a byte was seen to move on any of them. */
  readonly idleMs: number
  /** Over the last 15 minutes and the last day; `null` until watched long enough. */
  readonly growthPerMinute: number | null
  readonly growthPerHour: number | null
  /** The outgoing requests that wait, most frequent first, at most 3. */
  readonly requests: readonly RequestCount[]
  /** Grew and never shrank in that time. */
  readonly growing: boolean
  /** Milliseconds to the descriptor limit at that growth; `null` if not in sight. */
  readonly limitReachedInMs: number | null
  readonly line: string
}

export interface RequestCount {
  readonly site: string
  readonly count: number
}

/** An HTTP client of one origin whose requests wait for a connection. */
export interface HttpClientReport {
  readonly origin: string
  readonly library: 'node:http' | 'undici'
  readonly busy: number
  readonly free: number
  readonly queued: number
  readonly longestQueuedMs: number
  /** The requests that occupy the connections, most frequent first, at most 3. */
  readonly busyWith: readonly RequestCount[]
  readonly line: string
}

export interface CensusReport {
  readonly ageMs: number | null
  readonly inbound: CensusCounts
  readonly outbound: CensusCounts
  readonly growingSites: number
  /** Sites that grow or wait; all on request. */
  readonly sites: readonly CensusSite[]
  /** Clients with requests that have queued for a grace or longer. */
  readonly clients: readonly HttpClientReport[]
}
