/**
 * Tables of /proc/self/net as a Linux 6.18 kernel printed them, with what `ss -tanoe` said at the same
 * moment.
 */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

export interface SsRow {
  readonly state: string
  readonly receiveQueue: number
  readonly sendQueue: number
  readonly timer: string | null
  /** `127.0.0.1:3000` of this end and of the other. */
  readonly ends: readonly string[]
}

export function readFixture(name: 'tcp' | 'tcp6' | 'unix' | 'ss.txt'): Buffer {
  return readFileSync(join(packageRoot(import.meta.dirname), 'test/fixtures/proc-net', name))
}

/** By inode. What nobody holds (inode 0) is left out. */
export function readSs(): Map<number, SsRow> {
  const rows = new Map<number, SsRow>()
  for (const line of readFixture('ss.txt').toString('latin1').split('\n').slice(1)) {
    const inode = Number(/\bino:(\d+)/.exec(line)?.[1] ?? 0)
    const [state, receiveQueue, sendQueue, ...ends] = line.split(/\s+/)
    const timer = /timer:\((\w+)/.exec(line)?.[1] ?? null
    if (inode !== 0) {
      rows.set(inode, {
        state: state!,
        receiveQueue: Number(receiveQueue),
        sendQueue: Number(sendQueue),
        timer,
        ends: ends.slice(0, 2),
      })
    }
  }
  return rows
}

export function packageRoot(from: string): string {
  return existsSync(join(from, 'package.json')) ? from : packageRoot(dirname(from))
}
