/**
 * Counts the sockets of this process that nobody accounts for: handed over and not yet gone, inherited, held by the
 * cluster primary, or opened by native code. Descriptors minus known ones, split by what the kernel's tables say. Linux only.
 *
 * Reads a link for each descriptor and, if a socket is left over, the tables tcp6, tcp and unix (see `proc.ts`), in slices;
 * the comparison with the known descriptors is one piece. Hence not more often than `FRESH_MS`.
 */
import { opendirSync, readlinkSync } from 'node:fs'
import type { OrphansReport } from '../core/report.js'
import { KERNEL_STATES, type KernelState } from '../core/vocabulary.js'
import { monotonicMs, setTimeout } from '../base/real-time.js'
import { readTable, TCP_TABLE, UNIX_TABLE, type TableFormat } from './proc-table.js'
import { workFor, type Steps } from './sliced.js'

export interface OrphanWatch {
  /** Looks again if the last look is old: at once where that is quick, else in the background. */
  refresh(): void
  /** As of the last look; `null` when there was none, or where nothing can be seen. */
  report(): OrphansReport | null
  stop(): void
}

/** A look is fresh for this long. */
const FRESH_MS = 10_000
/** So many descriptors are looked at on the spot: about a millisecond. */
const QUICK_DESCRIPTORS = 256
const SLICE_MS = 0.5
/** Descriptors that are looked at between two looks at the clock. */
const LINKS_A_STEP = 64

type Count = Omit<OrphansReport, 'ageMs'>

/**
 * @param known the descriptors of every socket that is accounted for
 * @param openDescriptors how many there are in all; `null`: nobody can tell
 */
export function createOrphanWatch(
  known: () => Iterable<number>,
  openDescriptors: () => number | null,
): OrphanWatch {
  let steps: Steps | null = null
  let found: Count | null = null
  let foundAtMs = -Infinity

  function* look(): Steps {
    try {
      found = yield* countOrphans(known)
    } catch {
      found = null // EMFILE, EACCES: seen by nobody
    }
    foundAtMs = monotonicMs()
    steps = null
  }

  function proceed(budgetMs: number): void {
    if (steps !== null && !workFor(steps, budgetMs, monotonicMs)) setTimeout(proceed, 1, SLICE_MS).unref()
  }

  return {
    refresh() {
      if (steps !== null || monotonicMs() - foundAtMs < FRESH_MS) return
      const open = openDescriptors()
      if (open === null) return
      steps = look()
      proceed(open <= QUICK_DESCRIPTORS ? Infinity : SLICE_MS)
    },
    report: () => found && { ...found, ageMs: Math.round(monotonicMs() - foundAtMs) },
    stop() {
      steps?.return()
      steps = null
    },
  }
}

/** @throws when the descriptors or the tables can't be read */
export function* countOrphans(
  known: () => Iterable<number>,
  directory = '/proc/self',
): Generator<'long step' | undefined, Count> {
  const path = `${directory}/fd`
  const sockets = yield* listSockets(path)
  // The known ones are asked for after the listing, so that none of them is taken for an orphan that was opened meanwhile.
  const left = new Set(sockets.values())
  for (const fd of known()) left.delete(sockets.get(fd) ?? 0)
  for (const [fd, inode] of sockets) {
    // Closed since it was listed. Seldom asked: most sockets are known.
    if (left.has(inode) && socketInodeOf(`${path}/${fd}`) !== inode) left.delete(inode)
  }
  const states: Partial<Record<KernelState, number>> = {}
  let [tcp, unix, listeners] = [0, 0, 0]

  /** A row may be listed twice. */
  function* rowsOf<Row extends { readonly inode: number }>(
    table: string,
    format: TableFormat<Row>,
  ): Generator<undefined, Row[]> {
    const found: Row[] = []
    for (const rows of readTable(`${directory}/net/${table}`, format, table !== 'tcp', left)) {
      for (const row of rows) if (row !== null && left.delete(row.inode)) found.push(row)
      yield
    }
    return found
  }

  for (const table of left.size > 0 ? ['tcp6', 'tcp'] : []) {
    for (const row of yield* rowsOf(table, TCP_TABLE)) {
      const state = KERNEL_STATES[row.state - 1]
      if (state === 'LISTEN') listeners += 1
      else tcp += 1
      if (state !== undefined && state !== 'LISTEN') states[state] = (states[state] ?? 0) + 1
    }
  }
  for (const row of left.size > 0 ? yield* rowsOf('unix', UNIX_TABLE) : []) {
    if (row.isListening) listeners += 1
    else unix += 1
  }
  return { tcp, states, unix, other: left.size, listeners, socketDescriptors: sockets.size }
}

/** From descriptor to inode. */
function* listSockets(path: string): Generator<undefined, Map<number, number>> {
  const sockets = new Map<number, number>()
  const directory = opendirSync(path, { bufferSize: LINKS_A_STEP })
  try {
    for (let entries = 1; ; entries += 1) {
      const entry = directory.readSync()
      if (entry === null) return sockets
      const inode = socketInodeOf(`${path}/${entry.name}`)
      if (inode !== null) sockets.set(Number(entry.name), inode)
      if (entries % LINKS_A_STEP === 0) yield
    }
  } finally {
    directory.closeSync()
  }
}

/**
 * `null` for what is no socket, or closed by now. Reading a link touches no file system, whereas fstat on a file of a
 * dead NFS server would hold the event loop.
 */
function socketInodeOf(path: string): number | null {
  try {
    const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(path))?.[1]
    return inode === undefined ? null : Number(inode)
  } catch {
    return null
  }
}
