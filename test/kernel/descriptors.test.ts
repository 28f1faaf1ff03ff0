import { spawnSync } from 'node:child_process'
import {
  closeSync,
  fstatSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createSocket } from 'node:dgram'
import { createServer, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { countDescriptors, DescriptorWalk, readSoftLimit } from '../../src/kernel/descriptors.js'
import { OrphanSearch, type OrphanReport } from '../../src/kernel/orphans.js'
import { connectPair, fdOf, targetOf } from './connected-pair.js'
import { packageRoot } from './proc-fixtures.js'

function inodeOf(socket: object): number {
  return fstatSync(fdOf(socket)).ino
}

function search(tracked: Iterable<number>, directory?: string): OrphanReport | null {
  const orphans = new OrphanSearch(new Set(tracked), directory === undefined ? {} : { directory })
  while (!orphans.advance(0));
  return orphans.report
}

t.test('counts open descriptors and knows the soft limit', async (t) => {
  const before = countDescriptors()
  const fds = Array.from({ length: 10 }, () => openSync('/dev/null', 'r'))
  t.equal(countDescriptors()!.open, before!.open + 10)
  t.equal(before!.open, readdirSync('/proc/self/fd').length - 1 - 10)
  for (const fd of fds) closeSync(fd)
  t.ok((before!.softLimit ?? 0) >= before!.open)
})

t.test('the limit is the one that ulimit sets', async (t) => {
  const module = join(packageRoot(import.meta.dirname), 'build/src/kernel/descriptors.js')
  const code = `import('${module}').then((d) => console.log(d.readSoftLimit()))`
  const script = 'ulimit -n 777 && exec "$0" -e "$1"'
  const child = spawnSync('/bin/sh', ['-c', script, process.execPath, code], { encoding: 'utf8' })
  t.equal(child.stdout.trim(), '777')
})

t.test('elsewhere there is nothing to count', async (t) => {
  t.equal(countDescriptors('/nonexistent'), null)
  t.equal(readSoftLimit('/nonexistent'), null)
  t.equal(search([], '/nonexistent'), null)
})

t.test('an older kernel has no size for the directory: it is listed', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'slg-proc-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  symlinkSync('/proc/self/ns', join(directory, 'fd')) // any directory of procfs but fd
  t.equal(statSync(join(directory, 'fd')).size, 0)
  t.same(countDescriptors(directory), { open: readdirSync('/proc/self/ns').length - 1, softLimit: null })
})

t.test('a limit may be unlimited', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'slg-proc-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  mkdirSync(join(directory, 'fd'))
  for (const fd of [0, 1, 2, 3]) symlinkSync('/dev/null', join(directory, 'fd', String(fd)))
  writeFileSync(
    join(directory, 'limits'),
    'Max open files            unlimited            unlimited            files\n',
  )
  const walk = new DescriptorWalk(directory)
  while (!walk.read());
  t.equal(walk.open, 3, 'without the descriptor that lists')
  t.equal(countDescriptors(directory)?.softLimit, null)
})

t.test('finds the sockets among the descriptors', async (t) => {
  const pair = await connectPair(t)
  const walk = new DescriptorWalk()
  while (!walk.read());
  t.equal(walk.open, countDescriptors()!.open)
  t.equal(walk.sockets.get(inodeOf(pair.server)), fdOf(pair.server))
  t.equal(walk.sockets.get(inodeOf(pair.listener)), fdOf(pair.listener))
  t.ok(walk.socketDescriptors >= 3 && walk.socketDescriptors < walk.open)
})

t.test('orphans are the sockets that nobody tracks, listeners excepted', async (t) => {
  const path = join(tmpdir(), `slg-orphans-${process.pid}.sock`)
  const unixServer = createServer().listen(path)
  await new Promise((resolve) => unixServer.once('listening', resolve))
  const unixClient = connect(path)
  await new Promise((resolve) => unixClient.once('connect', resolve))
  const before = search([])!
  const known = [...new Set(before.orphans.map(({ inode }) => inode))]

  const pair = await connectPair(t, { pauseOnConnect: true }, '::')
  const dead = await connectPair(t, { pauseOnConnect: true })
  const udp = createSocket('udp4').bind(0, '127.0.0.1')
  await new Promise((resolve) => udp.once('listening', resolve))
  dead.client.resetAndDestroy()
  await new Promise((resolve) => dead.client.once('close', resolve))

  const report = search([...known, inodeOf(pair.client)])!
  t.equal(report.listeners, before.listeners + 2)
  t.ok(before.orphans.some(({ inode, kind }) => inode === inodeOf(unixClient) && kind === 'unix'))
  t.ok(before.listeners >= 1, 'the unix listener')
  t.same(
    report.orphans.filter(({ kind }) => kind === 'tcp'),
    [{ kind: 'tcp', state: 'ESTABLISHED', fd: fdOf(pair.server), inode: inodeOf(pair.server) }],
  )
  const others = report.orphans.filter(({ kind }) => kind === 'other').map(({ inode }) => inode)
  t.ok(others.includes(inodeOf(dead.server)), 'a connection that the kernel has closed is in no table')
  t.equal(others.length, 2, 'that one and the UDP socket')
  t.equal(report.openDescriptors, countDescriptors()!.open)
  t.equal(report.softLimit, readSoftLimit())

  udp.close()
  unixClient.destroy()
  unixServer.close()
})

t.test('when everything is tracked no table is read', async (t) => {
  const walk = new DescriptorWalk()
  while (!walk.read());
  const directory = mkdtempSync(join(tmpdir(), 'slg-proc-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  symlinkSync('/proc/self/fd', join(directory, 'fd'))
  cpSync('/proc/self/limits', join(directory, 'limits'))
  // there is no net directory here, which would end the search without a report
  t.equal(search([], directory), null)
  t.same(search(walk.sockets.keys(), directory)?.orphans, [])
})

t.test('a search that is given up leaves no descriptor behind', async (t) => {
  const before = countDescriptors()!.open
  const started = new OrphanSearch(new Set())
  started.advance(0)
  started.close()
  t.equal(countDescriptors()!.open, before)
  t.ok(started.advance(0))
  t.equal(started.report, null)
})

t.test('a target knows its descriptor only as long as there is one', async (t) => {
  const pair = await connectPair(t)
  const target = targetOf(pair.server)
  t.ok(target.fd() > 0)
  pair.server.destroy()
  t.equal(target.fd(), -1)
})
