import fc from 'fast-check'
import t from 'tap'
import { kernelStateOf } from '../../src/kernel/kernel-state.js'
import {
  TCP_FORMAT,
  UNIX_FORMAT,
  type RowSink,
  type TableFormat,
  type TcpRow,
  type UnixRow,
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
const SS_TIMERS: Record<string, string> = {
  on: 'retransmit',
  keepalive: 'keep-alive',
  persist: 'zero-window',
}

class Collector<Row extends { readonly inode: number }> implements RowSink<Row> {
  readonly rows: Row[] = []
  readonly inodes: number[] = []
  malformedRows = 0
  wants(inode: number): boolean {
    this.inodes.push(inode)
    return inode !== 0
  }
  take(row: Row): void {
    this.rows.push(row)
  }
  malformed(): void {
    this.malformedRows += 1
  }
}

/** The rows of a whole file, header and all. */
function scan<Row extends { readonly inode: number }>(format: TableFormat<Row>, file: Uint8Array) {
  const sink = new Collector<Row>()
  const start = file.indexOf(10) + 1
  const rest = format.scan(file, start, file.length, sink)
  return { sink, rest }
}

function rowsOf(file: Uint8Array): Map<number, TcpRow> {
  return new Map(scan(TCP_FORMAT, file).sink.rows.map((row) => [row.inode, row]))
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
    t.equal(kernelStateOf(row.state), SS_STATES[expected.state], `state of ${inode}`)
    t.equal(row.rxQueue, expected.receiveQueue, `receive queue of ${inode}`)
    if (expected.state !== 'LISTEN') t.equal(row.txQueue, expected.sendQueue, `send queue of ${inode}`)
    t.equal(row.timer, expected.timer === null ? 'none' : SS_TIMERS[expected.timer], `timer of ${inode}`)
  }
})

t.test('knows a real header from other files', async (t) => {
  for (const name of ['tcp', 'tcp6'] as const) {
    const file = readFixture(name)
    t.ok(TCP_FORMAT.isHeader(file, file.length))
    t.notOk(UNIX_FORMAT.isHeader(file, file.length))
  }
  const unix = readFixture('unix')
  t.ok(UNIX_FORMAT.isHeader(unix, unix.length))
  t.notOk(TCP_FORMAT.isHeader(unix, unix.length))
  t.notOk(TCP_FORMAT.isHeader(Buffer.from('  sl'), 4))
})

t.test('reads unix sockets, and which of them listen', async (t) => {
  const { sink } = scan<UnixRow>(UNIX_FORMAT, readFixture('unix'))
  t.equal(sink.malformedRows, 0)
  t.equal(sink.rows.length, 9)
  t.same(
    sink.rows.filter((row) => row.isListening).map((row) => row.inode),
    [69840],
  )
})

t.test('reads retransmissions and unanswered probes', async (t) => {
  const row =
    '  sl\n   7: 0100007F:A151 0100007F:B387 01 00000010:00000000 01:00000A2B 0000000C  1000        3 68711 2 0 20 0 0 10 -1\n'
  t.match(scan(TCP_FORMAT, Buffer.from(row)).sink.rows, [
    { inode: 68711, timer: 'retransmit', retransmits: 12, probes: 3, txQueue: 16 },
  ])
})

t.test('a queue that wrapped around is no queue of 4 GB', async (t) => {
  const row =
    '  sl\n   7: 0100007F:A151 0100007F:B387 01 FFFFFFFF:80000000 00:00000000 00000000     0        0 68711 2 0\n'
  t.match(scan(TCP_FORMAT, Buffer.from(row)).sink.rows, [{ txQueue: 0, rxQueue: 0 }])
})

t.test('columns shift from row 10,000 on, with a long uid, and with a wide timer', async (t) => {
  for (const name of ['tcp', 'tcp6'] as const) {
    const file = readFixture(name)
    const expected = [...rowsOf(file).values()]
    for (const first of [0, 9_990, 10_000, 1_234_567]) {
      const { sink } = scan(TCP_FORMAT, renumbered(file, first))
      t.same(sink.rows, expected, `${name} from row ${first}`)
      t.equal(sink.malformedRows, 0)
    }
    const wide = Buffer.from(
      file
        .toString('latin1')
        .replace(/( [0-9A-F]{8}) {5}0 {8}0 /g, '$1 4294967294        0 ')
        .replace(/:([0-9A-F]{8}) ([0-9A-F]{8}) 42/g, ':1$1 $2 42'),
      'latin1',
    )
    t.not(wide.length, file.length)
    t.same(scan(TCP_FORMAT, wide).sink.rows, expected, `${name} with wide columns`)
  }
})

t.test('a row that is cut off anywhere waits for its rest', async () => {
  const file = readFixture('tcp6')
  const whole = scan(TCP_FORMAT, file).sink.rows
  fc.assert(
    fc.property(fc.integer({ min: file.indexOf(10) + 1, max: file.length }), (cut) => {
      const first = scan(TCP_FORMAT, file.subarray(0, cut))
      const second = new Collector<TcpRow>()
      const rest = TCP_FORMAT.scan(file, first.rest, file.length, second)
      return (
        rest === file.length &&
        first.sink.malformedRows + second.malformedRows === 0 &&
        JSON.stringify([...first.sink.rows, ...second.rows]) === JSON.stringify(whole)
      )
    }),
    { numRuns: 100 },
  )
})

t.test('bytes after the end are not read', async () => {
  const file = readFixture('tcp')
  const start = file.indexOf(10) + 1
  fc.assert(
    fc.property(fc.integer({ min: start, max: file.length - 1 }), (end) => {
      const seen = new Collector<TcpRow>()
      const seenAlone = new Collector<TcpRow>()
      const rest = TCP_FORMAT.scan(file, start, end, seen)
      const alone = file.subarray(0, end)
      return (
        rest === TCP_FORMAT.scan(alone, start, end, seenAlone) &&
        JSON.stringify(seen.rows) === JSON.stringify(seenAlone.rows)
      )
    }),
    { numRuns: 100 },
  )
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
  for (const [index, damage] of damages.entries()) {
    const damaged = lines.with(5, damage(lines[5]!)).join('\n')
    const { sink } = scan(TCP_FORMAT, Buffer.from(damaged, 'latin1'))
    t.equal(sink.malformedRows, 1, `damage ${index}`)
    t.equal(
      sink.inodes.length,
      lines.length - 3,
      `damage ${index}: the header, the damage and the end are no rows`,
    )
  }
})

t.test('whatever the bytes are: never throws, every line is a row or malformed', async () => {
  const lineOfTable = fc.constantFrom(...readFixture('tcp').toString('latin1').split('\n').slice(1, -1))
  const line = fc.oneof(
    lineOfTable,
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc
      .tuple(lineOfTable, fc.nat(149), fc.string({ unit: 'binary', maxLength: 3 }))
      .map(([row, at, noise]) => row.slice(0, at) + noise + row.slice(at + 1)),
  )
  for (const format of [TCP_FORMAT, UNIX_FORMAT] as const) {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 20 }), (lines) => {
        const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(''), 'latin1')
        const sink = new Collector<TcpRow & UnixRow>()
        const rest = (format as TableFormat<TcpRow & UnixRow>).scan(bytes, 0, bytes.length, sink)
        const newlines = bytes.filter((byte) => byte === 10).length
        const inRow = sink.rows.every((row) => Object.values(row).every((value) => value !== -1))
        return (
          rest === bytes.lastIndexOf(10) + 1 &&
          inRow &&
          sink.malformedRows <= newlines &&
          sink.inodes.length + sink.malformedRows >= newlines
        )
      }),
      { numRuns: 500 },
    )
  }
})
