/**
 * What each site has leaked since the start: how many, how fast, and when the descriptors will be used up if it goes
 * on. Bounded: beyond `MAX_SITES` the sites with the oldest news are forgotten.
 */
export interface SiteTrend {
  /** Sockets of this site that were called leaked since the start. */
  readonly leakedTotal: number
  /** Leaked minus healed or reclaimed over the last hour, scaled to an hour while the history is shorter. */
  readonly growthPerHour: number
}

export interface SiteHistory {
  leaked(site: string, nowMs: number): void
  healed(site: string, nowMs: number): void
  trendOf(site: string, nowMs: number): SiteTrend
  /** Growth of all sites together. */
  growthPerHour(nowMs: number): number
}

const MAX_SITES = 1000
const HOUR_MS = 3_600_000
const SLOT_MS = 300_000
const SLOTS = HOUR_MS / SLOT_MS
/** A rate is not told before it has been watched for this long. */
const SHORTEST_WATCH_MS = 60_000

interface Entry {
  leakedTotal: number
  firstMs: number
  lastSlot: number
  /** Net growth in each of the last twelve five-minute slots. */
  readonly slots: Int32Array
}

export function createSiteHistory(): SiteHistory {
  const entries = new Map<string, Entry>()

  function entryOf(site: string, nowMs: number): Entry {
    let entry = entries.get(site)
    if (entry === undefined) {
      entry = { leakedTotal: 0, firstMs: nowMs, lastSlot: slotAt(nowMs), slots: new Int32Array(SLOTS) }
    } else {
      // Moved to the end: a Map keeps the order of insertion, so the first entry is the one with the oldest news.
      entries.delete(site)
    }
    entries.set(site, entry)
    if (entries.size > MAX_SITES) entries.delete(entries.keys().next().value!)
    return entry
  }

  function note(site: string, nowMs: number, change: 1 | -1): void {
    const entry = entryOf(site, nowMs)
    roll(entry, nowMs)
    entry.slots[slotAt(nowMs) % SLOTS]! += change
    if (change === 1) entry.leakedTotal += 1
  }

  function trendOf(site: string, nowMs: number): SiteTrend {
    const entry = entries.get(site)
    if (entry === undefined) return { leakedTotal: 0, growthPerHour: 0 }
    roll(entry, nowMs)
    const net = entry.slots.reduce((sum, change) => sum + change, 0)
    const watchedMs = Math.min(HOUR_MS, Math.max(SHORTEST_WATCH_MS, nowMs - entry.firstMs))
    return {
      leakedTotal: entry.leakedTotal,
      growthPerHour: Math.round((net * HOUR_MS * 10) / watchedMs) / 10,
    }
  }

  return {
    leaked: (site, nowMs) => {
      note(site, nowMs, 1)
    },
    healed: (site, nowMs) => {
      note(site, nowMs, -1)
    },
    trendOf,
    growthPerHour: (nowMs) =>
      [...entries.keys()].reduce((sum, site) => sum + trendOf(site, nowMs).growthPerHour, 0),
  }
}

function slotAt(nowMs: number): number {
  return Math.floor(nowMs / SLOT_MS)
}

/** Empties the slots that the clock has passed since the last look. */
function roll(entry: Entry, nowMs: number): void {
  const slot = slotAt(nowMs)
  const passed = Math.min(SLOTS, slot - entry.lastSlot)
  for (let i = 1; i <= passed; i += 1) entry.slots[(entry.lastSlot + i) % SLOTS] = 0
  entry.lastSlot = slot
}
