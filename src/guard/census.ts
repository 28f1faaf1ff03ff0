// Counts open connections by site and direction, every few sweeps: which wait, since when, and which sites grow.
import { agoMs } from '../core/durations.js'
import type { Pass } from '../act/sweeper.js'
import { messageOf, warnOnce } from '../base/warnings.js'
import type { Ledger } from '../core/ledger.js'
import type { CensusCounts } from '../core/report.js'
import type { Direction } from '../core/vocabulary.js'
import { ClientFinder, countInSteps, countRequests } from '../owner/clients.js'
import type { Census, CountedClient, CountedSite } from '../report/census.js'
import { bytesMoved } from '../socket/fields.js'
import type { SocketRecord } from '../socket/record.js'
import { WaitClock, waitOf, watched, type Wait } from '../socket/waits.js'
import { Levels } from './levels.js'
import type { Look } from './look.js'

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const LONGEST_INTERVAL_MS = 15_000
/** Of one CPU, for all censuses. CPU time, because a busy machine makes each take longer and not cost more. */
const CPU_SHARE = 0.01
const SOCKETS_A_STEP = 16
const MOST_SITES = 1000
const LEAST_FOLLOWED = 2
const MOST_IN_QUEUE = 1000
/** Waiting requests of a site, by number, that are read for their names. */
const MOST_NAMED = 1000

export interface CensusTaker {
  isDue(nowMs: number): boolean
  begin(look: Look): Pass
  report(nowMs: number): Census
}

type Counts = { -readonly [Name in keyof CensusCounts]: CensusCounts[Name] }

const NONE: CensusCounts = {
  count: 0,
  unanswered: 0,
  longestUnansweredMs: 0,
  unread: 0,
  longestUnreadMs: 0,
  unused: 0,
  longestUnusedMs: 0,
}

interface Group extends Counts {
  readonly site: string
  readonly direction: Direction
  firstSeenMs: number
  movedMs: number
  readonly waiting: object[]
}

interface Trend {
  readonly minutes: Levels
  readonly hours: Levels
}

export function createCensus(ledger: Ledger<SocketRecord>, graceMs: number, waits: WaitClock): CensusTaker {
  const intervalMs = Math.min(LONGEST_INTERVAL_MS, graceMs / 4)
  const queues = new WaitClock()
  let trends: ReadonlyMap<string, Trend> = new Map()
  let nextMs = 0
  let latest: Omit<Census, 'ageMs'> & { readonly atMs: number | null } = {
    atMs: null,
    inbound: NONE,
    outbound: NONE,
    sites: [],
    clients: [],
  }

  function begin(look: Look): Pass {
    const { nowMs } = look
    const groups = new Map<string, Group>()
    const clients = new ClientFinder()
    const waiting: CountedClient[] = []
    const finding = findWaiting()
    let records: SocketRecord[] | null = null
    let costMs = 0
    nextMs = nowMs + intervalMs

    function add(record: SocketRecord): void {
      noteMoved(record, nowMs)
      const wait = waitOf(record, look.sources.streams)
      if (wait !== null) waits.note(wait, nowMs)
      const ms = wait === null ? 0 : waits.msOf(wait, nowMs)
      const { stalled, graceMs: longEnoughMs } = record.policy
      const hasWaited = wait !== null && !isToldOtherwise(record) && ms >= (stalled.graceMs ?? longEnoughMs)
      const group = groupOf(record, hasWaited)
      group.count += 1
      group.firstSeenMs = Math.min(group.firstSeenMs, record.firstSeenMs)
      group.movedMs = Math.max(group.movedMs, record.movedMs, record.firstSeenMs)
      if (record.direction === 'outbound') clients.add(record)
      if (wait === null || !hasWaited) return
      count(group, wait, ms)
      if (record.direction === 'outbound' && group.waiting.length < MOST_NAMED)
        group.waiting.push(wait.subject, ...wait.others)
    }

    function groupOf(record: SocketRecord, hasWaited: boolean): Group {
      const { direction } = record
      const site = look.siteInCensus(record, hasWaited)
      const key = `${direction} ${site}`
      let group = groups.get(key)
      if (group === undefined)
        groups.set(key, (group = { site, direction, ...NONE, firstSeenMs: nowMs, movedMs: 0, waiting: [] }))
      return group
    }

    function* findWaiting(): Generator<null, void> {
      for (const load of clients.loads()) {
        const longestQueuedMs = load === null ? 0 : longestIn(load.queue, nowMs)
        if (load !== null && longestQueuedMs >= graceMs) {
          const { running, queue: _, ...rest } = load
          waiting.push({ ...rest, longestQueuedMs, busyWith: yield* countInSteps(running) })
        }
        yield null
      }
    }

    function finish(): void {
      trends = followed(groups, trends, Math.min(MINUTE_MS, graceMs), nowMs)
      const sites = [...groups].map(([key, group]) => siteOf(group, trends.get(key), nowMs))
      // The first census includes compilation.
      if (latest.atMs !== null) nextMs = nowMs + Math.max(intervalMs, costMs / CPU_SHARE)
      latest = {
        atMs: nowMs,
        inbound: sumOf(sites, 'inbound'),
        outbound: sumOf(sites, 'outbound'),
        sites,
        clients: waiting,
      }
    }

    return {
      step() {
        const before = process.cpuUsage()
        records ??= [...ledger]
        const some = records.splice(-SOCKETS_A_STEP)
        for (const record of some) if (record.index !== -1) shielded(() => add(record))
        let isMore = some.length > 0
        if (!isMore) shielded(() => (isMore = finding.next().done !== true))
        const { user, system } = process.cpuUsage(before)
        costMs += (user + system) / 1000
        if (!isMore) shielded(finish)
        return isMore
      },
    }
  }

  function longestIn(queue: readonly object[], nowMs: number): number {
    let longestMs = 0
    for (const subject of queue.slice(0, MOST_IN_QUEUE)) {
      const wait = watched('answer', subject, 0)
      queues.note(wait, nowMs)
      longestMs = Math.max(longestMs, queues.msOf(wait, nowMs))
    }
    return longestMs
  }

  return {
    isDue: (nowMs) => nowMs >= nextMs,
    begin,
    report: (nowMs) => {
      const { atMs, ...rest } = latest
      return { ageMs: atMs === null ? null : nowMs - atMs, ...rest }
    },
  }
}

function noteMoved(record: SocketRecord, nowMs: number): void {
  const moved = bytesMoved(record.socket) | 0
  if (moved === record.bytesMoved) return
  record.bytesMoved = moved
  record.movedMs = nowMs
}

function isToldOtherwise({ isExempt, trouble }: SocketRecord): boolean {
  return isExempt || (trouble !== null && trouble.verdict !== 'none')
}

function count(group: Group, { for: what, others }: Wait, ms: number): void {
  switch (what) {
    case 'answer':
    case 'end':
      group.unanswered += 1 + others.length
      group.longestUnansweredMs = Math.max(group.longestUnansweredMs, ms)
      return
    case 'reader':
      group.unread += 1
      group.longestUnreadMs = Math.max(group.longestUnreadMs, ms)
      return
    case 'use':
      group.unused += 1
      group.longestUnusedMs = Math.max(group.longestUnusedMs, ms)
  }
}

function followed(
  groups: ReadonlyMap<string, Group>,
  before: ReadonlyMap<string, Trend>,
  slotMs: number,
  nowMs: number,
): Map<string, Trend> {
  const trends = new Map<string, Trend>()
  for (const [key, { count: level }] of groups) {
    const known = before.get(key)
    if (level < LEAST_FOLLOWED || (known === undefined && before.size >= MOST_SITES)) continue
    known?.minutes.note(level, nowMs)
    known?.hours.note(level, nowMs)
    trends.set(key, known ?? newTrend(slotMs, level, nowMs))
  }
  return trends
}

function newTrend(slotMs: number, level: number, nowMs: number): Trend {
  return {
    minutes: new Levels(slotMs, 16, 10, level, nowMs),
    hours: new Levels(HOUR_MS, 25, 3, level, nowMs),
  }
}

function siteOf(group: Group, trend: Trend | undefined, nowMs: number): CountedSite {
  const { firstSeenMs, movedMs, waiting, ...rest } = group
  return {
    ...rest,
    requests: countRequests(waiting),
    oldestMs: agoMs(firstSeenMs, nowMs),
    idleMs: agoMs(movedMs, nowMs),
    growthPerMinute: trend?.minutes.growthPer(MINUTE_MS) ?? null,
    growthPerHour: trend?.hours.growthPer(HOUR_MS) ?? null,
    growing: trend !== undefined && (trend.minutes.isOnlyGrowing() || trend.hours.isOnlyGrowing()),
  }
}

function sumOf(sites: readonly CountedSite[], direction: Direction): CensusCounts {
  const sum: Counts = { ...NONE }
  for (const site of sites) {
    if (site.direction !== direction) continue
    sum.count += site.count
    sum.unanswered += site.unanswered
    sum.unread += site.unread
    sum.unused += site.unused
    sum.longestUnansweredMs = Math.max(sum.longestUnansweredMs, site.longestUnansweredMs)
    sum.longestUnreadMs = Math.max(sum.longestUnreadMs, site.longestUnreadMs)
    sum.longestUnusedMs = Math.max(sum.longestUnusedMs, site.longestUnusedMs)
  }
  return sum
}

function shielded(work: () => void): void {
  try {
    work()
  } catch (error) {
    warnOnce('SLG_WARN_INTERNAL', `counting sockets failed: ${messageOf(error)}`)
  }
}
