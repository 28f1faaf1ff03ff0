/**
 * One question to /proc/self/net, answered step by step: learn the inodes, read tcp6 and tcp, verify that
 * every descriptor still is the socket it was, and tell unix sockets from closed connections. A step is one
 * read(2), or a handful of fstat(2), so that the caller's budget is overrun by no more than that.
 */
import { join } from 'node:path'
import type { CpuShare } from './cpu-share.js'
import { isShortOfResources, type FileCalls } from './file-calls.js'
import { kernelStateOf, peerEndedIn, unsentBytesIn } from './kernel-state.js'
import type { KernelSample, ProbeRun, ProbeTarget } from './probe.js'
import { TCP_FORMAT, UNIX_FORMAT, type RowSink, type TcpRow, type UnixRow } from './proc-table.js'
import { TableReader } from './table-reader.js'

export interface ProcWork {
  readonly directory: string
  readonly files: FileCalls
  readonly buffer: Uint8Array
  readonly now: () => number
  readonly share: CpuShare
  readonly counters: { malformedRows: number }
  /**
   * The table that answered last time is read first: whoever serves one address family needs no more than
   * that.
   */
  readonly memory: { firstTable: TcpTable }
}

export type TcpTable = 'tcp6' | 'tcp'
type Phase = 'inodes' | 'first table' | 'second table' | 'verify' | 'unix' | 'done'

/** Descriptors that are asked for their inode (1 to 2 us each) between two looks at the clock. */
const STATS_A_STEP = 64

/** What can be said of a connection that no table lists. */
const CLOSED: KernelSample = {
  state: 'CLOSE',
  peerEnded: null,
  unreadBytes: null,
  unsentBytes: 0,
  lastDataReceivedMs: null,
  lastDataSentMs: null,
  lastAckReceivedMs: null,
  retransmits: null,
  probes: null,
  timer: null,
  rttMs: null,
}

export class ProcRun implements ProbeRun {
  readonly samples: Array<KernelSample | null>
  readonly #work: ProcWork
  readonly #targets: readonly ProbeTarget[]
  readonly #found = new Map<number, KernelSample | null>()
  readonly #absent = new Map<number, number[]>()
  #phase: Phase = 'inodes'
  #position = 0
  #missing = 0
  #malformedRows = 0
  readonly #firstTable: TableReader<TcpRow>
  readonly #secondTable: TableReader<TcpRow>
  readonly #unix: TableReader<UnixRow>

  constructor(work: ProcWork, targets: readonly ProbeTarget[]) {
    this.#work = work
    const source = (name: string, mayLack: boolean) => ({
      ...work,
      path: join(work.directory, name),
      mayLack,
    })
    const tcp6 = new TableReader(source('tcp6', true), TCP_FORMAT, this.#tcpSink('tcp6'))
    const tcp = new TableReader(source('tcp', false), TCP_FORMAT, this.#tcpSink('tcp'))
    this.#firstTable = work.memory.firstTable === 'tcp6' ? tcp6 : tcp
    this.#secondTable = work.memory.firstTable === 'tcp6' ? tcp : tcp6
    this.#unix = new TableReader(source('unix', true), UNIX_FORMAT, this.#unixSink())
    this.#targets = targets
    this.samples = targets.map(() => null)
  }

  advance(budgetMs: number): boolean {
    if (this.#phase === 'done') return true
    const { now, share } = this.#work
    const startedMs = now()
    try {
      for (;;) {
        const phase: Phase = this.#phase
        this.#phase = this.#step(phase)
        if (this.#phase === 'done') return true
        // What comes next may be a long walk through an empty table: it gets a slice of its own.
        if (this.#phase !== phase && budgetMs !== Infinity) return false
        if (now() - startedMs >= budgetMs) return false
      }
    } catch (error) {
      this.abandon()
      if (isShortOfResources(error)) return true
      throw error
    } finally {
      share.spend(startedMs)
    }
  }

  /** Gives the table's descriptor back. Half an answer was not verified, so it is none. */
  abandon(): void {
    if (this.#phase === 'done') return
    this.#phase = 'done'
    this.samples.fill(null)
    for (const table of [this.#firstTable, this.#secondTable, this.#unix]) table.close()
  }

  /** Does a piece of the phase's work and returns the phase that comes next. */
  #step(phase: Phase): Phase {
    switch (phase) {
      case 'inodes':
        if (!this.#forSomeTargets((target) => this.#learnInode(target))) return 'inodes'
        return this.#missing > 0 ? 'first table' : 'done'
      case 'first table':
        if (!this.#readTcp(this.#firstTable)) return 'first table'
        return this.#missing > 0 ? 'second table' : 'verify'
      case 'second table':
        return this.#readTcp(this.#secondTable) ? 'verify' : 'second table'
      case 'verify':
        if (!this.#forSomeTargets((target, index) => this.#verify(target, index))) return 'verify'
        return this.#absent.size > 0 && this.#malformedRows === 0 ? 'unix' : 'done'
      case 'unix':
        if (!this.#unix.read()) return 'unix'
        this.#callAbsentClosed()
        return 'done'
      case 'done':
        return 'done'
    }
  }

  /** True when every target had its turn. */
  #forSomeTargets(treat: (target: ProbeTarget, index: number) => void): boolean {
    const end = Math.min(this.#position + STATS_A_STEP, this.#targets.length)
    for (; this.#position < end; this.#position += 1) {
      treat(this.#targets[this.#position]!, this.#position)
    }
    if (end < this.#targets.length) return false
    this.#position = 0
    return true
  }

  #learnInode(target: ProbeTarget): void {
    if (target.inode === 0 || target.fd() < 0) target.inode = this.#inodeNow(target)
    if (target.inode === 0 || this.#found.has(target.inode)) return
    this.#found.set(target.inode, null)
    this.#missing += 1
  }

  /** The inode of the socket that the target holds at this moment; 0 when it holds none. */
  #inodeNow(target: ProbeTarget): number {
    const fd = target.fd()
    if (fd < 0) return 0
    try {
      const stats = this.#work.files.fstatSync(fd)
      return stats.isSocket() ? stats.ino : 0
    } catch {
      return 0
    }
  }

  /**
   * The number of a closed descriptor goes to the next socket that is opened, so what was found is checked
   * against its owner.
   */
  #verify(target: ProbeTarget, index: number): void {
    const asked = target.inode
    if (asked === 0) return
    target.inode = this.#inodeNow(target)
    if (target.inode !== asked) return
    const sample = this.#found.get(asked)
    if (sample === undefined) return
    if (sample !== null) this.samples[index] = sample
    else this.#absent.set(asked, [...(this.#absent.get(asked) ?? []), index])
  }

  #callAbsentClosed(): void {
    for (const indexes of this.#absent.values()) {
      for (const index of indexes) this.samples[index] = CLOSED
    }
  }

  /** One read; true when no row is left, or none is wanted any more. */
  #readTcp(table: TableReader<TcpRow>): boolean {
    if (!table.read() && this.#missing > 0) return false
    table.close()
    return true
  }

  #tcpSink(table: TcpTable): RowSink<TcpRow> {
    return {
      wants: (inode) => this.#found.has(inode),
      take: (row) => {
        if (this.#found.get(row.inode) === null) this.#missing -= 1
        this.#found.set(row.inode, sampleOf(row))
        this.#work.memory.firstTable = table
      },
      malformed: () => {
        this.#malformedRows += 1
        this.#work.counters.malformedRows += 1
      },
    }
  }

  /** Takes the unix sockets out of the absent ones. A row that can't be read takes out none. */
  #unixSink(): RowSink<UnixRow> {
    return {
      wants: (inode) => this.#absent.has(inode),
      take: (row) => this.#absent.delete(row.inode),
      malformed: () => {},
    }
  }
}

function sampleOf(row: TcpRow): KernelSample {
  const state = kernelStateOf(row.state)
  const peerEnded = peerEndedIn(state)
  return {
    state,
    peerEnded,
    unreadBytes: state === null || state === 'LISTEN' ? null : Math.max(0, row.rxQueue - (peerEnded ? 1 : 0)),
    unsentBytes: unsentBytesIn(state, row.txQueue),
    lastDataReceivedMs: null,
    lastDataSentMs: null,
    lastAckReceivedMs: null,
    retransmits: row.retransmits,
    probes: row.probes,
    timer: row.timer,
    rttMs: null,
  }
}
