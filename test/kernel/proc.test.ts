import t from 'tap'
import type { ProbeTarget } from '../../src/kernel/probe.js'
import { createProcProbe, whyNoProc } from '../../src/kernel/proc.js'
import { FakeProc, TCP_HEADER, tcpRow, unixRow } from './fake-proc.js'

function targetAt(fd: number): ProbeTarget & { at: number } {
  return { at: fd, inode: 0, fd: fdOfTarget }
}

function fdOfTarget(this: { at: number }): number {
  return this.at
}

/** A clock that stands still unless it is moved. */
function stoppedClock() {
  const clock = { nowMs: 0 }
  return { clock, now: () => clock.nowMs }
}

t.test('no target: no call of any kind', async (t) => {
  const files = new FakeProc()
  const probe = createProcProbe({ files })
  const run = probe.ask([])
  t.ok(run.advance(Infinity))
  t.same(run.samples, [])
  t.same([files.opened.length, files.reads, files.stats], [0, 0, 0])
  t.equal(probe.restMs(), 0)
})

t.test('targets without a socket cost no reading of tables', async (t) => {
  const files = new FakeProc()
  files.inodes.set(5, 0)
  const run = createProcProbe({ files }).ask([targetAt(-1), targetAt(5), targetAt(6)])
  t.ok(run.advance(Infinity))
  t.same(run.samples, [null, null, null])
  t.same(files.opened, [])
})

t.test('finds sockets in both tables, in the order of the targets', async (t) => {
  const files = new FakeProc()
  files.tables.set('tcp6', TCP_HEADER + tcpRow(0, '06') + tcpRow(11, '08', '00000005:00000021'))
  files.tables.set('tcp', TCP_HEADER + tcpRow(12, '05') + tcpRow(13, '0A', '00000000:00000003'))
  for (const inode of [11, 12, 13]) files.inodes.set(inode, inode)
  const run = createProcProbe({ files }).ask([targetAt(13), targetAt(12), targetAt(11)])
  t.ok(run.advance(Infinity))
  t.match(run.samples, [
    { state: 'LISTEN', peerEnded: null, unreadBytes: null, unsentBytes: null },
    { state: 'FIN_WAIT2', peerEnded: false, unreadBytes: 0, unsentBytes: 0 },
    { state: 'CLOSE_WAIT', peerEnded: true, unreadBytes: 32, unsentBytes: 5 },
  ])
  t.equal(files.openTables, 0)
})

t.test('FIN and SYN are not counted as bytes', async (t) => {
  const cases: Array<[state: string, queues: string, unread: number, unsent: number]> = [
    ['01', '00000001:00000001', 1, 1],
    ['02', '00000001:00000000', 0, 0],
    ['04', '00000001:00000007', 7, 0],
    ['05', '00000000:00000007', 7, 0],
    ['08', '00000003:00000001', 0, 3],
    ['08', '00000000:00000000', 0, 0],
    ['09', '00000002:00000001', 0, 1],
    ['0B', '00000001:00000001', 0, 0],
  ]
  for (const [state, queues, unreadBytes, unsentBytes] of cases) {
    const files = new FakeProc()
    files.inodes.set(5, 77)
    files.tables.set('tcp', TCP_HEADER + tcpRow(77, state, queues))
    const run = createProcProbe({ files }).ask([targetAt(5)])
    run.advance(Infinity)
    t.match(run.samples, [{ unreadBytes, unsentBytes }], `state ${state}, queues ${queues}`)
  }
})

t.test('a state without a name is told as unknown', async (t) => {
  const files = new FakeProc()
  files.inodes.set(5, 77)
  files.tables.set('tcp', TCP_HEADER + tcpRow(77, '0E', '00000001:00000001'))
  const run = createProcProbe({ files }).ask([targetAt(5)])
  run.advance(Infinity)
  t.match(run.samples, [{ state: null, peerEnded: null, unreadBytes: null, unsentBytes: null }])
})

t.test('stops reading when everybody was found', async (t) => {
  const files = new FakeProc()
  files.inodes.set(5, 77)
  files.tables.set('tcp6', TCP_HEADER + tcpRow(77, '08') + tcpRow(78, '01').repeat(1000))
  const run = createProcProbe({ files }).ask([targetAt(5)])
  t.ok(run.advance(Infinity))
  t.match(run.samples, [{ state: 'CLOSE_WAIT' }])
  t.same(files.opened, ['tcp6'])
  t.equal(files.reads, 1)
  t.equal(files.openTables, 0)
})

t.test('the table that answered last is read first', async (t) => {
  const files = new FakeProc()
  files.inodes.set(5, 77)
  files.inodes.set(6, 78)
  files.tables.set('tcp6', TCP_HEADER + tcpRow(78, '05'))
  files.tables.set('tcp', TCP_HEADER + tcpRow(77, '08'))
  const probe = createProcProbe({ files })
  for (const [fd, state, opened] of [
    [5, 'CLOSE_WAIT', ['tcp6', 'tcp']],
    [5, 'CLOSE_WAIT', ['tcp']],
    [6, 'FIN_WAIT2', ['tcp', 'tcp6']],
    [6, 'FIN_WAIT2', ['tcp6']],
  ] as const) {
    files.opened.length = 0
    const run = probe.ask([targetAt(fd)])
    t.ok(run.advance(Infinity))
    t.match(run.samples, [{ state }])
    t.same(files.opened, opened)
  }
})

t.test('every table begins in a slice of its own', async (t) => {
  const { now } = stoppedClock()
  const files = new FakeProc()
  files.inodes.set(5, 77)
  const run = createProcProbe({ files, now }).ask([targetAt(5)])
  const opened: number[] = []
  while (!run.advance(1000)) opened.push(files.opened.length)
  t.same(opened, [0, 1, 2, 2])
  t.match(run.samples, [{ state: 'CLOSE' }])
})

t.test('the budget cuts the work into slices, and every slice gets on', async (t) => {
  const { clock, now } = stoppedClock()
  const files = new FakeProc()
  files.inodes.set(5, 77)
  files.tables.set('tcp6', TCP_HEADER + tcpRow(78, '01').repeat(1000))
  files.tables.set('tcp', TCP_HEADER + tcpRow(77, '08'))
  files.afterRead = () => (clock.nowMs += 1)
  const run = createProcProbe({ files, now }).ask([targetAt(5)])
  let slices = 1
  while (!run.advance(3)) {
    slices += 1
    t.ok(files.reads <= slices * 3)
  }
  t.match(run.samples, [{ state: 'CLOSE_WAIT' }])
  t.ok(slices > 5)
  t.ok(run.advance(3), 'a run that is over stays over')
})

t.test('every slice of no budget does a step', async (t) => {
  const { now } = stoppedClock()
  const files = new FakeProc()
  files.inodes.set(5, 77)
  files.tables.set('tcp', TCP_HEADER + tcpRow(77, '08'))
  const run = createProcProbe({ files, now }).ask([targetAt(5)])
  let slices = 1
  while (!run.advance(0)) slices += 1
  t.match(run.samples, [{ state: 'CLOSE_WAIT' }])
  t.ok(slices < 10)
})

t.test('absent from all tables is told as CLOSE, a unix socket as nothing', async (t) => {
  const files = new FakeProc()
  files.tables.set('tcp', TCP_HEADER + tcpRow(11, '01'))
  files.tables.set('unix', files.tables.get('unix')! + unixRow(13))
  for (const inode of [11, 12, 13]) files.inodes.set(inode, inode)
  const run = createProcProbe({ files }).ask([11, 12, 13].map(targetAt))
  t.ok(run.advance(Infinity))
  t.match(run.samples, [{ state: 'ESTABLISHED' }, { state: 'CLOSE', peerEnded: null, unsentBytes: 0 }, null])
  t.same(files.opened, ['tcp6', 'tcp', 'unix'])
})

t.test('two descriptors of one socket get the same answer', async (t) => {
  const files = new FakeProc()
  files.tables.set('tcp', TCP_HEADER + tcpRow(11, '08'))
  for (const [fd, inode] of Object.entries({ 5: 11, 6: 11, 7: 12, 8: 12 }))
    files.inodes.set(Number(fd), inode)
  const run = createProcProbe({ files }).ask([5, 6, 7, 8].map(targetAt))
  run.advance(Infinity)
  t.same(
    run.samples.map((sample) => sample?.state),
    ['CLOSE_WAIT', 'CLOSE_WAIT', 'CLOSE', 'CLOSE'],
  )
})

t.test('a row that cannot be read makes absence prove nothing', async (t) => {
  const files = new FakeProc()
  files.tables.set('tcp', TCP_HEADER + tcpRow(11, '08') + tcpRow(12, 'XX'))
  for (const inode of [11, 12]) files.inodes.set(inode, inode)
  const probe = createProcProbe({ files })
  const run = probe.ask([11, 12].map(targetAt))
  t.ok(run.advance(Infinity))
  t.match(run.samples, [{ state: 'CLOSE_WAIT' }, null])
})

t.test('a descriptor that is closed between two slices gets no answer', async (t) => {
  const files = new FakeProc()
  files.tables.set('tcp6', TCP_HEADER + tcpRow(11, '08'))
  for (const inode of [11, 12]) files.inodes.set(inode, inode)
  const targets = [11, 12].map(targetAt)
  files.afterRead = () => {
    for (const target of targets) target.at = -1
  }
  const run = createProcProbe({ files }).ask(targets)
  t.ok(run.advance(Infinity))
  t.same(run.samples, [null, null])
})

t.test('a descriptor that became another socket is not answered for either of them', async (t) => {
  const files = new FakeProc()
  files.tables.set('tcp6', TCP_HEADER + tcpRow(11, '08') + tcpRow(21, '01'))
  for (const inode of [11, 12]) files.inodes.set(inode, inode)
  const targets = [11, 12].map(targetAt)
  const probe = createProcProbe({ files })
  files.afterRead = () => {
    files.inodes.set(11, 21)
    files.inodes.set(12, 22)
  }
  const run = probe.ask(targets)
  t.ok(run.advance(Infinity))
  t.same(run.samples, [null, null])

  const second = probe.ask(targets)
  t.ok(second.advance(Infinity))
  t.match(
    second.samples,
    [{ state: 'ESTABLISHED' }, { state: 'CLOSE' }],
    'the next question is about the new ones',
  )
})

t.test('the inode is asked for once when found, and again to verify', async (t) => {
  const files = new FakeProc()
  files.inodes.set(5, 77)
  files.tables.set('tcp', TCP_HEADER + tcpRow(77, '08'))
  const target = targetAt(5)
  const probe = createProcProbe({ files })
  probe.ask([target]).advance(Infinity)
  t.equal(target.inode, 77)
  t.equal(files.stats, 2)
  probe.ask([target]).advance(Infinity)
  t.equal(files.stats, 3)
})

t.test('a new question ends an unfinished one and gives its descriptor back', async (t) => {
  const { now } = stoppedClock()
  const files = new FakeProc()
  files.inodes.set(5, 77)
  files.tables.set('tcp6', TCP_HEADER + tcpRow(77, '08') + tcpRow(78, '01').repeat(100))
  files.inodes.set(6, 99)
  const probe = createProcProbe({ files, now })
  const first = probe.ask([5, 6].map(targetAt))
  while (files.reads === 0) first.advance(0)
  t.equal(files.openTables, 1)
  const second = probe.ask([5, 6].map(targetAt))
  t.equal(files.openTables, 0)
  t.ok(first.advance(0))
  t.same(first.samples, [null, null])
  while (files.openTables === 0) second.advance(0)
  probe.close()
  t.equal(files.openTables, 0)
  t.ok(second.advance(0))
})

t.test('half an answer is none', async (t) => {
  const { now } = stoppedClock()
  const files = new FakeProc()
  const fds = Array.from({ length: 100 }, (_, index) => index + 10)
  for (const fd of fds) files.inodes.set(fd, fd)
  files.tables.set('tcp6', TCP_HEADER + fds.map((fd) => tcpRow(fd, '08')).join(''))
  const probe = createProcProbe({ files, now })
  const run = probe.ask(fds.map(targetAt))
  while (!run.samples.some((sample) => sample !== null)) run.advance(0)
  t.ok(run.samples.some((sample) => sample === null))
  probe.close()
  t.ok(run.samples.every((sample) => sample === null))
})

t.test('a kernel without IPv6 has no tcp6', async (t) => {
  const files = new FakeProc()
  files.tables.delete('tcp6')
  files.tables.delete('unix')
  for (const inode of [11, 12]) files.inodes.set(inode, inode)
  files.tables.set('tcp', TCP_HEADER + tcpRow(11, '08'))
  const run = createProcProbe({ files }).ask([11, 12].map(targetAt))
  run.advance(Infinity)
  t.match(run.samples, [{ state: 'CLOSE_WAIT' }, { state: 'CLOSE' }])
})

t.test('no descriptors left: no answer this time, but the probe is not broken', async (t) => {
  for (const code of ['EMFILE', 'ENFILE', 'ENOMEM']) {
    const files = new FakeProc()
    files.inodes.set(5, 77)
    files.tables.set('tcp', TCP_HEADER + tcpRow(77, '08'))
    files.failures.set('tcp', code)
    const probe = createProcProbe({ files })
    const run = probe.ask([targetAt(5)])
    t.ok(run.advance(Infinity))
    t.same(run.samples, [null], code)
    files.failures.clear()
    const again = probe.ask([targetAt(5)])
    t.ok(again.advance(Infinity))
    t.match(again.samples, [{ state: 'CLOSE_WAIT' }])
  }
})

t.test('throws when the tables cannot be read, and leaves nothing open', async (t) => {
  const breakages: Array<(files: FakeProc) => void> = [
    (files) => files.tables.delete('tcp'),
    (files) => files.failures.set('tcp6', 'EACCES'),
    (files) => files.failures.set('readSync', 'EIO'),
    (files) => files.tables.set('tcp6', 'something else\n'),
  ]
  for (const breakIt of breakages) {
    const files = new FakeProc()
    files.inodes.set(5, 77)
    breakIt(files)
    const run = createProcProbe({ files }).ask([targetAt(5)])
    t.throws(() => run.advance(Infinity))
    t.equal(files.openTables, 0)
    t.same(run.samples, [null])
  }
})

t.test('rests for a hundred times what the last question took', async (t) => {
  const { clock, now } = stoppedClock()
  const files = new FakeProc()
  files.inodes.set(5, 77)
  files.tables.set('tcp', TCP_HEADER + tcpRow(77, '08'))
  files.afterRead = () => (clock.nowMs += 4)
  const probe = createProcProbe({ files, now })
  t.equal(probe.restMs(), 0)
  const run = probe.ask([targetAt(5)])
  while (!run.advance(1)) clock.nowMs += 50
  t.equal(probe.restMs(), 800, 'two reads of 4 ms; the pause between them was not ours')
  clock.nowMs += 300
  t.equal(probe.restMs(), 500)
  clock.nowMs += 5000
  t.equal(probe.restMs(), 0)
})

t.test('says why it cannot work', async (t) => {
  const files = new FakeProc()
  t.equal(whyNoProc({ files }), null)
  t.equal(files.openTables, 0)
  files.failures.set('tcp', 'EACCES')
  t.equal(whyNoProc({ files }), "can't read /proc/self/net/tcp: EACCES")
  files.failures.set('tcp', 'EMFILE')
  t.equal(whyNoProc({ files }), null, 'a shortage passes')
  files.failures.clear()
  files.tables.set('tcp', 'hello\n')
  t.equal(whyNoProc({ files }), '/proc/self/net/tcp is not the table that was expected')
  t.match(whyNoProc({ directory: '/nonexistent' }), /^can't read \/nonexistent\/tcp: ENOENT/)
})
