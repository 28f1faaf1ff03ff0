/** The TCP sockets of a process of any kind, read without touching it. */
import { execFileSync } from 'node:child_process'
import { readFileSync, readlinkSync } from 'node:fs'
import { socketsOf, tcpSockets, type TcpSocket } from '../proc/tables.js'

export interface Look {
  readonly descriptors: number
  /** Of the process, by inode. */
  readonly tcp: ReadonlyMap<number, TcpSocket>
  /** Ports that somebody listens on in the process's network namespace. */
  readonly listening: ReadonlySet<number>
  /** In no table of the kernel. */
  readonly absent: ReadonlySet<number>
  /** Milliseconds without data either way, by inode; empty if `ss` can't be asked. */
  readonly idleMs: ReadonlyMap<number, number>
}

/** The column of the inode; -1 is the last one. Unix sockets, and everything else that is a socket and not TCP. */
const OTHER_TABLES = [
  ...[['unix', 6] as const],
  ...['udp', 'udp6', 'udplite', 'udplite6', 'raw', 'raw6', 'icmp', 'icmp6'].map((name) => [name, 9] as const),
  ...['netlink', 'packet'].map((name) => [name, -1] as const),
]

export function lookAt(pid: number): Look {
  const sockets = socketsOf(pid)
  const left = new Set(sockets.values())
  const tcp = new Map<number, TcpSocket>()
  const listening = new Set<number>()
  for (const socket of tcpSockets(pid, { has: () => true })) {
    if (socket.kernelState === 'LISTEN') listening.add(socket.local.port)
    if (left.delete(socket.inode)) tcp.set(socket.inode, socket)
  }
  for (const [table, column] of OTHER_TABLES) {
    for (const inode of inodesIn(`/proc/${pid}/net/${table}`, column)) left.delete(inode)
  }
  // What was opened after the tables were read is in none of them either, and what was closed is no longer there.
  const still = left.size === 0 ? new Set<number>() : new Set(socketsOf(pid).values())
  const absent = new Set([...left].filter((inode) => still.has(inode)))
  return { descriptors: sockets.size, tcp, listening, absent, idleMs: idleTimes(pid) }
}

function inodesIn(path: string, column: number): number[] {
  try {
    const lines = readFileSync(path, 'latin1').split('\n').slice(1)
    return lines.map((line) => Number(line.trim().split(/\s+/).at(column)))
  } catch {
    return []
  }
}

/** inet_diag knows when data last moved, and /proc does not. `ss` asks it; in this network namespace alone. */
function idleTimes(pid: number): Map<number, number> {
  const found = new Map<number, number>()
  try {
    if (readlinkSync(`/proc/${pid}/ns/net`) !== readlinkSync('/proc/self/ns/net')) return found
    const stdio = ['ignore', 'pipe', 'ignore'] as const
    const lines = execFileSync('ss', ['-tineOH'], { encoding: 'utf8', stdio: [...stdio], maxBuffer: 1 << 28 })
    for (const line of lines.split('\n')) {
      const [inode, sent, received] = ['ino', 'lastsnd', 'lastrcv'].map((name) => numberIn(line, name))
      if (inode !== null && inode !== undefined && sent !== null && received !== null) {
        found.set(inode, Math.min(sent ?? 0, received ?? 0))
      }
    }
  } catch {
    // Without iproute2, or one before 5.2.
  }
  return found
}

function numberIn(line: string, name: string): number | null {
  const digits = new RegExp(` ${name}:(\\d+)`).exec(line)?.[1]
  return digits === undefined ? null : Number(digits)
}
