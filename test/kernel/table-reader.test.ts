import fc from 'fast-check'
import t from 'tap'
import type { FileCalls } from '../../src/kernel/file-calls.js'
import { TCP_FORMAT, type RowSink, type TcpRow } from '../../src/kernel/proc-table.js'
import { TABLE_BUFFER_BYTES, TableReader } from '../../src/kernel/table-reader.js'
import { readFixture } from './proc-fixtures.js'

/** A file that comes in pieces of given lengths (then a page at a time), as the kernel hands it out. */
function fileInPieces(content: Uint8Array, pieces: readonly number[]) {
  const calls = { opened: 0, closed: 0, reads: 0 }
  let at = 0
  const files: FileCalls = {
    openSync() {
      calls.opened += 1
      return 99
    },
    readSync(_fd, buffer, offset, length) {
      const piece = content.subarray(at, at + Math.min(pieces[calls.reads] ?? 4096, length))
      calls.reads += 1
      buffer.set(piece, offset)
      at += piece.length
      return piece.length
    },
    closeSync() {
      calls.closed += 1
    },
    fstatSync() {
      throw new Error('not asked for')
    },
  }
  return { files, calls }
}

function readAll(content: Uint8Array, pieces: readonly number[], bufferBytes = TABLE_BUFFER_BYTES) {
  const { files, calls } = fileInPieces(content, pieces)
  const rows: TcpRow[] = []
  let malformedRows = 0
  const sink: RowSink<TcpRow> = {
    wants: (inode) => inode !== 0,
    take: (row) => rows.push(row),
    malformed: () => {
      malformedRows += 1
    },
  }
  const source = { files, path: '/proc/self/net/tcp', buffer: new Uint8Array(bufferBytes), mayLack: false }
  const reader = new TableReader(source, TCP_FORMAT, sink)
  try {
    while (!reader.read());
  } finally {
    reader.close()
  }
  return { rows, malformedRows, calls }
}

t.test('wherever the reads are cut, the rows are the same', async (t) => {
  const table = readFixture('tcp6')
  const expected = JSON.stringify(readAll(table, [table.length]).rows)
  t.ok(expected.length > 1000)
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 3840, max: 4096 }), { maxLength: 4 }), (pieces) => {
      const { rows, malformedRows, calls } = readAll(table, pieces)
      return JSON.stringify(rows) === expected && malformedRows === 0 && calls.closed === 1
    }),
  )
})

t.test('a read that leaves room for a row was the last: there is no empty read after it', async (t) => {
  const table = readFixture('tcp')
  const { calls } = readAll(table, [])
  t.equal(calls.reads, Math.ceil(table.length / 4096))
  t.same([calls.opened, calls.closed], [1, 1])
})

t.test('a table that ends at the end of a page takes an empty read', async (t) => {
  const table = readFixture('tcp')
  const { calls, malformedRows } = readAll(table.subarray(0, 150 * 27), [])
  t.equal(calls.reads, 2)
  t.equal(malformedRows, 0)
})

t.test('with a small buffer a short read means nothing', async (t) => {
  const table = readFixture('tcp6')
  const { rows, malformedRows } = readAll(table, [], 512)
  t.same(rows, readAll(table, []).rows)
  t.equal(malformedRows, 0)
})

t.test('a table that breaks off in the middle of a row has one malformed row', async (t) => {
  const table = readFixture('tcp')
  t.equal(readAll(table.subarray(0, table.length - 30), []).malformedRows, 1)
})

t.test('a row without end is dropped once, and the rows after it are read', async (t) => {
  const lines = readFixture('tcp').toString('latin1').split('\n')
  const endless = [...lines.slice(0, 5), 'x'.repeat(3000), ...lines.slice(5)].join('\n')
  const { rows, malformedRows } = readAll(Buffer.from(endless, 'latin1'), [], 512)
  t.same(rows, readAll(readFixture('tcp'), []).rows)
  t.equal(malformedRows, 1)
})

t.test('another file, an empty one and one without lines are refused, and closed', async (t) => {
  const strangers = [
    readFixture('unix'),
    Buffer.alloc(0),
    Buffer.alloc(100_000, 32),
    Buffer.from('  sl  local_'),
  ]
  for (const content of strangers) {
    t.throws(() => readAll(content, []), { message: '/proc/self/net/tcp is not the table that was expected' })
  }
})

t.test('whatever is read: nothing but that error', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 6000 }), fc.boolean(), (noise, hasHeader) => {
      const content = hasHeader ? Buffer.concat([Buffer.from('  sl  local_address\n'), noise]) : noise
      try {
        readAll(content, [])
        return hasHeader
      } catch (error) {
        return !hasHeader && (error as Error).message.includes('not the table')
      }
    }),
  )
})
