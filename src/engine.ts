/**
 * The composition root: sensors, judgement, deeds and books, wired together. Everything that listens, times or acts is
 * made here and taken down here again.
 */
import { createAnnouncer, type Announcer } from './act/announcer.js'
import { createExecutor } from './act/executor.js'
import { createJudge } from './act/judge.js'
import { beginSweepPass } from './act/sweep-pass.js'
import { startSweeper, type Sweeper } from './act/sweeper.js'
import { keepBooks, type Bookkeeping } from './bookkeeping.js'
import { Ledger } from './core/ledger.js'
import type { Action } from './core/vocabulary.js'
import { describeSocket, identifySocket } from './observe/describe-socket.js'
import { observeHttpRequests } from './observe/requests/http-requests.js'
import type { KernelProbe } from './kernel/probe.js'
import { selectKernelProbe } from './kernel/select.js'
import { observePairs } from './observe/pairs/observe-pairs.js'
import { prepareOwners } from './observe/owners.js'
import { isDeath, isGivenUp } from './observe/failures.js'
import { isKeepAliveOn, isTcp } from './observe/socket-fields.js'
import type { TrackedSocket } from './observe/tracked-socket.js'
import { startTracker, type Tracker } from './observe/tracker.js'
import { createTurnCounter } from './observe/turns.js'
import type { ResolvedOptions, SocketPolicy } from './options/options.js'
import { monotonicMs } from './real-time.js'
import { keepSettings, type Settings } from './guard/settings.js'
import { ReportSockets } from './server/report-sockets.js'
import { messageOf, warnOnce } from './warnings.js'

export interface Engine {
  readonly probe: KernelProbe
  readonly tracker: Tracker
  readonly sweeper: Sweeper
  readonly books: Bookkeeping
  /** Closes a socket now, whatever its verdict. */
  reclaim(record: TrackedSocket, action: Action): void
  /** A policy that may need closer looks than before is in force. */
  onPolicy(policy: SocketPolicy): void
  /** Takes out what listens and times; the sockets stay in the ledger. */
  stop(): void
}

const SHORTEST_SWEEP_MS = 10
/** Whoever was left behind is in grace at once, not at the next regular sweep; a burst of them is one look. */
const HURRY_MS = 50

/** What outlives a change of options: the sockets, who subscribed, what was said of servers, and the clocks. */
export interface Estate {
  readonly ledger: Ledger<TrackedSocket>
  readonly announcer: Announcer
  readonly settings: Settings
  /** Milliseconds since the start, never 0. */
  now(): number
  turn(): number
  nextId(): number
  /** Those of its own endpoint. */
  readonly reportSockets: ReportSockets
}

/**
 * @param defaults what holds where nothing else was given, at this moment
 * @param onPolicy a policy that may need closer looks than before is in force
 */
export function createEstate(defaults: () => SocketPolicy, onPolicy: (policy: SocketPolicy) => void): Estate {
  const startedMs = monotonicMs()
  const ledger = new Ledger<TrackedSocket>()
  let lastId = 0
  return {
    ledger,
    announcer: createAnnouncer(),
    settings: keepSettings(ledger, defaults, onPolicy),
    // Never 0, which stands for "not yet".
    now: () => Math.trunc(monotonicMs() - startedMs) + 1,
    turn: createTurnCounter(),
    nextId: () => (lastId += 1),
    reportSockets: new ReportSockets(),
  }
}

/** @throws `SLG_ERR_MISSING_PEER`, before anything is patched */
export function startEngine(options: ResolvedOptions, estate: Estate): Engine {
  // First: it throws where a peer is missing, and nothing may be left behind then.
  const owners = prepareOwners(options)
  const { ledger, announcer, settings, now, turn, nextId, reportSockets } = estate
  const probe = selectKernelProbe(options.kernel, (reason) => {
    warnOnce('SLG_WARN_KERNEL', reason)
  })
  const executor = createExecutor(probe, (error) => {
    warnOnce('SLG_WARN_INTERNAL', `closing a socket failed: ${messageOf(error)}`)
  })
  let shortestGraceMs = options.graceMs
  let urgentMs = Infinity

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
  const pairs = observePairs({ now, identify: identifySocket, defaults: options })
  const tracker = startTracker({
    ledger,
    nextId,
    policy: options,
    settle: settings.apply,
    now,
    isForeign: (socket) => reportSockets.has(socket),
    isOwnDoing,
    onPeerEnded: pairs.onPeerEnded,
    onAdopted: owners.onAdopted,
    onOpened(record, args) {
      owners.onOpened(record, args)
      books.onOpened(record, args)
    },
    onEnding: (record) => {
      if (!executor.isActing()) owners.onEnding(record)
    },
    onReleased(record, error) {
      if (pairs.onReleased(record)) sweeper.hurry(HURRY_MS)
      books.onReleased(record)
      owners.onReleased(record)
      const died = isOwnDoing(record, error) || (record.case?.verdict === 'leaked' && isDeath(error))
      if (record.case !== null || died) judge.apply(record, { type: 'closed', nowMs: now(), died })
    },
    onFailure(error) {
      warnOnce('SLG_WARN_INTERNAL', `observing a socket failed: ${messageOf(error)}`)
    },
  })
  const stopObservingHttp = observeHttpRequests({
    now,
    adopt: (socket) => tracker.adopt(socket, 'inbound'),
    onHandedIn(server, socket) {
      const record = tracker.adopt(socket, 'inbound')
      if (record === null) return
      record.direction = 'inbound'
      settings.apply(record, server)
    },
    onFailure(error) {
      warnOnce('SLG_WARN_INTERNAL', `observing an HTTP server failed: ${messageOf(error)}`)
    },
  })
  const books = keepBooks({
    ledger,
    pressure: options.pressure,
    log: options.log,
    logIntervalMs: options.logIntervalMs,
    now,
    reportSockets,
    reclaim,
  })
  const unsubscribe = announcer.subscribe(books.onEvent)
  const stopObservingOwners = owners.start({ adopt: tracker.adopt, isActing: executor.isActing })
  const sweeper = startSweeper({
    begin: (asksKernel) =>
      beginSweepPass(
        { ledger, judge, probe, now, turn, onFirstLook, onObserved: pairs.onObserved, forget },
        asksKernel,
      ),
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
  function forget(record: TrackedSocket): void {
    tracker.forget(record)
    pairs.onForgotten(record)
    if (!record.socket.destroyed) books.onHandedOver(record)
  }

  /** The probes or the time limit found out that the peer has vanished; without them nothing would have failed yet. */
  function isOwnDoing({ socket, probes, hasUserTimeout }: TrackedSocket, error: unknown): boolean {
    const isProbing = probes !== null && !isKeepAliveOn(socket)
    return (isProbing || hasUserTimeout) && isGivenUp(error)
  }

  function onFirstLook(record: TrackedSocket): void {
    if (options.userTimeoutMs !== null && isTcp(record.socket))
      executor.setUserTimeout(record, options.userTimeoutMs)
  }

  function reclaim(record: TrackedSocket, action: Action): void {
    const localEnded = record.socket.writableEnded
    judge.apply(record, { type: 'decided', nowMs: now(), action, localEnded })
    sweeper.hurry(record.policy.escalateMs)
  }

  function onPolicy({ graceMs }: SocketPolicy): void {
    if (graceMs >= shortestGraceMs) return
    shortestGraceMs = graceMs
    sweeper.hurry(shortestGraceMs / 4)
  }

  /** Idle time is only as exact as the looks are close: at least four of them in the shortest grace. */
  function takeSweepDelayMs(): number {
    books.afterSweep()
    const delayMs = Math.min(options.sweepMs, shortestGraceMs / 4, urgentMs)
    urgentMs = Infinity
    return Math.max(SHORTEST_SWEEP_MS, Math.ceil(delayMs))
  }

  return {
    probe,
    tracker,
    sweeper,
    books,
    reclaim,
    onPolicy,
    stop() {
      sweeper.stop()
      unsubscribe()
      for (const record of ledger) executor.restore(record)
      stopObservingOwners()
      stopObservingHttp()
      pairs.stop()
      tracker.stop()
      books.stop()
      probe.close?.()
    },
  }
}
