/**
 * Finds sockets of this process that no tracked socket stands for: handed to nobody, opened by native code,
 * or lost by JavaScript. Descriptors minus tracked inodes, split by what the kernel's tables say. Linux only.
 *
 * Cost, in slices of the caller's choice: 5 us for each descriptor and, if a socket is left over, one reading
 * of tcp6, tcp and unix (see `proc.ts`). Meant for a report that somebody asked for, not for every sweep.
 */
import { join } from 'node:path'
import type { KernelState } from '../core/vocabulary.js'
import { monotonicMs } from '../real-time.js'
import { DescriptorWalk, PROC_SELF, readSoftLimit } from './descriptors.js'
import { fileCalls } from './file-calls.js'
import { kernelStateOf } from './kernel-state.js'
import { TCP_FORMAT, UNIX_FORMAT, type TableFormat } from './proc-table.js'
import { TABLE_BUFFER_BYTES, TableReader } from './table-reader.js'

export interface OrphanSocket {
  readonly fd: number
  readonly inode: number
  /**
   * `unix`: among them are the channel to a parent process and the pipes to children. `other`: UDP, netlink,
   * a TCP socket that was never connected, or one whose connection the kernel has closed, which no table
   * lists.
   */
  readonly kind: 'tcp' | 'unix' | 'other'
  /** Of a `tcp` socket. */
  readonly state: KernelState | null
}

export interface OrphanReport {
  readonly openDescriptors: number
  readonly socketDescriptors: number
  /** The soft RLIMIT_NOFILE; `null` when it is unlimited or unknown. */
  readonly softLimit: number | null
  /** Untracked sockets that listen; they are no orphans. */
  readonly listeners: number
  readonly orphans: readonly OrphanSocket[]
}

export interface OrphanSearchOptions {
  /** @default '/proc/self' */
  readonly directory?: string
  readonly now?: () => number
}

interface Finding {
  kind: OrphanSocket['kind'] | 'listener'
  state: KernelState | null
}

export class OrphanSearch {
  /** The answer, once `advance` has returned true. `null`: this platform or sandbox does not let us see. */
  report: OrphanReport | null = null
  readonly #directory: string
  readonly #now: () => number
  readonly #trackedInodes: ReadonlySet<number>
  readonly #walk: DescriptorWalk
  readonly #findings = new Map<number, Finding>()
  readonly #tables: Array<{ read(): boolean; close(): void }>
  #isWalked = false
  #isDone = false

  constructor(trackedInodes: ReadonlySet<number>, options: OrphanSearchOptions = {}) {
    this.#trackedInodes = trackedInodes
    this.#directory = options.directory ?? PROC_SELF
    this.#now = options.now ?? monotonicMs
    this.#walk = new DescriptorWalk(this.#directory)
    const buffer = new Uint8Array(TABLE_BUFFER_BYTES)
    this.#tables = [
      this.#table('tcp6', buffer, TCP_FORMAT, (row) => tcpFinding(kernelStateOf(row.state))),
      this.#table('tcp', buffer, TCP_FORMAT, (row) => tcpFinding(kernelStateOf(row.state))),
      this.#table('unix', buffer, UNIX_FORMAT, (row) => ({
        kind: row.isListening ? 'listener' : 'unix',
        state: null,
      })),
    ]
  }

  /** Works for about `budgetMs`; true when `report` is final. Never throws. */
  advance(budgetMs: number): boolean {
    const startedMs = this.#now()
    try {
      while (!this.#isDone && !this.#step()) {
        if (this.#now() - startedMs >= budgetMs) return false
      }
      if (!this.#isDone) this.report = this.#compose()
    } catch {
      this.report = null
    }
    this.close()
    return true
  }

  /** Gives back what a search that is given up half-way holds. */
  close(): void {
    this.#isDone = true
    this.#walk.close()
    for (const table of this.#tables) table.close()
  }

  /** True when nothing is left to do. */
  #step(): boolean {
    if (!this.#isWalked) {
      this.#isWalked = this.#walk.read()
      if (this.#isWalked) this.#subtractTracked()
      return false
    }
    if (this.#findings.size === 0) return true
    if (this.#tables[0]?.read()) this.#tables.shift()
    return this.#tables.length === 0
  }

  #subtractTracked(): void {
    for (const inode of this.#walk.sockets.keys()) {
      if (!this.#trackedInodes.has(inode)) this.#findings.set(inode, { kind: 'other', state: null })
    }
  }

  #table<Row extends { readonly inode: number }>(
    name: string,
    buffer: Uint8Array,
    format: TableFormat<Row>,
    findingOf: (row: Row) => Finding,
  ): TableReader<Row> {
    const path = join(this.#directory, 'net', name)
    return new TableReader({ files: fileCalls, path, buffer, mayLack: name !== 'tcp' }, format, {
      wants: (inode) => this.#findings.has(inode),
      take: (row) => this.#findings.set(row.inode, findingOf(row)),
      malformed: () => {},
    })
  }

  #compose(): OrphanReport {
    const orphans: OrphanSocket[] = []
    let listeners = 0
    for (const [inode, { kind, state }] of this.#findings) {
      if (kind === 'listener') listeners += 1
      else orphans.push({ fd: this.#walk.sockets.get(inode) ?? -1, inode, kind, state })
    }
    return {
      openDescriptors: this.#walk.open,
      socketDescriptors: this.#walk.socketDescriptors,
      softLimit: readSoftLimit(this.#directory),
      listeners,
      orphans,
    }
  }
}

function tcpFinding(state: KernelState | null): Finding {
  return { kind: state === 'LISTEN' ? 'listener' : 'tcp', state }
}
