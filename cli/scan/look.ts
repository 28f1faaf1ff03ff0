/** The TCP sockets of a process of any kind, read without touching it. */
import { execFileSync } from 'node:child_process'
import { readFileSync, readlinkSync } from 'node:fs'
import { socketsOf, tcpSockets, type TcpSocket } from '../proc/tables.js'

export interface Traffic {
  /** Milliseconds without data either way. */
  readonly idleMs: number
  readonly ackedBytes: number
  readonly receivedBytes: number
}

export interface Look {
  readonly descriptors: number
  /** Of the process, by inode. */
  readonly tcp: ReadonlyMap<number, TcpSocket>
  /** Ports that somebody listens on in the process's network namespace. */
  readonly listening: ReadonlySet<number>
  /** In no table of the kernel. */
  readonly absent: ReadonlySet<number>
  /** By inode; empty if `ss` can't be asked. */
  readonly traffic: ReadonlyMap<number, Traffic>
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
  return { descriptors: sockets.size, tcp, listening, absent, traffic: askSs(pid) }
}

function inodesIn(path: string, column: number): number[] {
  try {
    const lines = readFileSync(path, 'latin1').split('\n').slice(1)
    return lines.map((line) => Number(line.trim().split(/\s+/).at(column)))
  } catch {
    return []
  }
}

/** inet_diag knows what has moved, and /proc does not. `ss` asks it; in this network namespace alone. */
function askSs(pid: number): Map<number, Traffic> {
  const found = new Map<number, Traffic>()
  try {
    if (readlinkSync(`/proc/${pid}/ns/net`) !== readlinkSync('/proc/self/ns/net')) return found
    const lines = execFileSync('ss', ['-tineOH'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: 1 << 28,
    })
    for (const line of lines.split('\n')) {
      const numbers = new Map(
        [...line.matchAll(/ (\w+):(\d+)/g)].map(([, name, digits]) => [name, Number(digits)]),
      )
      const of = (name: string): number => numbers.get(name) ?? 0
      if (!numbers.has('ino') || !numbers.has('lastsnd')) continue
      found.set(of('ino'), {
        idleMs: Math.min(of('lastsnd'), of('lastrcv')),
        ackedBytes: of('bytes_acked'),
        receivedBytes: of('bytes_received'),
      })
    }
  } catch {
    // Without iproute2, or one before 5.2.
  }
  return found
}
