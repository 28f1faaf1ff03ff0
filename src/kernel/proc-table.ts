// Reads the tables of /proc/self/net page by page. The kernel returns at most a page and fills it while there are rows
// (seq_read_iter in fs/seq_file.c), so a read with room for one more row is the last. This saves an empty read that
// would walk the whole hash table again (2 ms with 262,144 buckets).
// A table is no snapshot: the kernel resumes by bucket and position, so a row may be listed twice or not at all.
import * as fs from 'node:fs'
import { errorCode } from '../base/errors.js'
import type { Endpoint } from '../core/endpoint.js'

export interface FileCalls {
  openSync(path: string, flags: 'r'): number
  readSync(fd: number, buffer: Uint8Array, offset: number, length: number, position: null): number
  closeSync(fd: number): void
  fstatSync(fd: number): { readonly ino: number; isSocket(): boolean }
}

export interface TcpRow {
  readonly inode: number
  readonly state: number
  /** write_seq - snd_una: unacknowledged bytes, a SYN or FIN counting as one. */
  readonly txQueue: number
  /** rcv_nxt - copied_seq: unread bytes, a FIN counting as one. For a listener: connections to accept. */
  readonly rxQueue: number
  readonly retransmits: number
  readonly probes: number
}

export interface TcpLine extends TcpRow {
  readonly local: Endpoint
  readonly remote: Endpoint
}

export interface UnixRow {
  readonly inode: number
  readonly isListening: boolean
}

export interface TableFormat<Row> {
  readonly header: string
  readonly row: RegExp
  read(match: readonly string[]): Row
}

const PAGE_BYTES = 4096
/** A row of tcp6 takes about 190 bytes. */
const ROW_ROOM_BYTES = 256
const BUFFER_BYTES = 65_536

const ENDPOINT = '(?:[0-9A-F]{8}|[0-9A-F]{32}):[0-9A-F]{4}'
const TCP_HEADER = '  sl  local_address'
const TCP_REST =
  ' ([0-9A-F]{2}) ([0-9A-F]{8}):([0-9A-F]{8}) [0-9A-F]{2}:[0-9A-F]+ ([0-9A-F]+) +\\d+ +(\\d+) +(\\d+)(?: |$)'

// `sl: local remote st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode ...` (proc_pid_net(5), tcp4_seq_show,
// tcp6_seq_show). `retrnsmt` and `timeout` are icsk_retransmits and icsk_probes_out.
export const TCP_TABLE: TableFormat<TcpRow> = {
  header: TCP_HEADER,
  row: new RegExp(`^ *\\d+: ${ENDPOINT} ${ENDPOINT}${TCP_REST}`),
  read: ([, ...columns]) => readTcp(columns),
}

export const TCP_LINES: TableFormat<TcpLine> = {
  header: TCP_HEADER,
  row: new RegExp(`^ *\\d+: (${ENDPOINT}) (${ENDPOINT})${TCP_REST}`),
  read: ([, local, remote, ...columns]) => ({
    ...readTcp(columns),
    local: endpointOf(local!),
    remote: endpointOf(remote!),
  }),
}

function readTcp([state, txQueue, rxQueue, retransmits, probes, inode]: readonly (
  string | undefined
)[]): TcpRow {
  return {
    inode: Number(inode),
    state: hex(state),
    txQueue: queueOf(txQueue),
    rxQueue: queueOf(rxQueue),
    retransmits: hex(retransmits),
    probes: Number(probes),
  }
}

/** The kernel prints each four bytes of an address as a number of this machine, and the port as it is. */
function endpointOf(text: string): Endpoint {
  const [digits = '', port] = text.split(':')
  const words = digits.match(/.{8}/g)?.map((word) => Number.parseInt(word, 16)) ?? []
  const bytes = new Uint8Array(Uint32Array.from(words).buffer)
  if (bytes.length === 4) return { address: bytes.join('.'), port: hex(port) }
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16))
  const isMapped = groups.slice(0, 6).join(':') === '0:0:0:0:0:ffff'
  const address = isMapped
    ? bytes.slice(12).join('.')
    : new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
  return { address, port: hex(port) }
}

/** `pointer: RefCount Protocol Flags Type St Inode Path` (unix_seq_show in net/unix/af_unix.c). */
export const UNIX_TABLE: TableFormat<UnixRow> = {
  header: 'Num ',
  row: /^[0-9a-f]+: [0-9A-F]{8} [0-9A-F]{8} ([0-9A-F]{8}) [0-9A-F]{4} [0-9A-F]{2} +(\d+)(?: |$)/,
  read: ([, flags, inode]) => ({ inode: Number(inode), isListening: (hex(flags) & SO_ACCEPTCON) !== 0 }),
}

/** Flags of a listening unix socket (__SO_ACCEPTCON, include/uapi/linux/net.h). */
const SO_ACCEPTCON = 0x10000

function hex(digits: string | undefined): number {
  return Number.parseInt(digits ?? '', 16)
}

/** The kernel reads a queue's two numbers without a lock, so their difference may wrap. */
function queueOf(digits: string | undefined): number {
  const queue = hex(digits)
  return queue < 0x8000_0000 ? queue : 0
}

// Yields for each read the rows with a wanted inode, and `null` for an unreadable row. Closes the file, also if the
// caller stops early. Throws if the table can't be read; one that `mayLack` may be missing (no tcp6 without IPv6).
export function* readTable<Row>(
  path: string,
  { header, row, read }: TableFormat<Row>,
  mayLack: boolean,
  wanted: { has(inode: number): boolean },
  files: FileCalls = fs,
): Generator<Array<Row | null>, void> {
  const fd = openTable(path, mayLack, files)
  if (fd === null) return
  try {
    const buffer = Buffer.allocUnsafe(BUFFER_BYTES)
    let isHeaderDue = true
    let rest = ''
    let bytesRead: number
    do {
      bytesRead = files.readSync(fd, buffer, 0, buffer.length, null)
      const lines = (rest + buffer.toString('latin1', 0, bytesRead)).split('\n')
      rest = lines.pop()!
      if (isHeaderDue && !(lines.shift() ?? '').startsWith(header)) throw notTheTable(path)
      if (rest.length > BUFFER_BYTES) throw notTheTable(path)
      isHeaderDue = false
      const rows: Array<Row | null> = []
      for (const line of lines) {
        const match = row.exec(line)
        if (match === null) rows.push(null)
        else if (wanted.has(Number(match.at(-1)))) rows.push(read(match))
      }
      yield rows
    } while (bytesRead >= PAGE_BYTES - ROW_ROOM_BYTES)
    if (rest !== '') yield [null]
  } finally {
    files.closeSync(fd)
  }
}

/** Reads part of the header, for which the kernel walks no table. Returns `null` if the table is usable. */
export function whyNoTable(
  path: string,
  { header }: TableFormat<unknown>,
  files: FileCalls = fs,
): string | null {
  try {
    const buffer = Buffer.alloc(header.length)
    const fd = files.openSync(path, 'r')
    try {
      files.readSync(fd, buffer, 0, buffer.length, null)
    } finally {
      files.closeSync(fd)
    }
    return buffer.toString('latin1') === header ? null : notTheTable(path).message
  } catch (error) {
    if (isShortOfResources(error)) return null
    return `can't read ${path}: ${error instanceof Error ? error.message : String(error)}`
  }
}

function openTable(path: string, mayLack: boolean, files: FileCalls): number | null {
  try {
    return files.openSync(path, 'r')
  } catch (error) {
    if (mayLack && errorCode(error) === 'ENOENT') return null
    throw error
  }
}

function notTheTable(path: string): Error {
  return new Error(`${path} is not the table that was expected`)
}

export function isShortOfResources(error: unknown): boolean {
  return ['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'EINTR'].includes(errorCode(error))
}
