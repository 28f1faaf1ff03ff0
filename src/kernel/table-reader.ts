/**
 * Reads one table of /proc in pieces, each a single read(2), into a buffer that is used again and again.
 *
 * The kernel hands out at most a page at a time, however large the buffer (seq_read_iter in fs/seq_file.c),
 * and fills it up as long as there are rows: a read that leaves room for one more row was the last. That
 * saves the final empty read, for which the kernel would walk its whole hash table once more (2 ms with
 * 262,144 buckets).
 *
 * Such a table is no snapshot: the kernel finds its place again by bucket and position, so that while sockets
 * come and go between two reads a row may be listed twice or not at all.
 */
import { errorCode, type FileCalls } from './file-calls.js'
import type { RowSink, TableFormat } from './proc-table.js'

const NEWLINE = 10
/** The smallest page there is. */
const PAGE_BYTES = 4096
/** More than any row takes (a row of tcp6 takes about 190). */
const ROW_ROOM_BYTES = 256
/** Holds the largest page of any Linux (64 KB) and an unfinished row. */
export const TABLE_BUFFER_BYTES = 65_536 + PAGE_BYTES

export interface TableSource {
  readonly files: FileCalls
  readonly path: string
  /** Shared by tables that are read one after the other. */
  readonly buffer: Uint8Array
  /** True: a table that does not exist (a kernel without IPv6 has no tcp6) is a table without rows. */
  readonly mayLack: boolean
}

export class TableReader<Row> {
  readonly #source: TableSource
  readonly #format: TableFormat<Row>
  readonly #sink: RowSink<Row>
  #fd = -1
  #isHeaderDue = true
  #isSkippingRow = false
  #restBytes = 0

  /** Opens nothing yet. */
  constructor(source: TableSource, format: TableFormat<Row>, sink: RowSink<Row>) {
    this.#source = source
    this.#format = format
    this.#sink = sink
  }

  /**
   * One read(2); true, and the file is closed, when it was the last. Throws when it can't be read or is
   * another table.
   */
  read(): boolean {
    if (this.#fd === -1 && !this.#open()) return true
    const { files, buffer } = this.#source
    const room = buffer.length - this.#restBytes
    const bytesRead = files.readSync(this.#fd, buffer, this.#restBytes, room, null)
    this.#scanBuffer(this.#restBytes + bytesRead)
    if (bytesRead !== 0 && (room < PAGE_BYTES || bytesRead >= PAGE_BYTES - ROW_ROOM_BYTES)) return false
    if (this.#isHeaderDue) throw this.#notTheTable()
    if (this.#restBytes > 0) this.#sink.malformed()
    this.close()
    return true
  }

  close(): void {
    if (this.#fd === -1) return
    const fd = this.#fd
    this.#fd = -1
    this.#source.files.closeSync(fd)
  }

  #open(): boolean {
    const { files, path, mayLack } = this.#source
    try {
      this.#fd = files.openSync(path, 'r')
      return true
    } catch (error) {
      if (mayLack && errorCode(error) === 'ENOENT') return false
      throw error
    }
  }

  #scanBuffer(end: number): void {
    const start = this.#isHeaderDue || this.#isSkippingRow ? this.#skipLine(end) : 0
    const isInRows = !this.#isHeaderDue && !this.#isSkippingRow
    this.#keepRest(isInRows ? this.#format.scan(this.#source.buffer, start, end, this.#sink) : start, end)
  }

  /** Returns where the line after the header, or after the overlong row, begins. */
  #skipLine(end: number): number {
    const { buffer } = this.#source
    const newline = buffer.indexOf(NEWLINE)
    if (newline === -1 || newline >= end) return this.#isHeaderDue ? 0 : end
    if (this.#isHeaderDue && !this.#format.isHeader(buffer, newline)) throw this.#notTheTable()
    this.#isHeaderDue = false
    this.#isSkippingRow = false
    return newline + 1
  }

  /**
   * Moves an unfinished row to the front. One that fills the buffer is no row: it is dropped up to its end.
   */
  #keepRest(start: number, end: number): void {
    const { buffer } = this.#source
    this.#restBytes = end - start
    if (start > 0) buffer.copyWithin(0, start, end)
    if (this.#restBytes < buffer.length) return
    if (this.#isHeaderDue) throw this.#notTheTable()
    this.#sink.malformed()
    this.#restBytes = 0
    this.#isSkippingRow = true
  }

  #notTheTable(): Error {
    return new Error(`${this.#source.path} is not the table that was expected`)
  }
}
