// One pass over the tracked sockets, in steps:
// 1. each socket: is anything odd? (`isOdd`, JavaScript fields)
// 2. odd sockets: the liveness oracle
// 3. sockets that stay odd: one question to the kernel about all of them
import type { Socket } from 'node:net'
import type { Ledger } from '../core/ledger.js'
import type { KernelProbe, ProbeRun } from '../kernel/probe.js'
import { believedOf, KernelView } from '../socket/kernel-view.js'
import {
  bytesAccepted,
  hasBlockedOutput,
  hasNoHandle,
  isDisconnected,
  isOdd,
  isSelfConnected,
  readAddresses,
  readFacts,
} from '../socket/fields.js'
import type { Pairs } from '../pairs/pairs.js'
import type { Http2Streams } from '../socket/http2.js'
import type { SocketRecord } from '../socket/record.js'
import { messageOf, warnOnce } from '../base/warnings.js'
import type { Judge } from './apply.js'
import type { Pass } from './sweeper.js'

export interface SweepHooks {
  readonly ledger: Ledger<SocketRecord>
  readonly judge: Judge
  readonly probe: KernelProbe
  now(): number
  turn(): number
  readonly pairs: Pairs
  readonly streams: Http2Streams
  onFirstLook(record: SocketRecord): void
  onSession(socket: Socket): void
  forget(record: SocketRecord): void
}

/** The end was read, so nothing can be lost; and it was not our end that made it complete. */
function isHungUp({ socket, kernel }: SocketRecord): true | null {
  const isOver = kernel?.believed?.hungUp === true && socket.readableEnded && !socket.writableEnded
  return isOver ? true : null
}

const KERNEL_SLICE_MS = 0.5
const SOCKETS_A_STEP = 32
const STREAMS_AS_A_SOCKET = 32

/** @param asksKernel false for a quick look that uses the kernel's last answers */
export function beginSweepPass(hooks: SweepHooks, asksKernel = true): Pass {
  const { ledger, judge, probe, pairs, streams } = hooks
  let cursor = ledger.size - 1
  const doubtful: SocketRecord[] = []
  const later: (readonly [SocketRecord, (record: SocketRecord) => void])[] = []
  let run: ProbeRun | null = null
  let nowMs = 0
  let streamsLooked = 0

  function walk(): boolean {
    for (let looked = 0; looked < SOCKETS_A_STEP; looked += 1 + streamsLooked / STREAMS_AS_A_SOCKET) {
      streamsLooked = 0
      // Downwards, because a removal moves the last entry into the gap.
      cursor = Math.min(cursor, ledger.size - 1)
      const record = ledger.at(cursor)
      if (record === undefined) return false
      cursor -= 1
      shielded(look, record)
    }
    return true
  }

  function look(record: SocketRecord): void {
    const { socket } = record
    if (socket.destroyed || hasNoHandle(socket)) {
      hooks.forget(record)
      return
    }
    if (socket.connecting) return
    if (
      record.probes === null &&
      record.policy.keepAlive !== false &&
      record.policy.keepAlive.when === 'always'
    ) {
      judge.setKeepAlive(record, true)
    }
    if (record.selfConnected === null) {
      record.selfConnected = record.direction === 'outbound' && isSelfConnected(socket)
      hooks.onFirstLook(record)
    }
    const session = streams.look(socket, bytesAccepted, hooks.now)
    if (session !== null) {
      hooks.onSession(socket)
      streamsLooked = session.openStreams
    }
    const odd =
      isOdd(socket) ||
      record.hint?.isUnderTls === true ||
      record.selfConnected ||
      pairs.abandonmentOf(record) !== null
    if (!odd && hasBlockedOutput(socket)) {
      lookAtOutput(record)
      return
    }
    if (!odd && session !== null && (session.held !== null || session.isClosed)) {
      if (record.trouble === null) observe(record, null)
      else later.push([record, lookOn])
      keepAddresses(record)
      return
    }
    if (!odd) {
      if (hasVerdict(record)) later.push([record, lookAtCalm])
      else if (record.trouble !== null) lookAtCalm(record)
      return
    }
    if (record.trouble === null) observe(record, isDisconnected(socket))
    else doubtful.push(record)
    keepAddresses(record)
  }

  function lookOn(record: SocketRecord): void {
    observe(record, null)
  }

  function lookAtCalm(record: SocketRecord): void {
    observe(record, null)
    if (record.trouble?.verdict === 'none' && record.trouble.acted === 'no') record.trouble = null
  }

  function lookAtOutput(record: SocketRecord): void {
    const { socket, trouble } = record
    const isStill = trouble !== null && bytesAccepted(socket) === trouble.bytesAccepted
    if (isStill) doubtful.push(record)
    else if (hasVerdict(record)) later.push([record, lookOn])
    else observe(record, null)
    if (isStill) keepAddresses(record)
  }

  function askKernel(): boolean {
    if (!asksKernel || probe.name === 'none') return true
    try {
      if (run === null) {
        if ((probe.restMs?.() ?? 0) > 0) return true
        run = probe.ask(doubtful.map(viewOf))
      }
      if (!run.advance(KERNEL_SLICE_MS)) return false
      run.samples.forEach((sample, i) => {
        doubtful[i]?.kernel?.hear(sample)
      })
    } catch (error) {
      warnOnce('SLG_WARN_KERNEL', `the kernel probe "${probe.name}" failed: ${messageOf(error)}`)
    }
    return true
  }

  let stage: 'walk' | 'kernel' | 'judge' = 'walk'
  let needsTies = pairs.isWatching()

  function observeNext(): boolean {
    const doubted = doubtful.pop()
    const [record, look] = doubted === undefined ? (later.pop() ?? []) : [doubted, lookAgain]
    if (record === undefined || look === undefined) return false
    if (record.index !== -1 && !record.socket.destroyed) shielded(look, record)
    return true
  }

  function lookAgain(record: SocketRecord): void {
    observe(record, isDisconnected(record.socket) ?? isHungUp(record))
  }

  /** A property that throws must stop neither the sweep nor the judgement of its own socket. */
  function shielded(look: (record: SocketRecord) => void, record: SocketRecord): void {
    try {
      look(record)
    } catch (error) {
      warnOnce('SLG_WARN_INTERNAL', `looking at a socket failed: ${messageOf(error)}`)
      try {
        observe(record, null)
      } catch {
        // Told above.
      }
    }
  }

  function observe(record: SocketRecord, disconnected: boolean | null): void {
    judge.apply(record, {
      type: 'observed',
      nowMs,
      turn: hooks.turn(),
      facts: readFacts(
        record,
        disconnected,
        believedOf(record, disconnected),
        pairs.abandonmentOf(record),
        streams.factsOf(record.socket),
      ),
      endedMs: endedMsOf(record),
      abandonedMs: pairs.leftOf(record)?.sinceMs ?? null,
    })
    pairs.onObserved(record)
  }

  return {
    step() {
      nowMs = hooks.now()
      if (needsTies && pairs.gather()) return true
      switch (stage) {
        case 'walk':
          if (walk()) return true
          if (doubtful.length + later.length === 0) return false
          needsTies = true
          stage = doubtful.length === 0 ? 'judge' : 'kernel'
          return true
        case 'kernel':
          if (askKernel()) stage = 'judge'
          return true
        case 'judge':
          return observeNext()
      }
    },
  }
}

function hasVerdict({ trouble }: SocketRecord): boolean {
  return trouble !== null && trouble.verdict !== 'none'
}

function keepAddresses(record: SocketRecord): void {
  if (record.addresses !== null || record.trouble === null) return
  const addresses = readAddresses(record.socket)
  if (addresses.remote !== null) record.addresses = addresses
}

function viewOf(record: SocketRecord): KernelView {
  record.kernel ??= new KernelView(record.socket)
  return record.kernel
}

function endedMsOf({ peerEndedMs, localEndedMs }: SocketRecord): number | null {
  const ended = Math.max(peerEndedMs, localEndedMs)
  return ended === 0 ? null : ended
}
