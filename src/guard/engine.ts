// Makes, wires and stops the parts. Closures name parts made further down; they run once all of them exist.
import { createExecutor } from '../act/executor.js'
import { createJudge } from '../act/apply.js'
import { beginSweepPass } from '../act/sweep-pass.js'
import { doEach, inTurn, startSweeper, type Sweeper } from '../act/sweeper.js'
import { keepBooks, type Bookkeeping } from './bookkeeping.js'
import { CodeBook } from './code-book.js'
import { createCensus, type CensusTaker } from './census.js'
import { readField } from '../core/foreign.js'
import type { Action } from '../core/vocabulary.js'
import type { KernelProbe } from '../kernel/probe.js'
import { selectKernelProbe } from '../kernel/select.js'
import type { ResolvedOptions } from '../options/options.js'
import type { SocketPolicy } from '../judge/policy.js'
import { startOwnerSensors, type OwnerSensors } from '../owner/sensors.js'
import { describeLeft } from '../pairs/describe-pairs.js'
import { Pairs } from '../pairs/pairs.js'
import { isDeath, isGivenUp, hearsErrors } from '../socket/failures.js'
import { descriptorOf, isTcp } from '../socket/fields.js'
import { isKeepAliveOn } from '../socket/keep-alive-setting.js'
import { applyPatches, serverPatch, serverPrototypes, socketPatches } from '../socket/patches.js'
import { hintOf, type SocketRecord } from '../socket/record.js'
import { createTracker, type Tracker } from '../socket/tracker.js'
import { WaitClock } from '../socket/waits.js'
import { messageOf, warnOnce } from '../base/warnings.js'
import { Closings } from './closing.js'
import type { Estate } from './estate.js'
import { Look } from './look.js'

export interface Engine {
  readonly probe: KernelProbe
  readonly tracker: Tracker
  readonly sweeper: Sweeper
  readonly books: Bookkeeping
  readonly census: CensusTaker
  readonly closings: Closings
  readonly codes: CodeBook
  readonly owners: OwnerSensors
  look(): Look
  sweep(): void
  reclaim(record: SocketRecord, action: Action): void
  onPolicy(policy: SocketPolicy): void
  stop(): void
}

const SHORTEST_SWEEP_MS = 10
/** The delay after which a socket that lost its partner is looked at; one look serves a burst. */
const HURRY_MS = 50

/** Throws `SLG_ERR_MISSING_PEER` before anything is patched. */
export function startEngine(options: ResolvedOptions, estate: Estate): Engine {
  const { ledger, announcer, settings, now, turn, nextId, runDetached, reportSockets, streams } = estate
  let isActive = true
  // The first step that can throw, before anything is patched.
  const owners = startOwnerSensors(options, estate, {
    isActive: () => isActive,
    isActing: () => executor.isActing(),
    runDetached,
    recordOf: (socket) => tracker.adoptOnTheWay(socket),
    labelOf: estate.settings.labelOf,
    onFailure: (error) => fail('observing the owner of a socket', error),
  })
  const probe = selectKernelProbe(options.kernel, (reason) => {
    warnOnce('SLG_WARN_KERNEL', reason)
  })
  const executor = createExecutor(probe, (error) => fail('closing a socket', error))
  const pairs = new Pairs({
    records: ledger,
    makers: owners.sources.makers,
    now,
    identify: (record) => look().identify(record),
    defaults: options,
    onParted: (record, left) => books.onParted(describeLeft(record, left, look())),
    onFailure: (error) => fail('observing a pipe', error),
  })
  pairs.onPolicy(options)
  const waits = new WaitClock()
  const codes = new CodeBook()
  const census = createCensus(ledger, options.graceMs, waits)
  let isCensusWanted = false
  let shortestGraceMs = shortestGrace(options)
  let urgentMs = Infinity

  function fail(what: string, error: unknown): void {
    warnOnce('SLG_WARN_INTERNAL', `${what} failed: ${messageOf(error)}`)
  }

  function look(): Look {
    return new Look(now(), owners.sources, pairs, waits)
  }

  const judge = createJudge({
    ledger,
    runDetached,
    executor,
    announcer,
    now,
    isActive: () => isActive,
    policyOf: (record) => pairs.policyOf(record),
    describe: (record) => look().describe(record),
    onVerdict(record, type) {
      owners.onVerdict(record, type)
      books.onVerdict(type, record, () => look().identify(record).site)
      if (type === 'leaked' && options.code === 'once') codes.locateOnce(record, look().identify(record).site)
    },
    effectiveGraceMs: (graceMs) => books.graceMs(graceMs),
    urge(delayMs) {
      urgentMs = Math.min(urgentMs, delayMs)
    },
  })
  const tracker = createTracker({
    ledger,
    unconnected: estate.unconnected,
    policy: options,
    nextId,
    now,
    isForeign: (socket) => reportSockets.has(socket),
    settle: settings.apply,
    onAdopted: options.pressure === null ? owners.onAdopted : onAdoptedUnderPressure,
    onOpened: owners.onOpened,
    onPeerEnded: (record) => pairs.onPeerEnded(record),
    onLocalEnded: owners.onLocalEnded,
    onHandedOver(record, kind, request) {
      const hint = hintOf(record)
      hint.kind = kind
      hint.handedOverMs = now()
      hint.bytesWrittenBefore = record.socket.bytesWritten
      hint.request = owners.nameRequest(request)
    },
    onReleasing(record) {
      if (pairs.onReleasing(record)) sweeper.hurry(HURRY_MS)
    },
    onReleased(record, error) {
      books.onReleased(record)
      if (record.trouble === null && record.probes === null && !record.hasUserTimeout) {
        owners.onReleased(record)
        return error
      }
      const isOurs = isOwnDoing(record, error)
      const died = isOurs || (record.trouble?.verdict === 'leaked' && isDeath(error))
      if (record.trouble !== null || died) judge.apply(record, { type: 'closed', nowMs: now(), died })
      books.onTroubleOver(record)
      // Last, because the judgement may need its stacks.
      owners.onReleased(record)
      return isOurs && !hearsErrors(record.socket) ? undefined : error
    },
    onFailure: (error) => fail('observing a socket', error),
  })
  const unpatch = applyPatches([
    ...socketPatches(tracker.observer, () => isActive),
    ...serverPrototypes().map((prototype) =>
      serverPatch(prototype, tracker.observer, () => isActive, owners.scope),
    ),
    ...owners.patches,
  ])
  const books = keepBooks({
    announcer,
    ledger,
    pressure: options.pressure,
    log: options.log,
    logIntervalMs: options.logIntervalMs,
    now,
    reportSockets,
    reclaim,
    hurry: (delayMs) => sweeper.hurry(delayMs),
  })
  const closings = new Closings({
    ledger,
    graceMs: options.graceMs,
    now,
    look,
    onDue: ({ server, line }) => books.onClosing(server ?? 'the process', line),
  })
  const sweeper = startSweeper({
    runDetached,
    begin(asksKernel) {
      const { onSession } = owners
      const hooks = { ledger, judge, probe, now, turn, pairs, streams, onFirstLook, onSession, forget }
      const sweep = beginSweepPass(hooks, asksKernel)
      const counts = asksKernel && (isCensusWanted || census.isDue(now()))
      return counts ? inTurn(sweep, census.begin(look())) : sweep
    },
    nextDelayMs: takeSweepDelayMs,
    onStall(blockedMs) {
      books.onStall(blockedMs)
      for (const record of ledger)
        if (record.trouble !== null) judge.apply(record, { type: 'blocked', nowMs: now(), blockedMs })
    },
    onFailure: (error) => fail('a sweep', error),
  })
  tracker.adoptPresent()

  function onAdoptedUnderPressure(record: SocketRecord): void {
    owners.onAdopted?.(record)
    books.onDescriptor(descriptorOf(record.socket))
  }

  function forget(record: SocketRecord): void {
    tracker.forget(record)
    pairs.onForgotten(record)
    if (!record.socket.destroyed) books.onHandedOver(record)
  }

  /** Without the guard's probes or time limit this connection would not have failed yet. */
  function isOwnDoing({ socket, probes, hasUserTimeout }: SocketRecord, error: unknown): boolean {
    const isProbing = probes !== null && !isKeepAliveOn(socket)
    return (isProbing || hasUserTimeout) && isGivenUp(error)
  }

  function onFirstLook(record: SocketRecord): void {
    if (options.userTimeoutMs !== null && isTcp(record.socket))
      executor.setUserTimeout(record, options.userTimeoutMs)
  }

  function reclaim(record: SocketRecord, action: Action): void {
    const localEnded = readField(record.socket, 'writableEnded') === true
    judge.apply(record, { type: 'decided', nowMs: now(), action, localEnded })
    sweeper.hurry(record.policy.escalateMs)
  }

  /** At least four looks in the shortest grace. */
  function takeSweepDelayMs(): number {
    const chores = [
      () => pairs.refresh(),
      () => closings.afterSweep(),
      books.afterSweep,
      () => estate.history?.sample(),
    ]
    doEach(chores, (error) => fail('the end of a sweep', error))
    const delayMs = Math.min(options.sweepMs, books.graceMs(shortestGraceMs) / 4, urgentMs)
    urgentMs = Infinity
    return Math.max(SHORTEST_SWEEP_MS, Math.ceil(delayMs))
  }

  return {
    probe,
    tracker,
    sweeper,
    books,
    census,
    closings,
    codes,
    owners,
    look,
    sweep() {
      isCensusWanted = true
      sweeper.sweepNow()
      isCensusWanted = false
    },
    reclaim,
    onPolicy(policy) {
      pairs.onPolicy(policy)
      if (shortestGrace(policy) >= shortestGraceMs) return
      shortestGraceMs = shortestGrace(policy)
      sweeper.hurry(shortestGraceMs / 4)
    },
    stop() {
      isActive = false
      sweeper.stop()
      for (const record of ledger) executor.restore(record)
      unpatch()
      owners.stop()
      pairs.stop()
      books.stop()
      probe.close?.()
    },
  }
}

function shortestGrace({ graceMs, stalled }: SocketPolicy): number {
  return Math.min(graceMs, stalled.graceMs ?? graceMs)
}
