import { setTimeout as sleep } from 'node:timers/promises'
import { formatBytes, formatDuration } from '../../src/core/format.js'
import { countSockets } from '../../src/report/phrases.js'
import { makePrintable } from '../../src/report/printable.js'
import { EXIT, Failure, type Command, type Given } from '../command.js'
import { commandOf, pidOf } from '../proc/process.js'
import { formatAddress, type TcpSocket } from '../proc/tables.js'
import { paint, say } from '../terminal.js'
import { lookAt, type Look, type Traffic } from './look.js'

export const scan: Command = {
  name: 'scan',
  operands: 'PID',
  summary: 'Lists the stuck sockets of a process of any kind, without touching it (Linux).',
  about: [
    'Reads /proc, and asks `ss` for idle times if it is there. A socket is stuck if it is half-closed, or has bytes that\n' +
      'wait, and nothing moved between two looks. Whose code it is, only "attach" can tell, and only of Node.',
  ],
  flags: {
    for: { type: 'string', value: 'SECONDS', help: 'time between the two looks (default 1)' },
    json: { type: 'boolean', help: 'print JSON' },
    'max-leaked': { type: 'string', value: 'N', help: 'exit 1 if more are stuck' },
  },
  most: Infinity,
  run,
}

/** Upper case: the kernel's word for a half-closed connection. */
type Trouble =
  | 'CLOSE_WAIT'
  | 'FIN_WAIT1'
  | 'FIN_WAIT2'
  | 'CLOSING'
  | 'LAST_ACK'
  | 'unread'
  | 'unsent'
  | 'dead'
  | 'unaccepted'

const MEANING: Readonly<Record<Trouble, string>> = {
  CLOSE_WAIT: 'the peer has ended, and the process has not: close them',
  FIN_WAIT1: 'the process has ended, and the peer does not acknowledge it',
  FIN_WAIT2: 'the process has ended, and the peer has not: destroy them',
  CLOSING: 'both have ended, and the peer does not acknowledge it',
  LAST_ACK: 'both have ended, and the peer does not acknowledge it',
  unread: 'open, and the process does not read what has come',
  unsent: 'open, and the peer does not take what was sent',
  dead: 'the kernel has closed them, or they were never connected: close them',
  unaccepted: 'connections that wait to be accepted',
}

interface Group {
  readonly trouble: Trouble
  readonly where: string
  count: number
  /** Of the one that is idle longest; `null` if unknown. */
  idleMs: number | null
  unreadBytes: number
  unsentBytes: number
}

async function run(given: Given): Promise<number> {
  const pid = pidOf(given)
  if (process.platform !== 'linux') throw new Failure('only Linux tells of the sockets of another process')
  const most = given.number('max-leaked', Infinity)
  const seconds = given.number('for', 1)
  const before = lookAt(pid)
  await sleep(seconds * 1000)
  const now = lookAt(pid)
  const groups = group(before, now)
  const count = groups.reduce((sum, { trouble, count }) => sum + (trouble === 'unaccepted' ? 0 : count), 0)
  if (given.has('json')) {
    const totals = { sockets: now.descriptors, tcp: now.tcp.size, stuck: count }
    say(JSON.stringify({ pid, command: commandOf(pid), seconds, totals, groups }, null, 2))
  } else say(render(pid, now, groups, count, seconds))
  return count > most ? EXIT.found : EXIT.fine
}

function group(before: Look, now: Look): Group[] {
  const groups = new Map<string, Group>()

  function add(trouble: Trouble, where: string, count: number, socket: TcpSocket | null): void {
    const key = `${trouble} ${where}`
    const found = groups.get(key) ?? {
      trouble,
      where,
      count: 0,
      idleMs: null,
      unreadBytes: 0,
      unsentBytes: 0,
    }
    groups.set(key, found)
    found.count += count
    if (socket === null || trouble === 'unaccepted') return
    const idleMs = now.traffic.get(socket.inode)?.idleMs
    if (idleMs !== undefined) found.idleMs = Math.max(found.idleMs ?? 0, idleMs)
    // The peer's FIN counts as a byte, as long as it is not read.
    const isFinUnread = socket.kernelState === 'CLOSE_WAIT' && socket.rxQueue > 0
    found.unreadBytes += socket.rxQueue - (isFinUnread ? 1 : 0)
    found.unsentBytes += socket.txQueue
  }

  for (const [inode, socket] of now.tcp) {
    const earlier = before.tcp.get(inode)
    if (earlier === undefined || hasMoved(earlier, socket)) continue
    if (hasCarried(before.traffic.get(inode), now.traffic.get(inode))) continue
    if (socket.kernelState === 'LISTEN' && socket.rxQueue > 0) {
      add('unaccepted', `:${socket.local.port}`, socket.rxQueue, socket)
    }
    const trouble = troubleOf(socket)
    if (trouble !== null) add(trouble, placeOf(socket, now.listening), 1, socket)
  }
  const dead = [...now.absent].filter((inode) => before.absent.has(inode) || before.tcp.has(inode))
  for (const inode of dead) {
    const earlier = before.tcp.get(inode)
    add('dead', earlier === undefined ? 'unknown' : placeOf(earlier, now.listening), 1, null)
  }
  return [...groups.values()].sort((a, b) => b.count - a.count)
}

function hasMoved(a: TcpSocket, b: TcpSocket): boolean {
  return a.state !== b.state || a.rxQueue !== b.rxQueue || a.txQueue !== b.txQueue
}

function hasCarried(a: Traffic | undefined, b: Traffic | undefined): boolean {
  return a?.ackedBytes !== b?.ackedBytes || a?.receivedBytes !== b?.receivedBytes
}

function troubleOf({ kernelState, rxQueue, txQueue }: TcpSocket): Trouble | null {
  switch (kernelState) {
    case 'CLOSE_WAIT':
    case 'FIN_WAIT1':
    case 'FIN_WAIT2':
    case 'CLOSING':
    case 'LAST_ACK':
      return kernelState
    case 'ESTABLISHED':
      return rxQueue > 0 ? 'unread' : txQueue > 0 ? 'unsent' : null
    default:
      return null
  }
}

/** Where it was accepted and from which host, or where it leads to. */
function placeOf({ local, remote }: TcpSocket, listening: ReadonlySet<number>): string {
  return listening.has(local.port) ? `:${local.port} <- ${remote.address}` : `-> ${formatAddress(remote)}`
}

const MOST_GROUPS = 30

function render(
  pid: number,
  { descriptors, tcp, traffic }: Look,
  groups: Group[],
  count: number,
  seconds: number,
): string {
  const head =
    `Process ${pid}, ${makePrintable(commandOf(pid), 60)}: ` +
    `${count === 0 ? 'nothing is' : paint('bold', countSockets(count))} stuck for ${seconds} s or longer, ` +
    `of ${countSockets(descriptors)}, ${tcp.size} of them TCP.`
  if (groups.length === 0) return head
  const rows = groups
    .slice(0, MOST_GROUPS)
    .map((group) => [
      group.trouble,
      group.where,
      String(group.count),
      group.idleMs === null ? '?' : formatDuration(group.idleMs),
      formatBytes(group.unreadBytes),
      formatBytes(group.unsentBytes),
    ])
  const titles = ['STATE', 'WHERE', 'COUNT', 'IDLE', 'UNREAD', 'UNSENT']
  const meanings = [...new Set(groups.map(({ trouble }) => trouble))].map((one) => `${one}: ${MEANING[one]}`)
  return [
    head,
    '',
    table([titles, ...rows]),
    ...(groups.length > MOST_GROUPS ? [`and ${groups.length - MOST_GROUPS} more groups`] : []),
    '',
    ...meanings,
    ...(traffic.size === 0
      ? ['? idle times need `ss` (iproute2 5.2 or later), in the network namespace of the process']
      : []),
  ].join('\n')
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  const isNumber = (column: number): boolean => column > 1
  return rows
    .map((row) =>
      row
        .map((cell, i) => (isNumber(i) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
