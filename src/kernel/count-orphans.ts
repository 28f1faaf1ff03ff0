// One count for `orphans.ts`. The preload loads it with the first (`LATER` in scripts/bundle.ts).
import { opendirSync, readlinkSync } from 'node:fs'
import type { OrphansReport, OrphanSocket } from '../core/report.js'
import { KERNEL_STATES, type KernelState } from '../core/vocabulary.js'
import { readTable, TCP_LINES, UNIX_TABLE, type TableFormat, type TcpLine } from './proc-table.js'

export type OrphanCount = Omit<OrphansReport, 'ageMs'>

const LINKS_A_STEP = 64
const MOST_LISTED = 20

export function* countOrphans(
  known: () => Iterable<number>,
  directory = '/proc/self',
): Generator<'long step' | undefined, OrphanCount> {
  const path = `${directory}/fd`
  const sockets = yield* listSockets(path)
  // Known ones are read after the listing, so that a socket opened meanwhile is not an orphan.
  const left = new Set(sockets.values())
  for (const fd of known()) left.delete(sockets.get(fd) ?? 0)
  let looked = 0
  for (const [fd, inode] of sockets) {
    if (!left.has(inode)) continue
    if (socketInodeOf(`${path}/${fd}`) !== inode) left.delete(inode)
    looked += 1
    if (looked % LINKS_A_STEP === 0) yield
  }
  const states: Partial<Record<KernelState, number>> = {}
  const closeWait: TcpLine[] = []
  let [tcp, unix, listeners] = [0, 0, 0]

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
    for (const row of yield* rowsOf(table, TCP_LINES)) {
      const state = KERNEL_STATES[row.state - 1]
      if (state === 'LISTEN') listeners += 1
      else tcp += 1
      if (state !== undefined && state !== 'LISTEN') states[state] = (states[state] ?? 0) + 1
      if (state === 'CLOSE_WAIT' && closeWait.length < MOST_LISTED) closeWait.push(row)
    }
  }
  for (const row of left.size > 0 ? yield* rowsOf('unix', UNIX_TABLE) : []) {
    if (row.isListening) listeners += 1
    else unix += 1
  }
  return {
    tcp,
    states,
    closeWait: describe(closeWait, sockets),
    unix,
    other: left.size,
    listeners,
    socketDescriptors: sockets.size,
  }
}

function describe(rows: readonly TcpLine[], sockets: ReadonlyMap<number, number>): OrphanSocket[] {
  const found = new Map(rows.map((row) => [row.inode, row]))
  const described: OrphanSocket[] = []
  for (const [fd, inode] of sockets) {
    const row = found.get(inode)
    if (row === undefined) continue
    found.delete(inode)
    const { local, remote, rxQueue, txQueue } = row
    // The FIN counts as an unread byte.
    described.push({ fd, local, remote, unreadBytes: Math.max(0, rxQueue - 1), unsentBytes: txQueue })
  }
  return described
}

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

/** `null` if it is no socket or closed. Reads the link, because fstat on a file of a dead NFS server would block. */
function socketInodeOf(path: string): number | null {
  try {
    const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(path))?.[1]
    return inode === undefined ? null : Number(inode)
  } catch {
    return null
  }
}
