/** What the kernel really holds: this process's descriptors and the connection table, not anybody's events. */
import { fstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import type { Socket } from 'node:net'

const STATES = [
  '',
  'ESTABLISHED',
  'SYN_SENT',
  'SYN_RECV',
  'FIN_WAIT1',
  'FIN_WAIT2',
  'TIME_WAIT',
  'CLOSE',
  'CLOSE_WAIT',
  'LAST_ACK',
  'LISTEN',
  'CLOSING',
]

/** The inode behind a socket: what a descriptor number is not, unique for as long as the socket lives. */
export function inodeOf(socket: Socket): number {
  return fstatSync((socket as unknown as { _handle: { fd: number } })._handle.fd).ino
}

/** Does this process hold a descriptor of that socket? */
export function holdsInode(inode: number): boolean {
  return readdirSync('/proc/self/fd').some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === `socket:[${inode}]`
    } catch {
      return false
    }
  })
}

/** The states of all connections with this local and remote port, as `ss -tan` would list them. */
export function statesOf(localPort: number, remotePort: number): string[] {
  return ['tcp', 'tcp6'].flatMap((table) =>
    readFileSync(`/proc/self/net/${table}`, 'latin1')
      .split('\n')
      .slice(1)
      .map((row) => row.trim().split(/\s+/))
      .filter(([, local, remote]) => portOf(local) === localPort && portOf(remote) === remotePort)
      .map(([, , , state]) => STATES[Number.parseInt(state ?? '', 16)] ?? 'unknown'),
  )
}

function portOf(address: string | undefined): number {
  return Number.parseInt(address?.split(':')[1] ?? '', 16)
}
