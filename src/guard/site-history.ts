/** What each site has leaked since the start. Beyond `MAX_SITES` it forgets the sites with the oldest news. */
import type { HealedSite, SiteMeasure, SiteTrend } from '../core/report.js'

export interface SiteHistory {
  /** @param wasOpenBefore it was there when the guard came, so it is no growth of the time since */
  leaked(id: number, site: string, nowMs: number, wasOpenBefore?: boolean): void
  healed(id: number, by: 'application' | 'guard', nowMs: number): void
  hasOpenLeaks(): boolean
  trendOf(site: string, nowMs: number): SiteTrend
  lastHourOf(site: string, nowMs: number): number[]
  growthPerHour(nowMs: number): number
  healedSites(nowMs: number): HealedSite[]
  /** The first sites that leaked, and `other` for the rest: so many for ever, because each is a time series. */
  measures(): SiteMeasure[]
}

const MAX_SITES = 1000
const MEASURED_SITES = 20
const HOUR_MS = 3_600_000
const SLOT_MS = 300_000
const SLOTS = HOUR_MS / SLOT_MS
const SHORTEST_WATCH_MS = 60_000

interface Entry {
  readonly site: string
  leakedTotal: number
  reclaimed: number
  open: number
  healedAtMs: number
  firstMs: number
  lastSlot: number
  readonly slots: Int32Array
}

export function createSiteHistory(): SiteHistory {
  const entries = new Map<string, Entry>()
  const leaks = new Map<number, Entry>()
  const measured: Entry[] = []
  let leakedTotal = 0

  function entryOf(site: string, nowMs: number): Entry {
    let entry = entries.get(site)
    if (entry === undefined) {
      entry = measured.find((one) => one.site === site) ?? blankEntry(site, nowMs)
      if (measured.length < MEASURED_SITES && !measured.includes(entry)) measured.push(entry)
    }
    // Moved to the end of the Map, whose first entry has the oldest news.
    else entries.delete(site)
    entries.set(site, entry)
    if (entries.size > MAX_SITES) entries.delete(entries.keys().next().value!)
    return entry
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
    leaked(id, site, nowMs, wasOpenBefore = false) {
      // Exempt for a while, then leaked again.
      if (leaks.has(id)) return
      const entry = entryOf(site, nowMs)
      if (!wasOpenBefore) note(entry, nowMs, 1)
      entry.leakedTotal += 1
      leakedTotal += 1
      entry.open += 1
      leaks.set(id, entry)
    },
    healed(id, by, nowMs) {
      const entry = leaks.get(id)
      if (entry === undefined) return
      leaks.delete(id)
      note(entry, nowMs, -1)
      entry.open -= 1
      entry.healedAtMs = nowMs
      if (by === 'guard') entry.reclaimed += 1
      if (entries.get(entry.site) === entry) entryOf(entry.site, nowMs)
    },
    hasOpenLeaks: () => leaks.size > 0,
    trendOf,
    lastHourOf(site, nowMs) {
      const entry = entries.get(site)
      if (entry === undefined) return Array.from({ length: SLOTS }, () => 0)
      roll(entry, nowMs)
      return Array.from(entry.slots, (_, i) => entry.slots[(entry.lastSlot + 1 + i) % SLOTS]!)
    },
    growthPerHour: (nowMs) =>
      [...entries.keys()].reduce((sum, site) => sum + trendOf(site, nowMs).growthPerHour, 0),
    healedSites: (nowMs) =>
      [...entries.values()]
        .filter(({ open, healedAtMs }) => open === 0 && nowMs - healedAtMs < HOUR_MS)
        .sort((a, b) => b.healedAtMs - a.healedAtMs)
        .map(({ site, leakedTotal, reclaimed, healedAtMs }) => ({
          site,
          leakedTotal,
          reclaimed,
          healedMs: nowMs - healedAtMs,
        })),
    measures() {
      const sites = measured.map(({ site, leakedTotal: total, open }) => ({
        site,
        leakedTotal: total,
        leaked: open,
      }))
      const rest = {
        site: 'other',
        leakedTotal: sites.reduce((left, site) => left - site.leakedTotal, leakedTotal),
        leaked: sites.reduce((left, { leaked }) => left - leaked, leaks.size),
      }
      return rest.leakedTotal === 0 ? sites : [...sites, rest]
    },
  }
}

function blankEntry(site: string, nowMs: number): Entry {
  return {
    site,
    leakedTotal: 0,
    reclaimed: 0,
    open: 0,
    healedAtMs: -Infinity,
    firstMs: nowMs,
    lastSlot: slotAt(nowMs),
    slots: new Int32Array(SLOTS),
  }
}

function note(entry: Entry, nowMs: number, change: 1 | -1): void {
  roll(entry, nowMs)
  entry.slots[slotAt(nowMs) % SLOTS]! += change
}

function slotAt(nowMs: number): number {
  return Math.floor(nowMs / SLOT_MS)
}

function roll(entry: Entry, nowMs: number): void {
  const slot = slotAt(nowMs)
  const passed = Math.min(SLOTS, slot - entry.lastSlot)
  for (let i = 1; i <= passed; i += 1) entry.slots[(entry.lastSlot + i) % SLOTS] = 0
  entry.lastSlot = slot
}
