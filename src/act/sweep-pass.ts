/**
 * One pass over everything that is tracked, in small steps:
 *
 * 1. every socket: is anything odd? (JavaScript fields only, see `isOdd`)
 * 2. what is odd: the liveness oracle
 * 3. what stays odd and only the kernel can judge: the probe, about all of them at once
 */
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
  /** Once for every connection, as soon as it stands. */
  onFirstLook(record: SocketRecord): void
  /** A socket that left by another door: handed to a child process, or gone without `destroy()`. */
  forget(record: SocketRecord): void
}

const KERNEL_SLICE_MS = 0.5
const SOCKETS_A_STEP = 32

/** @param asksKernel false: a quick look for a report that somebody waits for; what the kernel said last still holds */
export function beginSweepPass(hooks: SweepHooks, asksKernel = true): Pass {
  const { ledger, judge, probe, pairs } = hooks
  let cursor = ledger.size - 1
  let asked: SocketRecord[] = []
  let run: ProbeRun | null = null

  function walk(): boolean {
    for (let i = 0; i < SOCKETS_A_STEP; i += 1) {
      // Downwards: removal swaps with the last entry, so nothing that was not yet visited can move out of the way.
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
    const odd = isOdd(socket) || record.selfConnected || pairs.leftOf(record)?.propagates === true
    if (!odd && hasBlockedOutput(socket)) {
      lookAtOutput(record)
      return
    }
    if (!odd) {
      if (record.trouble !== null) observe(record, null)
      if (record.trouble?.verdict === 'none' && record.trouble.acted === 'no') record.trouble = null
      return
    }
    if (record.trouble !== null && asksKernel && probe.name !== 'none') asked.push(record)
    else observe(record, isDisconnected(socket))
    keepAddresses(record)
  }

  /** Open both ways, and bytes wait to be sent: as long as some of them leave, nobody else needs to be asked. */
  function lookAtOutput(record: SocketRecord): void {
    const { socket, trouble } = record
    const isStill = trouble !== null && bytesAccepted(socket) === trouble.bytesAccepted
    if (isStill && asksKernel && probe.name !== 'none') asked.push(record)
    else observe(record, null)
    if (isStill) keepAddresses(record)
  }

  function askKernel(): boolean {
    if (asked.length === 0) return false
    try {
      if (run === null) {
        if ((probe.restMs?.() ?? 0) > 0) return true
        run = probe.ask(asked.map(viewOf))
      }
      if (!run.advance(KERNEL_SLICE_MS)) return false
      run.samples.forEach((sample, i) => {
        asked[i]?.kernel?.hear(sample)
      })
    } catch (error) {
      warnOnce('SLG_WARN_KERNEL', `the kernel probe "${probe.name}" failed: ${messageOf(error)}`)
    }
    return true
  }

  let stage: 'walk' | 'kernel' | 'judge' = 'walk'

  function observeAsked(): boolean {
    const record = asked.pop()
    if (record === undefined) return false
    if (record.index === -1 || record.socket.destroyed) return true
    shielded(lookAgain, record)
    return true
  }

  function lookAgain(record: SocketRecord): void {
    observe(record, isDisconnected(record.socket))
  }

  function observe(record: SocketRecord, disconnected: boolean | null): void {
    const { socket } = record
    judge.apply(record, {
      type: 'observed',
      nowMs: hooks.now(),
      turn: hooks.turn(),
      facts: readFacts(
        socket,
        record.selfConnected === true,
        disconnected,
        believedOf(record, disconnected),
        pairs.abandonmentOf(record),
      ),
      endedMs: endedMsOf(record),
      abandonedMs: pairs.leftOf(record)?.sinceMs ?? null,
    })
    pairs.onObserved(record)
  }

  return {
    step() {
      switch (stage) {
        case 'walk':
          if (walk()) return true
          if (asked.length === 0) return false
          stage = 'kernel'
          return true
        case 'kernel':
          if (askKernel()) stage = 'judge'
          return true
        case 'judge':
          return observeAsked()
      }
    },
  }
}

/** One socket that can't be read must not keep the others from being looked at. */
function shielded(look: (record: SocketRecord) => void, record: SocketRecord): void {
  try {
    look(record)
  } catch (error) {
    warnOnce('SLG_WARN_INTERNAL', `looking at a socket failed: ${messageOf(error)}`)
  }
}

/** While something is odd: a dead connection has no addresses any more. */
function keepAddresses(record: SocketRecord): void {
  if (record.addresses !== null || record.trouble === null) return
  const addresses = readAddresses(record.socket)
  if (addresses.remote !== null) record.addresses = addresses
}

function viewOf(record: SocketRecord): KernelView {
  record.kernel ??= new KernelView(record.socket)
  return record.kernel
}

/** When the condition can have begun: with the second end when both sides have ended. */
function endedMsOf({ peerEndedMs, localEndedMs }: SocketRecord): number | null {
  const ended = Math.max(peerEndedMs, localEndedMs)
  return ended === 0 ? null : ended
}
