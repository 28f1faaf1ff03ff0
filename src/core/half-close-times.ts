import type { SuggestedGrace } from './report.js'

/**
 * How long healthy half-closes take: the time between the end of one side and the end (or release) of the other, for
 * connections that nobody ever called leaked. Kept as a histogram with logarithmic buckets, so that a million closes
 * cost no more than one.
 */
export interface HalfCloseTimes {
  /** @param tookMs from the first end to the second, in milliseconds */
  add(tookMs: number): void
  report(): SuggestedGrace
}

/** Each bucket is a quarter wider than the one before: 1 ms to about 49 days in 100 buckets. */
const GROWTH = 1.25
const BUCKETS = 100
const ENOUGH_SAMPLES = 1000
const SHORTEST_GRACE_MS = 1000

export function createHalfCloseTimes(): HalfCloseTimes {
  const counts = new Uint32Array(BUCKETS)
  let samples = 0

  function p999(): number | null {
    if (samples === 0) return null
    let missing = Math.ceil(samples * 0.999)
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
      missing -= counts[bucket]!
      if (missing <= 0) return upperEdgeMs(bucket)
    }
    return upperEdgeMs(BUCKETS - 1)
  }

  return {
    add(tookMs) {
      samples += 1
      counts[bucketOf(tookMs)]! += 1
    },
    report() {
      const p999Ms = p999()
      const isEnough = p999Ms !== null && samples >= ENOUGH_SAMPLES
      return { samples, p999Ms, suggestedGraceMs: isEnough ? Math.max(SHORTEST_GRACE_MS, 2 * p999Ms) : null }
    },
  }
}

function bucketOf(tookMs: number): number {
  if (tookMs <= 1) return 0
  return Math.min(BUCKETS - 1, Math.ceil(Math.log(tookMs) / Math.log(GROWTH)))
}

function upperEdgeMs(bucket: number): number {
  return Math.ceil(GROWTH ** bucket)
}
