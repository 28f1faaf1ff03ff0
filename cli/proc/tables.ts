/** What /proc says of the sockets of any process. */
import { readdirSync, readlinkSync } from 'node:fs'
import { isIPv4 } from 'node:net'
import { endianness } from 'node:os'
import { KERNEL_STATES, type KernelState } from '../../src/core/vocabulary.js'
import { readTable, TCP_TABLE, type TableFormat, type TcpRow } from '../../src/kernel/proc-table.js'
import { Failure } from '../command.js'

export interface Address {
  readonly address: string
  readonly port: number
}

export interface TcpSocket extends TcpRow {
  readonly kernelState: KernelState | null
  readonly local: Address
  readonly remote: Address
}

export interface Listener extends Address {
  readonly inode: number
}

const ENDPOINTS = /^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) ([0-9A-F]+):([0-9A-F]{4}) /

const TABLE: TableFormat<TcpSocket> = {
  header: TCP_TABLE.header,
  row: TCP_TABLE.row,
  read(match) {
    const row = TCP_TABLE.read(match)
    const [, local = '', localPort, remote = '', remotePort] = ENDPOINTS.exec(match[0]!) ?? []
    return {
      ...row,
      kernelState: KERNEL_STATES[row.state - 1] ?? null,
      local: { address: decodeAddress(local), port: Number(`0x${localPort}`) },
      remote: { address: decodeAddress(remote), port: Number(`0x${remotePort}`) },
    }
  },
}

/** By descriptor: the inodes of a process's sockets. */
export function socketsOf(pid: number): Map<number, number> {
  const sockets = new Map<number, number>()
  for (const name of readDescriptors(pid)) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${name}`))?.[1]
      if (inode !== undefined) sockets.set(Number(name), Number(inode))
    } catch {
      // Closed meanwhile.
    }
  }
  return sockets
}

function readDescriptors(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`)
  } catch (error) {
    const isGone = (error as NodeJS.ErrnoException).code === 'ENOENT'
    throw new Failure(
      isGone
        ? `there is no process ${pid}`
        : `the descriptors of process ${pid} can't be read: run this as its user, or as root`,
    )
  }
}

/** Of the process's network namespace. */
export function* tcpSockets(pid: number, wanted: { has(inode: number): boolean }): Generator<TcpSocket> {
  for (const table of ['tcp', 'tcp6']) {
    for (const rows of readTable(`/proc/${pid}/net/${table}`, TABLE, table === 'tcp6', wanted)) {
      for (const row of rows) if (row !== null) yield row
    }
  }
}

export function listenersOf(pid: number): Listener[] {
  return [...tcpSockets(pid, new Set(socketsOf(pid).values()))]
    .filter(({ kernelState }) => kernelState === 'LISTEN')
    .map(({ inode, local }) => ({ inode, ...local }))
}

/** The tables show each four bytes as a number of this machine. */
export function decodeAddress(hex: string): string {
  const bytes = Buffer.from(hex, 'hex')
  if (endianness() === 'LE') bytes.swap32()
  if (bytes.length === 4) return bytes.join('.')
  const mapped = bytes.subarray(0, 12).toString('hex') === `${'0'.repeat(20)}ffff`
  if (mapped) return bytes.subarray(12).join('.')
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16)).join(':')
  return new URL(`http://[${groups}]`).hostname.slice(1, -1)
}

export function formatAddress({ address, port }: Address): string {
  return `${isIPv4(address) ? address : `[${address}]`}:${port}`
}
