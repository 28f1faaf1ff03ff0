import fc from 'fast-check'
import t from 'tap'
import { formatEndpoint } from '../../src/core/endpoint.js'
import { KERNEL_STATES } from '../../src/core/vocabulary.js'
import {
  readTable,
  TCP_LINES,
  TCP_TABLE,
  UNIX_TABLE,
  whyNoTable,
  type FileCalls,
  type TableFormat,
  type TcpRow,
} from '../../src/kernel/proc-table.js'
import { readFixture, readSs } from './proc-fixtures.js'

const SS_STATES: Record<string, string> = {
  ESTAB: 'ESTABLISHED',
  'SYN-SENT': 'SYN_SENT',
  'FIN-WAIT-1': 'FIN_WAIT1',
  'FIN-WAIT-2': 'FIN_WAIT2',
  'CLOSE-WAIT': 'CLOSE_WAIT',
  'LAST-ACK': 'LAST_ACK',
  LISTEN: 'LISTEN',
}

const PATH = '/proc/self/net/tcp'
const ALL = { has: (inode: number) => inode !== 0 }

/** A file that comes in pieces of given lengths (then a page at a time), as the kernel hands it out. */
function fileInPieces(content: Uint8Array, pieces: readonly number[] = []) {
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

function readAll<Row>(format: TableFormat<Row>, content: Uint8Array, pieces?: readonly number[]) {
  const { files, calls } = fileInPieces(content, pieces)
  const read = [...readTable(PATH, format, false, ALL, files)].flat()
  const rows = read.filter((row) => row !== null)
  return { rows, malformedRows: read.length - rows.length, calls }
}

function rowsOf(file: Uint8Array): Map<number, TcpRow> {
  return new Map(readAll(TCP_TABLE, file).rows.map((row) => [row.inode, row]))
}

/** A table of one row. */
function tableOf(row: string): Buffer {
  return Buffer.from(`${TCP_TABLE.header}\n${row}\n`, 'latin1')
}

/** The same file with other numbers in its first column. */
function renumbered(file: Buffer, first: number): Buffer {
  let next = first
  const text = file.toString('latin1').replace(/^ *\d+:/gm, () => `${String(next++).padStart(4)}:`)
  return Buffer.from(text, 'latin1')
}

t.test('reads the same out of real tables as ss reads out of the kernel', async (t) => {
  const rows = new Map([...rowsOf(readFixture('tcp')), ...rowsOf(readFixture('tcp6'))])
  const ss = readSs()
  t.equal(rows.size, ss.size)
  t.ok(ss.size > 70)
  t.same(new Set([...ss.values()].map((row) => SS_STATES[row.state])), new Set(Object.values(SS_STATES)))
  for (const [inode, expected] of ss) {
    const row = rows.get(inode)
    t.ok(row, `inode ${inode}`)
    if (row === undefined) continue
    t.equal(KERNEL_STATES[row.state - 1], SS_STATES[expected.state], `state of ${inode}`)
    t.equal(row.rxQueue, expected.receiveQueue, `receive queue of ${inode}`)
    if (expected.state !== 'LISTEN') t.equal(row.txQueue, expected.sendQueue, `send queue of ${inode}`)
  }
})

t.test('both ends read as ss prints them', async (t) => {
  const ss = readSs()
  const rows = (['tcp', 'tcp6'] as const).flatMap((table) => readAll(TCP_LINES, readFixture(table)).rows)
  for (const { inode, local, remote, state } of rows) {
    if (KERNEL_STATES[state - 1] === 'LISTEN') continue
    const printed = ss.get(inode)!.ends.map((end) => end.replace(/^\[::ffff:([\d.]+)\]/, '$1'))
    t.same([local, remote].map(formatEndpoint), printed)
  }
})

t.test('knows a real header from other files', async (t) => {
  for (const [name, format, isIt] of [
    ['tcp', TCP_TABLE, true],
    ['tcp6', TCP_TABLE, true],
    ['unix', TCP_TABLE, false],
    ['unix', UNIX_TABLE, true],
    ['tcp', UNIX_TABLE, false],
  ] as const) {
    const { files, calls } = fileInPieces(readFixture(name), [format.header.length])
    const expected = isIt ? null : `${PATH} is not the table that was expected`
    t.equal(whyNoTable(PATH, format, files), expected)
    t.same(calls, { opened: 1, closed: 1, reads: 1 })
  }
})

t.test('reads unix sockets, and which of them listen', async (t) => {
  const { rows, malformedRows } = readAll(UNIX_TABLE, readFixture('unix'))
  t.equal(malformedRows, 0)
  t.equal(rows.length, 9)
  t.same(
    rows.filter((row) => row.isListening).map((row) => row.inode),
    [69840],
  )
})

t.test('rows that nobody wants are not read', async (t) => {
  const { files } = fileInPieces(readFixture('unix'))
  t.same([...readTable(PATH, UNIX_TABLE, false, new Set([69840]), files)].flat(), [
    { inode: 69840, isListening: true },
  ])
})

t.test('reads retransmissions and unanswered probes', async (t) => {
  const row =
    '   7: 0100007F:A151 0100007F:B387 01 00000010:00000000 01:00000A2B 0000000C  1000        3 68711 2 0 20 0 0 10 -1'
  t.match(readAll(TCP_TABLE, tableOf(row)).rows, [{ inode: 68711, retransmits: 12, probes: 3, txQueue: 16 }])
})

t.test('a queue that wrapped around is no queue of 4 GB', async (t) => {
  const row =
    '   7: 0100007F:A151 0100007F:B387 01 FFFFFFFF:80000000 00:00000000 00000000     0        0 68711 2 0'
  t.match(readAll(TCP_TABLE, tableOf(row)).rows, [{ txQueue: 0, rxQueue: 0 }])
})

t.test('columns shift from row 10,000 on, with a long uid, and with a wide timer', async (t) => {
  for (const name of ['tcp', 'tcp6'] as const) {
    const file = readFixture(name)
    const expected = [...rowsOf(file).values()]
    for (const first of [0, 9_990, 10_000, 1_234_567]) {
      const { rows, malformedRows } = readAll(TCP_TABLE, renumbered(file, first))
      t.same(rows, expected, `${name} from row ${first}`)
      t.equal(malformedRows, 0)
    }
    const wide = Buffer.from(
      file
        .toString('latin1')
        .replace(/( [0-9A-F]{8}) {5}0 {8}0 /g, '$1 4294967294        0 ')
        .replace(/:([0-9A-F]{8}) ([0-9A-F]{8}) 42/g, ':1$1 $2 42'),
      'latin1',
    )
    t.not(wide.length, file.length)
    t.same(readAll(TCP_TABLE, wide).rows, expected, `${name} with wide columns`)
  }
})

t.test('wherever the reads are cut, the rows are the same', async (t) => {
  const table = readFixture('tcp6')
  const expected = JSON.stringify(readAll(TCP_TABLE, table, [table.length]).rows)
  t.ok(expected.length > 1000)
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 3840, max: 4096 }), { maxLength: 4 }), (pieces) => {
      const { rows, malformedRows, calls } = readAll(TCP_TABLE, table, pieces)
      return JSON.stringify(rows) === expected && malformedRows === 0 && calls.closed === 1
    }),
  )
})

t.test('a read that leaves room for a row was the last: there is no empty read after it', async (t) => {
  const table = readFixture('tcp')
  const { calls } = readAll(TCP_TABLE, table)
  t.same(calls, { opened: 1, closed: 1, reads: Math.ceil(table.length / 4096) })
})

t.test('a table that ends at the end of a page takes an empty read', async (t) => {
  const { calls, malformedRows } = readAll(TCP_TABLE, readFixture('tcp').subarray(0, 150 * 27))
  t.equal(calls.reads, 2)
  t.equal(malformedRows, 0)
})

t.test('a table that breaks off in the middle of a row has one malformed row', async (t) => {
  const table = readFixture('tcp')
  t.equal(readAll(TCP_TABLE, table.subarray(0, table.length - 30)).malformedRows, 1)
})

t.test('a reader that has found what it looks for closes the file', async (t) => {
  const { files, calls } = fileInPieces(readFixture('tcp6'))
  for (const rows of readTable(PATH, TCP_TABLE, false, ALL, files)) if (rows.length > 0) break
  t.same(calls, { opened: 1, closed: 1, reads: 1 })
})

t.test(
  'another file, an empty one, one without lines, and an endless row are refused, and closed',
  async (t) => {
    const strangers = [
      readFixture('unix'),
      Buffer.alloc(0),
      Buffer.alloc(100_000, 32),
      Buffer.from('  sl  local_'),
      Buffer.concat([tableOf(''), Buffer.alloc(100_000, 32)]),
    ]
    for (const content of strangers) {
      const { files, calls } = fileInPieces(content)
      const message = `${PATH} is not the table that was expected`
      t.throws(() => [...readTable(PATH, TCP_TABLE, false, ALL, files)], { message })
      t.equal(calls.closed, 1)
    }
  },
)

t.test('a table that may lack has no rows when it does', async (t) => {
  const missing = () => [...readTable('/nonexistent', TCP_TABLE, false, ALL)]
  t.throws(missing, { code: 'ENOENT' })
  t.same([...readTable('/nonexistent', TCP_TABLE, true, ALL)], [])
})

t.test('a damaged row is counted, and its neighbours are read', async (t) => {
  const lines = readFixture('tcp').toString('latin1').split('\n')
  const damages: Array<(row: string) => string> = [
    () => '',
    () => 'garbage',
    (row) => row.replace(':', ' '),
    (row) => row.slice(0, 60),
    (row) => row.slice(0, 91),
    (row) => row.replace(/ 0A | 01 | 08 | 05 | 04 | 09 | 02 | 06 /, ' XY '),
    (row) => row.replace(/^( *\d+: .{27} .. ........):/, '$1;'),
    (row) => row.replace(/^(.{92}).*$/, '$1inode'),
    (row) => row.toLowerCase().replaceAll(' ', ''),
  ]
  const whole = readAll(TCP_TABLE, readFixture('tcp')).rows
  const damagedInode = readAll(TCP_TABLE, tableOf(lines[5]!)).rows[0]?.inode
  for (const [index, damage] of damages.entries()) {
    const damaged = lines.with(5, damage(lines[5]!)).join('\n')
    const { rows, malformedRows } = readAll(TCP_TABLE, Buffer.from(damaged, 'latin1'))
    t.equal(malformedRows, 1, `damage ${index}`)
    t.same(
      rows,
      whole.filter(({ inode }) => inode !== damagedInode),
      `damage ${index}`,
    )
  }
})

t.test('whatever is read: rows, or one error', async () => {
  const lineOfTable = fc.constantFrom(...readFixture('tcp').toString('latin1').split('\n').slice(1, -1))
  const line = fc.oneof(
    lineOfTable,
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc
      .tuple(lineOfTable, fc.nat(149), fc.string({ unit: 'binary', maxLength: 3 }))
      .map(([row, at, noise]) => row.slice(0, at) + noise + row.slice(at + 1)),
  )
  for (const format of [TCP_TABLE, UNIX_TABLE] as const) {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 20 }), fc.boolean(), (lines, hasHeader) => {
        const text = [...(hasHeader ? [format.header] : []), ...lines].map((each) => `${each}\n`).join('')
        try {
          const { rows } = readAll<object>(format, Buffer.from(text, 'latin1'))
          return rows.every((row) => Object.values(row).every((value) => !Number.isNaN(value)))
        } catch (error) {
          return !hasHeader && (error as Error).message.includes('not the table')
        }
      }),
      { numRuns: 500 },
    )
  }
})
