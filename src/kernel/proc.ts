/**
 * The kernel view that every Linux offers without native code: /proc/self/net/tcp6 and /proc/self/net/tcp.
 *
 * Sockets are found by inode. IPv4 clients of a server that listens on `::` are in tcp6, which is therefore
 * read first the first time; later on the table that answered last comes first. Reading stops as soon as
 * every socket in question was found. The tables list the whole network namespace, TIME_WAIT included, and
 * the kernel walks its hash table for each of them. One read is one page of rows, some 50 us; a stretch
 * without rows is walked inside a single read and can't be sliced: a table that is nearly empty and has
 * 262,144 buckets is one block of 2 to 4 ms.
 *
 * A connection that the kernel has closed (TCP_CLOSE) is in no table. So a socket that is in none is answered
 * with `CLOSE`, which is a candidate and not a proof: the dump is not atomic and may have skipped its row, or
 * the socket may belong to another network namespace. The caller confirms with getpeername. No such answer is
 * given when a row could not be read (it may have been that one), when the descriptor is gone or is another
 * socket's by now, and for a unix socket.
 */
import { join } from 'node:path'
import { monotonicMs } from '../real-time.js'
import { CpuShare } from './cpu-share.js'
import { countFileCalls, fileCalls, isShortOfResources, type FileCalls } from './file-calls.js'
import { answerNothing } from './none.js'
import type { KernelProbe, ProbeRun, ProbeTarget } from './probe.js'
import { ProcRun, type TcpTable } from './proc-run.js'
import { TCP_FORMAT } from './proc-table.js'
import { TABLE_BUFFER_BYTES } from './table-reader.js'

export interface ProcProbeOptions {
  /** @default '/proc/self/net' (where procfs is mounted with `subset=pid` there is no /proc/net) */
  readonly directory?: string
  readonly files?: FileCalls
  /** Milliseconds that never go back. */
  readonly now?: () => number
}

export interface ProcProbe extends KernelProbe {
  readonly syscalls: number
  readonly malformedRows: number
  restMs(): number
  close(): void
}

export const PROC_NET = '/proc/self/net'

export function createProcProbe(options: ProcProbeOptions = {}): ProcProbe {
  const counters = { syscalls: 0, malformedRows: 0 }
  const now = options.now ?? monotonicMs
  const share = new CpuShare(now)
  const files = countFileCalls(options.files ?? fileCalls, counters)
  const directory = options.directory ?? PROC_NET
  const memory: { firstTable: TcpTable } = { firstTable: 'tcp6' }
  let buffer: Uint8Array | null = null
  let current: ProcRun | null = null

  function close(): void {
    current?.abandon()
    current = null
  }

  function ask(targets: readonly ProbeTarget[]): ProbeRun {
    close()
    if (targets.length === 0) return answerNothing(targets)
    buffer ??= new Uint8Array(TABLE_BUFFER_BYTES)
    share.begin()
    current = new ProcRun({ directory, files, buffer, now, share, counters, memory }, targets)
    return current
  }

  return {
    name: 'proc',
    reason: null,
    get syscalls() {
      return counters.syscalls
    },
    get malformedRows() {
      return counters.malformedRows
    },
    ask,
    restMs: () => share.restMs(),
    close,
  }
}

/**
 * Why the proc view can't work here, or `null`. Reads a part of the header line, for which no table is
 * walked.
 */
export function whyNoProc(options: Pick<ProcProbeOptions, 'directory' | 'files'> = {}): string | null {
  const files = options.files ?? fileCalls
  const path = join(options.directory ?? PROC_NET, 'tcp')
  try {
    return readsLikeTcp(files, path) ? null : `${path} is not the table that was expected`
  } catch (error) {
    if (isShortOfResources(error)) return null
    return `can't read ${path}: ${error instanceof Error ? error.message : String(error)}`
  }
}

function readsLikeTcp(files: FileCalls, path: string): boolean {
  const header = new Uint8Array(32)
  const fd = files.openSync(path, 'r')
  try {
    return TCP_FORMAT.isHeader(header, files.readSync(fd, header, 0, header.length, null))
  } finally {
    files.closeSync(fd)
  }
}
