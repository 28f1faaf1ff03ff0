import type { Announcer } from '../act/announcer.js'
import { createLeakLog } from '../act/leak-log.js'
import { createPressureWatch } from '../act/pressure.js'
import type { Ledger } from '../core/ledger.js'
import type { PressureSettings } from '../act/pressure.js'
import { createSiteHistory } from './site-history.js'
import type { Gathered } from '../report/build.js'
import { siteOfPair } from '../report/pair-lines.js'
import { Durations } from '../core/durations.js'
import type { MeasuresReport, PairReport, PressureReport } from '../core/report.js'
import { createStallLog } from './stalls.js'
import type { Action, EventType } from '../core/vocabulary.js'
import { createDescriptorCounter } from '../kernel/descriptors.js'
import { createOrphanWatch } from '../kernel/orphans.js'
import { descriptorOf } from '../socket/fields.js'
import type { SocketRecord } from '../socket/record.js'
import type { LogFunction } from '../options/options.js'
import type { ReportSockets } from '../server/report-sockets.js'

export interface BookkeepingHooks {
  readonly announcer: Announcer
  readonly ledger: Ledger<SocketRecord>
  readonly pressure: PressureSettings | null
  readonly log: 'stderr' | LogFunction | null
  readonly logIntervalMs: number
  now(): number
  readonly reportSockets: ReportSockets
  reclaim(record: SocketRecord, action: Action): void
  hurry(delayMs: number): void
}

export interface Bookkeeping {
  onVerdict(type: EventType, record: SocketRecord, site: () => string): void
  onParted(pair: PairReport): void
  onClosing(site: string, line: string): void
  onExempt(record: SocketRecord): void
  onReleased(record: SocketRecord): void
  onTroubleOver(record: SocketRecord): void
  onHandedOver(record: SocketRecord): void
  onStall(blockedMs: number): void
  afterSweep(): void
  onDescriptor(fd: number): void
  graceMs(graceMs: number): number
  gathered(looksForOrphans: boolean): Gathered
  measures(): Pick<MeasuresReport, 'sites' | 'halfClosed' | 'reclaim'>
  descriptors(): PressureReport
  stop(): void
}

const HOUR_MS = 3_600_000

export function keepBooks(hooks: BookkeepingHooks): Bookkeeping {
  const { ledger, now } = hooks
  const stalls = createStallLog()
  const history = createSiteHistory()
  const halfClosed = { inbound: new Durations(), outbound: new Durations() }
  const reclaim = new Durations()
  const countDescriptors = createDescriptorCounter()
  const orphans = createOrphanWatch(knownDescriptors, () => countDescriptors()?.open ?? null)
  const pressure = createPressureWatch(hooks.pressure, {
    ledger,
    countDescriptors,
    reclaim: hooks.reclaim,
    hurry: hooks.hurry,
  })
  const log = hooks.log === null ? null : createLeakLog(writerOf(hooks.log), hooks.logIntervalMs, now)
  const stopLogging = log === null ? null : hooks.announcer.subscribe(log.hear)

  function* knownDescriptors() {
    for (const { socket } of ledger) yield descriptorOf(socket)
    for (const socket of hooks.reportSockets.open()) yield descriptorOf(socket)
  }

  function limitReachedInMs(open: number | null, limit: number | null): number | null {
    const perHour = history.growthPerHour(now())
    if (open === null || limit === null || perHour <= 0) return null
    return Math.round((Math.max(0, limit - open) / perHour) * HOUR_MS)
  }

  return {
    onVerdict(type, { id, hint }, site) {
      if (type === 'leaked') history.leaked(id, site(), now(), hint?.isBornBefore === true)
      else if (type === 'recovered') history.healed(id, 'application', now())
      else if (type !== 'suspect' && type !== 'stalled') history.healed(id, 'guard', now())
    },
    onParted(pair) {
      log?.hearParted(siteOfPair(pair), pair.line)
    },
    onClosing(site, line) {
      log?.hearClosing(site, line)
    },
    onExempt({ id }) {
      log?.forget(id)
    },
    onReleased({ id, trouble }) {
      if (!history.hasOpenLeaks()) return
      // No event will tell: it leaked and was exempted later.
      if (trouble === null || (trouble.acted === 'no' && trouble.verdict !== 'leaked')) {
        history.healed(id, 'application', now())
      }
    },
    onTroubleOver({ direction, peerEndedMs, localEndedMs, trouble }) {
      if (trouble === null) return
      // Of a connection that closes in good order, the sides end in one round trip.
      const endedMs = Math.min(peerEndedMs || Infinity, localEndedMs || Infinity)
      if (endedMs !== Infinity) halfClosed[direction].note(now() - endedMs)
      if (trouble.acted !== 'no') reclaim.note(now() - trouble.sinceMs)
    },
    onHandedOver({ id }) {
      history.healed(id, 'application', now())
    },
    onStall(blockedMs) {
      stalls.note(blockedMs, now())
    },
    afterSweep() {
      pressure.measure()
      log?.tellRest()
    },
    onDescriptor: pressure.onDescriptor,
    graceMs: pressure.graceMs,
    gathered(looksForOrphans) {
      if (looksForOrphans) orphans.refresh()
      const descriptors = pressure.report()
      const at = now()
      return {
        stalls: stalls.report(at),
        descriptors,
        limitReachedInMs: limitReachedInMs(descriptors.openDescriptors, descriptors.descriptorLimit),
        growthPerHour: history.growthPerHour(at),
        orphans: orphans.report(),
        trendOf: (site) => history.trendOf(site, at),
        lastHourOf: (site) => history.lastHourOf(site, at),
        healedSites: history.healedSites(at),
      }
    },
    measures: () => ({
      sites: history.measures(),
      halfClosed: { inbound: halfClosed.inbound.report(), outbound: halfClosed.outbound.report() },
      reclaim: reclaim.report(),
    }),
    descriptors: () => pressure.report(),
    stop() {
      stopLogging?.()
      orphans.stop()
    },
  }
}

function writerOf(log: 'stderr' | LogFunction): LogFunction {
  if (log !== 'stderr') return log
  return function writeToStderr(line) {
    process.stderr.write(`${line}\n`)
  }
}
