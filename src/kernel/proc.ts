// The kernel view without native code: /proc/self/net/tcp6 and tcp, searched by inode. tcp6 comes first, because it
// lists the IPv4 clients of a server on `::`; later the table that answered last. One read is a page of rows, about
// 50 us; an almost empty table with 262,144 buckets blocks for 2 to 4 ms.
// The kernel lists no closed connection, so a socket without a row is answered with `CLOSE`. That is no proof: the row
// may have been skipped, or the socket may be in another network namespace. The caller confirms it with getpeername.
// There is no answer if a row was unreadable, the descriptor has changed, or it is a unix socket.
import * as fs from 'node:fs'
import { monotonicMs } from '../base/real-time.js'
import type { KernelProbe, KernelSample, ProbeTarget } from './probe.js'
import {
  isShortOfResources,
  readTable,
  TCP_TABLE,
  UNIX_TABLE,
  whyNoTable,
  type FileCalls,
  type TcpRow,
} from './proc-table.js'
import { createSlicedProbe, type Steps } from './sliced.js'
import { sampleOf } from './tcp-state.js'

export interface ProcProbeOptions {
  /** @default '/proc/self/net' (with procfs option `subset=pid` there is no /proc/net) */
  readonly directory?: string
  readonly files?: FileCalls
  readonly now?: () => number
}

const PROC_NET = '/proc/self/net'
const TCP_CLOSE = 7
/** Inodes asked for (1 to 2 us each) between two checks of the clock. */
const STATS_A_STEP = 64

export function createProcProbe({
  directory = PROC_NET,
  files = fs,
  now = monotonicMs,
}: ProcProbeOptions = {}): KernelProbe & { restMs(): number; close(): void } {
  let tables = ['tcp6', 'tcp']

  function* look(targets: readonly ProbeTarget[], samples: Array<KernelSample | null>): Steps {
    try {
      yield* answer(targets, samples)
    } catch (error) {
      if (!isShortOfResources(error)) throw error
      samples.fill(null)
    }
  }

  function* answer(targets: readonly ProbeTarget[], samples: Array<KernelSample | null>): Steps {
    const found = new Map<number, KernelSample | null>()
    for (const [index, target] of targets.entries()) {
      if (target.isPipe !== true && (target.inode === 0 || target.fd() < 0)) {
        target.inode = inodeOf(target, files)
      }
      if (target.inode !== 0) found.set(target.inode, null)
      if (index % STATS_A_STEP === STATS_A_STEP - 1) yield
    }
    if (found.size === 0) return
    const isComplete = yield* search(found)
    yield 'long step'

    // A descriptor's number is reused, so what was found is checked.
    const absent = new Map<number, number[]>()
    for (const [index, target] of targets.entries()) {
      const asked = target.inode
      if (asked !== 0) target.inode = inodeOf(target, files)
      if (target.inode === asked) {
        samples[index] = found.get(asked) ?? null
        if (found.get(asked) === null) absent.set(asked, [...(absent.get(asked) ?? []), index])
      }
      if (index % STATS_A_STEP === STATS_A_STEP - 1) yield
    }
    if (absent.size === 0 || !isComplete) return
    yield 'long step'
    for (const rows of readTable(`${directory}/unix`, UNIX_TABLE, true, absent, files)) {
      for (const row of rows) if (row !== null) absent.delete(row.inode)
      yield
    }
    for (const index of [...absent.values()].flat()) samples[index] = sampleOf(TCP_CLOSE, null, 0)
  }

  function* search(found: Map<number, KernelSample | null>): Generator<'long step' | undefined, boolean> {
    let missing = found.size
    let isComplete = true
    for (const table of tables) {
      yield 'long step'
      for (const rows of readTable(`${directory}/${table}`, TCP_TABLE, table === 'tcp6', found, files)) {
        for (const row of rows) {
          if (row === null) isComplete = false
          else {
            if (found.get(row.inode) === null) missing -= 1
            found.set(row.inode, listed(row))
            tables = table === 'tcp6' ? ['tcp6', 'tcp'] : ['tcp', 'tcp6']
          }
        }
        if (missing === 0) return isComplete
        yield
      }
    }
    return isComplete
  }

  return createSlicedProbe('proc', look, now)
}

export function whyNoProc({ directory = PROC_NET, files = fs }: ProcProbeOptions = {}): string | null {
  return whyNoTable(`${directory}/tcp`, TCP_TABLE, files)
}

function inodeOf(target: ProbeTarget, files: FileCalls): number {
  const fd = target.fd()
  if (fd < 0) return 0
  try {
    const stats = files.fstatSync(fd)
    return stats.isSocket() ? stats.ino : 0
  } catch {
    return 0
  }
}

function listed({ state, rxQueue, txQueue, retransmits, probes }: TcpRow): KernelSample {
  const sample = sampleOf(state, rxQueue, txQueue, { retransmits, probes })
  const unreadFin = sample.peerEnded === true ? 1 : 0
  return { ...sample, unreadBytes: sample.unreadBytes && Math.max(0, sample.unreadBytes - unreadFin) }
}
