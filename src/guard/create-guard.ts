import type { Report, SnapshotQuery } from '../core/report.js'
import { buildInSteps, buildReport, type SnapshotParts } from '../report/build.js'
import { SocketLeakGuardError } from '../base/errors.js'
import type { Guard } from './guard.js'
import { startEngine } from './engine.js'
import type { Look } from './look.js'
import { createEstate } from './estate.js'
import { createAdapterGuard } from './adapter-guard.js'
import { checkedLabel, checkedRemedy, checkedSocket, findSocket } from './arguments.js'
import { countParted, describePairs } from '../pairs/describe-pairs.js'
import { directionOf, descriptorOf } from '../socket/fields.js'
import { History, type Sample } from './history.js'
import { RecordRow } from './row.js'
import { SocketRecord } from '../socket/record.js'
import { releaseAll } from '../socket/tracker.js'
import { writeProcessWide } from '../base/process-wide.js'
import type { ResolvedOptions } from '../options/options.js'
import { installedGuard, lintForReport, registerGuard } from './registry.js'
import type { ReportEndpoint } from '../server/endpoint.js'
import type { ReportSource } from '../server/handler.js'
import { checkReportAddress, openReportEndpoint } from '../server/open-endpoint.js'
import { faultsCaught, messageOf, warnOnce } from '../base/warnings.js'

const MOST_SOCKETS = 1000

export interface FreshGuard {
  readonly guard: Guard
  /** Goes on with other options and the same sockets and subscribers. If it throws, the old ones stay. */
  restart(options: ResolvedOptions): void
}

export function createGuard(initial: ResolvedOptions): FreshGuard {
  let options = initial
  const estate = createEstate(
    () => options,
    (policy) => engine.onPolicy(policy),
  )
  const { ledger, announcer, now } = estate
  checkReportAddress(options.report, options.reportToken)
  let engine = startEngine(options, estate)
  let endpoint = openEndpoint(null)
  let stopIncidents = startIncidents()
  let installed = true
  writeProcessWide('report-sockets', estate.reportSockets)

  function openEndpoint(previous: ReportEndpoint | null): ReportEndpoint | null {
    const { report, reportToken } = options
    if (report !== null) keepHistory()
    const source: ReportSource = {
      reportInSteps,
      snapshot,
      locate: (id) => guard.locate(id),
      reclaim: (id, action) => guard.reclaim(id, action),
      exempt: (id, isExempt) => guard.exempt(id, isExempt),
      subscribe: announcer.subscribe,
    }
    const opened = openReportEndpoint(report, reportToken, previous, source, estate.reportSockets)
    // A preloaded application can't handle the rejection, which would end it.
    opened?.ready.catch((error: unknown) => {
      warnOnce('SLG_ERR_REPORT_LISTEN', messageOf(error))
    })
    return opened
  }

  function startIncidents(): () => void {
    const { incident } = options
    if (incident === null) return () => {}
    let stop = (): void => {
      stop = () => {}
      isWanted = false
    }
    let isWanted = true
    const source = {
      runDetached: estate.runDetached,
      reportInSteps: () => reportInSteps({ limit: MOST_SOCKETS }),
      sample: countForHistory,
    }
    import('../incident/incident.js').then(
      ({ watchIncidents }) => {
        if (isWanted) stop = watchIncidents(incident, source)
      },
      (error: unknown) => warnOnce('SLG_ERR_SAVE_REPORT', messageOf(error)),
    )
    return () => stop()
  }

  function keepHistory(): History {
    return (estate.history ??= new History(now, countForHistory))
  }

  function countForHistory(): Sample {
    let suspect = 0
    let leaked = 0
    for (const { isExempt, trouble } of ledger) {
      if (isExempt || trouble === null) continue
      if (trouble.verdict === 'suspect') suspect += 1
      else if (trouble.verdict === 'leaked') leaked += 1
    }
    const { reclaimed, dead } = ledger.counts
    const { openDescriptors, descriptorLimit } = engine.books.descriptors()
    return {
      tracked: ledger.size,
      suspect,
      leaked,
      reclaimed: reclaimed + dead,
      openDescriptors,
      descriptorLimit,
    }
  }

  function restart(next: ResolvedOptions): void {
    checkReportAddress(next.report, next.reportToken)
    const previous = options
    engine.stop()
    try {
      engine = startEngine(next, estate)
    } catch (error) {
      engine = startEngine(previous, estate)
      throw error
    }
    options = next
    for (const record of ledger) {
      estate.settings.apply(record)
      // The restart took back probes and time limits; the next sweep sets them again.
      record.selfConnected = null
      if (record.trouble !== null) record.trouble = { ...record.trouble, probing: false }
    }
    engine.onPolicy(next)
    if (next.report !== previous.report || next.reportToken !== previous.reportToken) {
      endpoint = openEndpoint(endpoint)
    }
    if (next.incident !== previous.incident) {
      stopIncidents()
      stopIncidents = startIncidents()
    }
  }

  function ensureInstalled(): void {
    if (!installed) throw new SocketLeakGuardError('SLG_ERR_UNINSTALLED', 'this guard was uninstalled')
  }

  function recordFor(socket: unknown): SocketRecord {
    ensureInstalled()
    const checked = checkedSocket(socket)
    const record = engine.tracker.adopt(checked, directionOf(checked))
    return record ?? new SocketRecord(0, checked, 'inbound', now(), options)
  }

  function findOwn(id: unknown): SocketRecord {
    ensureInstalled()
    return findSocket(ledger, id)
  }

  function snapshot(query: SnapshotQuery = {}, looksForOrphans = false): Report {
    return buildReport(collect(query, engine.look(), looksForOrphans), query)
  }

  function report(query?: SnapshotQuery): Report {
    // Reading the kernel's tables would keep the caller waiting.
    estate.runDetached(engine.sweeper.glance)
    return snapshot(query, installed)
  }

  function* reportInSteps(query: SnapshotQuery = {}): Generator<void, Report> {
    estate.runDetached(engine.sweeper.glance)
    yield
    const look = engine.look()
    const parts = collect(query, look, installed)
    // A scrape of a process without trouble asks for none.
    if (query.limit !== 0 || parts.rows.length > 0) {
      while (look.pairs.gather()) yield
      look.ties()
    }
    return yield* buildInSteps(parts, query)
  }

  function collect(query: SnapshotQuery, look: Look, looksForOrphans: boolean): SnapshotParts {
    const at = now()
    const { all = false, unsettled = false, fd, id } = query
    const rows: RecordRow[] = []
    for (const record of ledger) {
      const isOdd = record.trouble !== null && (unsettled || record.trouble.verdict !== 'none')
      const isAsked = record.id === id || (fd !== undefined && descriptorOf(record.socket) === fd)
      if (all || record.isExempt || isOdd || isAsked) rows.push(new RecordRow(record, look, unsettled))
    }
    return {
      generatedAt: new Date().toISOString(),
      process: {
        pid: process.pid,
        node: process.version,
        platform: process.platform,
        uptimeSeconds: Math.round(process.uptime()),
      },
      kernel: { probe: engine.probe.name, reason: engine.probe.reason },
      gathered: estate.runDetached(engine.books.gathered, looksForOrphans),
      census: engine.census.report(at),
      closing: engine.closings.report(look),
      code: engine.codes.report(),
      measures: {
        ...engine.books.measures(),
        sweeps: engine.sweeper.spent(),
        faults: Object.fromEntries(faultsCaught()),
      },
      lint: lintForReport(),
      history: query.history === true ? keepHistory().report(Date.now()) : null,
      tracked: ledger.size,
      counts: ledger.counts,
      partedPairs: countParted(look.pairs, at),
      pairs: (limit) => describePairs(ledger, look, { all, limit }),
      rows,
    }
  }

  function uninstall(): void {
    if (!installed) return
    installed = false
    writeProcessWide('report-sockets', undefined)
    engine.stop()
    releaseAll(ledger)
    void endpoint?.close()
    stopIncidents()
    if (installedGuard() === guard) registerGuard(null)
  }

  const guard: Guard = {
    get options() {
      return options
    },
    get listening() {
      return endpoint?.ready ?? null
    },
    snapshot,
    sweep(query) {
      if (installed) estate.runDetached(engine.sweep)
      return snapshot(query, installed)
    },
    report,
    subscribe: announcer.subscribe,
    exempt(socket, isExempt = true) {
      const record = typeof socket === 'number' ? findOwn(socket) : recordFor(socket)
      record.isExempt = isExempt
      if (isExempt) estate.runDetached(engine.books.onExempt, record)
    },
    label(socket, text) {
      estate.settings.label(recordFor(socket), text === null ? null : checkedLabel(text))
    },
    configure(socket, policy) {
      estate.settings.configure(recordFor(socket), policy)
    },
    adapter: createAdapterGuard({ estate, engine: () => engine, ensureInstalled, recordFor, reportInSteps }),
    locate(id) {
      const record = findOwn(id)
      return engine.codes.locate(record, engine.look().identify(record).site)
    },
    reclaim(id, action = 'end') {
      ensureInstalled()
      const remedy = checkedRemedy(action)
      engine.reclaim(findSocket(ledger, id), remedy)
    },
    async saveReport(path, { redact = false } = {}) {
      const { startSaving } = await import('../incident/incident.js')
      return startSaving(path, reportInSteps({ limit: MOST_SOCKETS }), { isRedacted: redact }).saved
    },
    uninstall,
    [Symbol.dispose]: uninstall,
  }
  return { guard, restart }
}
