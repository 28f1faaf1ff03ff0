/**
 * Reads rows of /proc/net/tcp, /proc/net/tcp6 and /proc/net/unix out of bytes, without making strings of
 * them.
 *
 * A TCP row (tcp4_seq_show in net/ipv4/tcp_ipv4.c, tcp6_seq_show in net/ipv6/tcp_ipv6.c; `man 5
 * proc_pid_net`):
 *
 *     sl: local:port remote:port st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode ...
 *
 * `sl` is decimal in a field of four, so that everything shifts from row 10,000 on; the addresses are 8 hex
 * digits in tcp and 32 in tcp6; up to `tr` the columns are then fixed; from tm->when on they are not. What
 * the kernel calls `retrnsmt` and `timeout` are icsk_retransmits and icsk_probes_out.
 */
import type { KernelTimer } from './probe.js'

export interface TcpRow {
  readonly inode: number
  /** The kernel's number for the state. */
  readonly state: number
  /** write_seq - snd_una: unacknowledged bytes, and an unacknowledged SYN or FIN as one. */
  readonly txQueue: number
  /**
   * rcv_nxt - copied_seq: unread bytes, and an unread FIN as one. Of a listener: connections not yet
   * accepted.
   */
  readonly rxQueue: number
  readonly timer: KernelTimer | null
  readonly retransmits: number
  /** Unanswered keep-alive or zero-window probes. */
  readonly probes: number
}

export interface UnixRow {
  readonly inode: number
  readonly isListening: boolean
}

/** Whoever wants rows. Only a row whose inode is wanted is read in full. */
export interface RowSink<Row> {
  wants(inode: number): boolean
  take(row: Row): void
  malformed(): void
}

/** A kind of table: how its first line begins, and how its rows are read. */
export interface TableFormat<Row> {
  isHeader(bytes: Uint8Array, end: number): boolean
  /**
   * Reads whole rows from `start` on and returns where the unfinished last one begins (`end` when there is
   * none).
   */
  scan(bytes: Uint8Array, start: number, end: number, sink: RowSink<Row>): number
}

const NEWLINE = 10
const SPACE = 32
const ZERO = 48
const COLON = 58
const IPV4_DIGITS = 8
const IPV6_DIGITS = 32
/** A field that is longer is no number of the kernel's. */
const MAX_DIGITS = 16

/**
 * tr in tcp4_seq_show: 1 stands for the loss-probe and reordering timers too; 3 is TIME_WAIT, which no
 * process holds.
 */
const TIMERS: ReadonlyArray<KernelTimer | null> = ['none', 'retransmit', 'keep-alive', null, 'zero-window']

/** Set in the Flags column of a listening unix socket (__SO_ACCEPTCON, include/uapi/linux/net.h). */
const SO_ACCEPTCON = 0x10000

const TCP_HEADER = Buffer.from('  sl  local_address', 'latin1')
const UNIX_HEADER = Buffer.from('Num ', 'latin1')

const HEX_VALUE = hexValues()

export const TCP_FORMAT: TableFormat<TcpRow> = {
  isHeader: (bytes, end) => startsWith(bytes, end, TCP_HEADER),
  scan: (bytes, start, end, sink) => scanLines(bytes, start, end, sink, scanTcpRow),
}

export const UNIX_FORMAT: TableFormat<UnixRow> = {
  isHeader: (bytes, end) => startsWith(bytes, end, UNIX_HEADER),
  scan: (bytes, start, end, sink) => scanLines(bytes, start, end, sink, scanUnixRow),
}

/** False when the row is malformed. */
type LineScanner<Row> = (bytes: Uint8Array, start: number, end: number, sink: RowSink<Row>) => boolean

function scanLines<Row>(
  bytes: Uint8Array,
  start: number,
  end: number,
  sink: RowSink<Row>,
  scanLine: LineScanner<Row>,
): number {
  let lineStart = start
  while (lineStart < end) {
    const lineEnd = bytes.indexOf(NEWLINE, lineStart)
    if (lineEnd === -1 || lineEnd >= end) break
    if (!scanLine(bytes, lineStart, lineEnd, sink)) sink.malformed()
    lineStart = lineEnd + 1
  }
  return lineStart
}

function scanTcpRow(bytes: Uint8Array, start: number, end: number, sink: RowSink<TcpRow>): boolean {
  const slEnd = skipDigits(bytes, skipSpaces(bytes, start, end), end)
  const localAt = slEnd + 2
  const digits = bytes[localAt + IPV4_DIGITS] === COLON ? IPV4_DIGITS : IPV6_DIGITS
  const remoteAt = localAt + digits + 6
  const stateAt = remoteAt + digits + 6
  const queuesAt = stateAt + 3
  const timerAt = queuesAt + 18
  const whenAt = timerAt + 3
  const separatorsHold =
    whenAt < end &&
    bytes[slEnd] === COLON &&
    bytes[localAt - 1] === SPACE &&
    bytes[localAt + digits] === COLON &&
    bytes[remoteAt - 1] === SPACE &&
    bytes[remoteAt + digits] === COLON &&
    bytes[stateAt - 1] === SPACE &&
    bytes[queuesAt - 1] === SPACE &&
    bytes[queuesAt + 8] === COLON &&
    bytes[timerAt - 1] === SPACE &&
    bytes[whenAt - 1] === COLON
  if (!separatorsHold) return false

  const whenEnd = skipToSpace(bytes, whenAt, end)
  const retransmitsAt = whenEnd + 1
  const retransmitsEnd = skipToSpace(bytes, retransmitsAt, end)
  const uidAt = skipSpaces(bytes, retransmitsEnd, end)
  const uidEnd = skipDigits(bytes, uidAt, end)
  const probesAt = skipSpaces(bytes, uidEnd, end)
  const probesEnd = skipDigits(bytes, probesAt, end)
  const inodeAt = skipSpaces(bytes, probesEnd, end)
  const inodeEnd = skipDigits(bytes, inodeAt, end)
  if (inodeEnd < end && bytes[inodeEnd] !== SPACE) return false

  const inode = decimal(bytes, inodeAt, inodeEnd)
  const state = hexadecimal(bytes, stateAt, stateAt + 2)
  if (inode < 0 || state < 0 || uidEnd === uidAt) return false
  if (!sink.wants(inode)) return true

  const txQueue = hexadecimal(bytes, queuesAt, queuesAt + 8)
  const rxQueue = hexadecimal(bytes, queuesAt + 9, queuesAt + 17)
  const timer = hexadecimal(bytes, timerAt, timerAt + 2)
  const retransmits = hexadecimal(bytes, retransmitsAt, retransmitsEnd)
  const probes = decimal(bytes, probesAt, probesEnd)
  if (txQueue < 0 || rxQueue < 0 || timer < 0 || retransmits < 0 || probes < 0) return false
  sink.take({
    inode,
    state,
    txQueue: unlessWrapped(txQueue),
    rxQueue: unlessWrapped(rxQueue),
    timer: TIMERS[timer] ?? null,
    retransmits,
    probes,
  })
  return true
}

/** `pointer: RefCount Protocol Flags Type St Inode Path` (unix_seq_show in net/unix/af_unix.c). */
function scanUnixRow(bytes: Uint8Array, start: number, end: number, sink: RowSink<UnixRow>): boolean {
  const pointerEnd = bytes.indexOf(COLON, start)
  const flagsAt = pointerEnd + 2 + 9 + 9
  const inodeColumnAt = flagsAt + 9 + 5 + 3
  if (pointerEnd === -1 || inodeColumnAt >= end || bytes[inodeColumnAt - 1] !== SPACE) return false
  const inodeAt = skipSpaces(bytes, inodeColumnAt, end)
  const inodeEnd = skipDigits(bytes, inodeAt, end)
  const inode = decimal(bytes, inodeAt, inodeEnd)
  const flags = hexadecimal(bytes, flagsAt, flagsAt + 8)
  if (inode < 0 || flags < 0 || (inodeEnd < end && bytes[inodeEnd] !== SPACE)) return false
  if (sink.wants(inode)) sink.take({ inode, isListening: (flags & SO_ACCEPTCON) !== 0 })
  return true
}

/**
 * The kernel takes no lock for the two numbers behind a queue: caught in the middle of a change, the
 * difference wraps.
 */
function unlessWrapped(queue: number): number {
  return queue < 0x8000_0000 ? queue : 0
}

function skipSpaces(bytes: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end && bytes[at] === SPACE) at += 1
  return at
}

function skipToSpace(bytes: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end && bytes[at] !== SPACE) at += 1
  return at
}

function skipDigits(bytes: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end && isDigit(bytes[at]!)) at += 1
  return at
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte < COLON
}

/** -1 when there is no number. The bytes are known to be digits. */
function decimal(bytes: Uint8Array, start: number, end: number): number {
  if (end <= start || end - start > MAX_DIGITS) return -1
  let value = 0
  for (let at = start; at < end; at += 1) value = value * 10 + bytes[at]! - ZERO
  return value
}

/** -1 when there is no number, or something else in it. */
function hexadecimal(bytes: Uint8Array, start: number, end: number): number {
  if (end <= start || end - start > MAX_DIGITS) return -1
  let value = 0
  for (let at = start; at < end; at += 1) {
    const digit = HEX_VALUE[bytes[at]!]!
    if (digit < 0) return -1
    value = value * 16 + digit
  }
  return value
}

function hexValues(): Int8Array {
  const values = new Int8Array(256).fill(-1)
  for (let digit = 0; digit < 16; digit += 1) {
    values[digit.toString(16).charCodeAt(0)] = digit
    values[digit.toString(16).toUpperCase().charCodeAt(0)] = digit
  }
  return values
}

function startsWith(bytes: Uint8Array, end: number, prefix: Uint8Array): boolean {
  return end >= prefix.length && prefix.every((byte, at) => bytes[at] === byte)
}
