/**
 * The composition root: options in, a working guard out. Everything that listens, times or acts is made here and
 * taken down here again.
 */
import { Server, Socket } from 'node:net'
import { keepBooks } from './bookkeeping.js'
import { createAnnouncer } from './act/announcer.js'
import { createExecutor } from './act/executor.js'
import { createJudge } from './act/judge.js'
import { beginSweepPass } from './act/sweep-pass.js'
import { startSweeper } from './act/sweeper.js'
import { Ledger } from './core/ledger.js'
import type { Report, SnapshotQuery } from './core/report.js'
import { buildReport } from './core/snapshot.js'
import type { Action } from './core/vocabulary.js'
import { describeValue, SocketLeakGuardError } from './errors.js'
import type { Guard } from './guard.js'
import { checkedLabel, checkedRemedy, checkedSocket, findSocket } from './guard-arguments.js'
import { Attribution } from './observe/attribution.js'
import { describeSocket } from './observe/describe-socket.js'
import { observeHttpRequests } from './observe/http-requests.js'
import { prepareOwners } from './observe/owners.js'
import { ephemeralPortCount } from './observe/kernel/ephemeral-ports.js'
import { selectKernelProbe } from './observe/kernel/select.js'
import { directionOf, hasReadableFields, isTcp, serverOf } from './observe/socket-fields.js'
import { TrackedSocket } from './observe/tracked-socket.js'
import { startTracker, type SocketSettings } from './observe/tracker.js'
import { createTurnCounter } from './observe/turns.js'
import {
  resolveOptions,
  resolvePolicy,
  sameOptions,
  type InstallOptions,
  type ResolvedOptions,
  type SocketPolicy,
} from './options.js'
import { monotonicMs } from './real-time.js'
import { installedGuard, registerGuard } from './registry.js'
import { openReportEndpoint } from './server/open-endpoint.js'
import { isReportServer, isReportSocket } from './server/report-sockets.js'
import { messageOf, warnOnce } from './warnings.js'

const SHORTEST_SWEEP_MS = 10

/**
 * Installs the guard in this process. A second call with the same options (or none) returns the guard that is there.
 *
 * Cost: six patched methods, two subscriptions and one unref'd timer; a healthy socket pays one small record.
 *
 * @throws `SLG_ERR_UNKNOWN_OPTION`, `SLG_ERR_INVALID_OPTION`, `SLG_ERR_REPORT_NEEDS_TOKEN`,
 *   `SLG_ERR_ALREADY_INSTALLED` when a guard with other options is there, `SLG_ERR_UNSUPPORTED_NODE`
 * @example
 * import { install } from 'socket-leak-guard'
 * const guard = install({ graceMs: 30_000, action: 'end' })
 */
export function install(input?: InstallOptions): Guard {
  const options = resolveOptions(input)
  const present = installedGuard()
  if (present !== null) {
    if (isEmpty(input) || sameOptions(present.options as ResolvedOptions, options)) return present
    throw new SocketLeakGuardError(
      'SLG_ERR_ALREADY_INSTALLED',
      'a guard with other options is already installed in this process; use installedGuard(), or uninstall() it first',
    )
  }
  if (!hasReadableFields(new Socket())) {
    throw new SocketLeakGuardError(
      'SLG_ERR_UNSUPPORTED_NODE',
      `the sockets of this runtime (${process.version}) can't be observed: their state is not where Node keeps it`,
    )
  }
  const guard = createGuard(options)
  registerGuard(guard)
  return guard
}

function isEmpty(input: InstallOptions | undefined): boolean {
  return input === undefined || Object.values(input).every((value) => value === undefined)
}

function createGuard(options: ResolvedOptions): Guard {
  // First: it throws where a peer is missing, and nothing may be left behind then.
  const owners = prepareOwners(options)
  const endpoint = openReportEndpoint(options.report, options.reportToken, {
    read(query) {
      // Fresh, but never slow: the kernel's tables are read in slices, and not while somebody waits.
      sweeper.glance()
      return snapshot(query, true)
    },
    subscribe: (listener) => guard.subscribe(listener),
  })
  // Who preloads the guard has nobody to handle the rejection, and an unhandled one would end the application.
  endpoint?.ready.catch((error: unknown) => {
    warnOnce('SLG_ERR_REPORT_LISTEN', messageOf(error))
  })
  const startedMs = monotonicMs()
  // Never 0, which stands for "not yet".
  const now = (): number => Math.trunc(monotonicMs() - startedMs) + 1
  const turn = createTurnCounter()
  const ledger = new Ledger<TrackedSocket>()
  const announcer = createAnnouncer()
  const probe = selectKernelProbe(options.kernel, (reason) => {
    warnOnce('SLG_WARN_KERNEL', reason)
  })
  const executor = createExecutor(probe, (error) => {
    warnOnce('SLG_WARN_INTERNAL', `closing a socket failed: ${messageOf(error)}`)
  })
  const defaults: SocketSettings = { policy: options, label: null }
  const servers = new WeakMap<object, SocketSettings>()
  let shortestGraceMs = options.graceMs
  let urgentMs = Infinity

  function serverSettings(server: Server | null): SocketSettings {
    return server === null ? defaults : (servers.get(server) ?? defaults)
  }

  const judge = createJudge({
    ledger,
    executor,
    announcer,
    now,
    describe: (record) => describeSocket(record, now()),
    onLeaked: owners.onLeaked,
    effectiveGraceMs: (graceMs) => books.graceMs(graceMs),
    urge(delayMs) {
      urgentMs = Math.min(urgentMs, delayMs)
    },
  })
  const tracker = startTracker({
    ledger,
    settingsFor: (socket) => serverSettings(serverOf(socket)),
    now,
    isForeign: isReportSocket,
    isActing: executor.isActing,
    onPeerEnded: (record) => {
      books.onPeerEnded(record)
    },
    onAdopted: owners.onAdopted,
    onOpened: owners.onOpened,
    onEnding: (record) => {
      if (!executor.isActing()) owners.onEnding(record)
    },
    onReleased(record) {
      books.onReleased(record)
      owners.onReleased(record)
      if (record.case !== null) judge.apply(record, { type: 'closed', nowMs: now() })
    },
    onFailure(error) {
      warnOnce('SLG_WARN_INTERNAL', `observing a socket failed: ${messageOf(error)}`)
    },
  })
  const stopObservingHttp = observeHttpRequests({
    adopt: (socket) => tracker.adopt(socket, 'inbound'),
    onFailure(error) {
      warnOnce('SLG_WARN_INTERNAL', `observing a request failed: ${messageOf(error)}`)
    },
  })
  const books = keepBooks({
    ledger,
    probe,
    pressure: options.pressure,
    log: options.log,
    logIntervalMs: options.logIntervalMs,
    now,
    isForeignServer: isReportServer,
    reclaim,
  })
  announcer.subscribe(books.onEvent)
  const stopObservingOwners = owners.start({ adopt: tracker.adopt, isActing: executor.isActing })
  const sweeper = startSweeper({
    begin: (asksKernel) =>
      beginSweepPass({ ledger, judge, probe, now, turn, onFirstLook, forget }, asksKernel),
    nextDelayMs: takeSweepDelayMs,
    onStall(blockedMs) {
      books.onStall(blockedMs)
      for (const record of ledger)
        if (record.case !== null) judge.apply(record, { type: 'stalled', nowMs: now(), blockedMs })
    },
    onFailure(error) {
      warnOnce('SLG_WARN_INTERNAL', `a sweep failed: ${messageOf(error)}`)
    },
  })
  let installed = true

  function forget(record: TrackedSocket): void {
    tracker.forget(record)
    if (!record.socket.destroyed) books.onHandedOver()
  }

  function onFirstLook({ socket }: TrackedSocket): void {
    if (options.userTimeoutMs !== null && isTcp(socket))
      executor.setUserTimeout(socket, options.userTimeoutMs)
  }

  function reclaim(record: TrackedSocket, action: Action): void {
    const localEnded = record.socket.writableEnded
    judge.apply(record, { type: 'decided', nowMs: now(), action, localEnded })
    sweeper.hurry(record.policy.escalateMs)
  }

  /** Idle time is only as exact as the looks are close: at least four of them in the shortest grace. */
  function takeSweepDelayMs(): number {
    books.afterSweep()
    const delayMs = Math.min(options.sweepMs, shortestGraceMs / 4, urgentMs)
    urgentMs = Infinity
    return Math.max(SHORTEST_SWEEP_MS, Math.ceil(delayMs))
  }

  function recordFor(socket: unknown): TrackedSocket {
    if (!installed) throw new SocketLeakGuardError('SLG_ERR_UNINSTALLED', 'this guard was uninstalled')
    const checked = checkedSocket(socket)
    const record = tracker.adopt(checked, directionOf(checked))
    // What is already closed takes every call and forgets it.
    return record ?? new TrackedSocket(0, checked, 'inbound', now(), options)
  }

  function shortenGrace({ graceMs }: SocketPolicy): void {
    shortestGraceMs = Math.min(shortestGraceMs, graceMs)
    sweeper.hurry(shortestGraceMs / 4)
  }

  function applySettings(server: Server, { policy, label }: SocketSettings): void {
    for (const record of ledger) {
      if (serverOf(record.socket) !== server) continue
      record.policy = policy
      if (label !== null || record.attribution !== null)
        (record.attribution ??= new Attribution()).label = label
    }
  }

  function attributionFor(socket: unknown): Attribution {
    const record = recordFor(socket)
    return (record.attribution ??= new Attribution())
  }

  function snapshot(query: SnapshotQuery = {}, looksForOrphans = false): Report {
    const at = now()
    const sockets = []
    for (const record of ledger) {
      const isOdd = record.case !== null && (query.unsettled === true || record.case.verdict !== 'none')
      if (query.all === true || record.isExempt || isOdd) {
        sockets.push(describeSocket(record, at, query.unsettled))
      }
    }
    return buildReport(
      {
        generatedAt: new Date().toISOString(),
        process: {
          pid: process.pid,
          node: process.version,
          platform: process.platform,
          uptimeSeconds: Math.round(process.uptime()),
        },
        kernel: { probe: probe.name, reason: probe.reason },
        kept: books.kept(looksForOrphans),
        ephemeralPorts: ephemeralPortCount(),
        tracked: ledger.size,
        counts: ledger.counts,
        sockets,
      },
      query,
    )
  }

  function uninstall(): void {
    if (!installed) return
    installed = false
    sweeper.stop()
    stopObservingOwners()
    stopObservingHttp()
    tracker.stop()
    books.stop()
    probe.close?.()
    void endpoint?.close()
    if (installedGuard() === guard) registerGuard(null)
  }

  const guard: Guard = {
    options,
    listening: endpoint === null ? null : endpoint.ready,
    snapshot,
    sweep(query) {
      if (installed) sweeper.sweepNow()
      return snapshot(query, installed)
    },
    subscribe: announcer.subscribe,
    exempt(socket) {
      recordFor(socket).isExempt = true
    },
    label(socket, text) {
      attributionFor(socket).label = checkedLabel(text)
    },
    configure(socket, policy) {
      const record = recordFor(socket)
      record.policy = resolvePolicy(policy, record.policy)
      shortenGrace(record.policy)
    },
    configureServer(server, { label, ...policy }) {
      if (!installed) throw new SocketLeakGuardError('SLG_ERR_UNINSTALLED', 'this guard was uninstalled')
      if (!(server instanceof Server)) {
        throw new SocketLeakGuardError(
          'SLG_ERR_WRONG_SERVER',
          `server must be a net.Server, got ${describeValue(server)}`,
        )
      }
      const settings: SocketSettings = {
        policy: resolvePolicy(policy, options),
        label: label === undefined ? null : checkedLabel(label),
      }
      servers.set(server, settings)
      applySettings(server, settings)
      shortenGrace(settings.policy)
      return function releaseServer() {
        if (servers.get(server) !== settings) return
        servers.delete(server)
        applySettings(server, defaults)
      }
    },
    socketsOf: (server) =>
      Array.from(ledger, ({ socket }) => socket).filter((socket) => serverOf(socket) === server),
    attribute(socket, { kind, request }) {
      const attribution = attributionFor(socket)
      if (kind !== undefined) attribution.kind = kind
      if (request !== undefined) attribution.request = request
    },
    reclaim(id, action = 'end') {
      if (!installed) throw new SocketLeakGuardError('SLG_ERR_UNINSTALLED', 'this guard was uninstalled')
      const remedy = checkedRemedy(action)
      reclaim(findSocket(ledger, id), remedy)
    },
    lint: (lintOptions) => books.lint(lintOptions),
    uninstall,
    [Symbol.dispose]: uninstall,
  }
  return guard
}
