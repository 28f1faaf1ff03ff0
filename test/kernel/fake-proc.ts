/**
 * A make-believe /proc/self/net: tables given as text, sockets given by descriptor and inode, calls counted.
 */
import type { FileCalls } from '../../src/kernel/proc-table.js'

export class FakeProc implements FileCalls {
  readonly tables = new Map<string, string>([
    ['tcp6', TCP_HEADER],
    ['tcp', TCP_HEADER],
    ['unix', UNIX_HEADER],
  ])
  /** Inode by descriptor; 0 stands for something that is no socket. */
  readonly inodes = new Map<number, number>()
  /** Thrown by the call of that name, or by opening the table of that name. */
  readonly failures = new Map<string, string>()
  readonly opened: string[] = []
  reads = 0
  stats = 0
  /** Runs after each read of a table. */
  afterRead: () => void = () => {}
  readonly #files = new Map<number, { rest: Buffer }>()
  #nextFd = 1000

  get openTables(): number {
    return this.#files.size
  }

  readonly openSync = (path: string): number => {
    const name = path.slice(path.lastIndexOf('/') + 1)
    this.#fail(name)
    const table = this.tables.get(name)
    if (table === undefined) throw errorWithCode('ENOENT')
    this.opened.push(name)
    this.#files.set(this.#nextFd, { rest: Buffer.from(table, 'latin1') })
    return this.#nextFd++
  }

  readonly readSync = (fd: number, buffer: Uint8Array, offset: number, length: number): number => {
    this.reads += 1
    this.#fail('readSync')
    const file = this.#files.get(fd)!
    const piece = file.rest.subarray(0, Math.min(length, 4096))
    buffer.set(piece, offset)
    file.rest = file.rest.subarray(piece.length)
    this.afterRead()
    return piece.length
  }

  readonly closeSync = (fd: number): void => {
    if (!this.#files.delete(fd)) throw errorWithCode('EBADF')
  }

  readonly fstatSync = (fd: number) => {
    this.stats += 1
    const ino = this.inodes.get(fd)
    if (ino === undefined) throw errorWithCode('EBADF')
    return { ino, isSocket: () => ino !== 0 }
  }

  #fail(call: string): void {
    const code = this.failures.get(call)
    if (code !== undefined) throw errorWithCode(code)
  }
}

export const TCP_HEADER =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n'
export const UNIX_HEADER = 'Num       RefCount Protocol Flags    Type St Inode Path\n'

/** A row of tcp for the socket with that inode. */
export function tcpRow(inode: number, state: string, queues = '00000000:00000000'): string {
  return `   0: 0100007F:A151 0100007F:B387 ${state} ${queues} 00:00000000 00000000     0        0 ${inode} 1 0 20 4 0 10 -1\n`
}

export function unixRow(inode: number): string {
  return `00000000c984b748: 00000002 00000000 00000000 0001 03 ${String(inode).padStart(5)} app.sock\n`
}

function errorWithCode(code: string): Error {
  return Object.assign(new Error(code), { code })
}
