/** Saved reports: when asked for, at many leaks, without descriptors, and on a signal. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { install, type Guard, type IncidentOptions, type Report } from '../../src/index.js'
import { closeAfter } from '../support/close-after.js'
import { meet } from '../support/events.js'
import { CLI, INDEX_URL } from '../support/package-root.js'
import { Peer } from '../support/peer.js'
import { cleanEnvironment, runNode } from '../support/run-node.js'
import { until } from '../support/until.js'

const peer = new Peer()
t.teardown(() => peer.kill())

/** With so many leaks. */
async function leaky(t: Test, count: number, incident: IncidentOptions | null): Promise<Guard> {
  const guard = install({ graceMs: 100, sweepMs: 20, incident })
  t.teardown(() => guard.uninstall())
  const server = closeAfter(t, net.createServer({ allowHalfOpen: true }))
  for (let i = 0; i < count; i += 1) {
    const { socket, connection } = await meet(peer, server)
    const ended = once(socket.resume(), 'end')
    connection.do({ do: 'end' })
    await ended
  }
  return guard
}

function readReport(path: string): Report {
  return JSON.parse(readFileSync(path, 'utf8')) as Report
}

function filesIn(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.endsWith('.json'))
}

t.test('saveReport() writes a file for its owner, which explain shows', async (t) => {
  const guard = await leaky(t, 1, null)
  await until(() => guard.snapshot().totals.leaked === 1, 'it leaks')
  const folder = t.testdir({})
  const path = join(folder, 'report.json')
  writeFileSync(path, 'an earlier one', { mode: 0o644 })
  t.equal(await guard.saveReport(path), path)
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.match(readReport(path), { totals: { leaked: 1 }, sockets: [{ verdict: 'leaked' }] })
  t.same(readdirSync(folder), ['report.json'], 'nothing else is left')
  const { code, stdout } = await runNode([CLI, 'explain', path], { isBare: true })
  t.equal(code, 0)
  t.match(stdout, '1 leaked')
  await t.rejects(guard.saveReport(join(path, 'below')), { code: 'SLG_ERR_SAVE_REPORT', message: 'ENOTDIR' })
})

t.test('saves of one file at the same time do not spoil each other', async (t) => {
  const guard = await leaky(t, 1, null)
  const folder = t.testdir({})
  const path = join(folder, 'report.json')
  await Promise.all(
    [1, 2, 3].map(async () => {
      await guard.saveReport(path)
      t.match(readReport(path), { process: { pid: process.pid } }, 'it is whole')
    }),
  )
  t.same(readdirSync(folder), ['report.json'])
})

t.test('by itself at so many leaks, once', async (t) => {
  const folder = t.testdir({})
  await leaky(t, 2, { dir: folder, atLeaked: 2 })
  await until(() => filesIn(folder).length > 0, 'a file is there')
  const [file = ''] = filesIn(folder)
  t.match(file, new RegExp(`^socket-leak-guard-${process.pid}-[\\dTZ-]+-leaked\\.json$`))
  t.equal(readReport(join(folder, file)).totals.leaked, 2)
  t.equal(statSync(join(folder, file)).mode & 0o777, 0o600)
})

t.test('on a signal; uninstall() gives the signal back', async (t) => {
  const folder = t.testdir({})
  const before = process.listenerCount('SIGUSR2')
  const guard = await leaky(t, 0, { dir: folder, signal: 'SIGUSR2', redact: true })
  await until(() => process.listenerCount('SIGUSR2') > before, 'it listens')
  process.kill(process.pid, 'SIGUSR2')
  await until(() => filesIn(folder).length === 1, 'a file is there')
  t.match(filesIn(folder), [/-signal\.json$/])
  guard.uninstall()
  t.equal(process.listenerCount('SIGUSR2'), before)
})

t.test('a folder that is not there is one warning', async (t) => {
  const folder = join(t.testdir({}), 'missing')
  const warned = once(process, 'warning')
  await leaky(t, 1, { dir: folder, atLeaked: 1 })
  const [warning] = (await warned) as [Error & { code: string }]
  t.equal(warning.code, 'SLG_ERR_SAVE_REPORT')
  t.match(warning.message, /the report can't be saved: ENOENT/)
})

t.test('when no descriptor is left', async (t) => {
  const folder = t.testdir({})
  const program = `
    import net from 'node:net'
    import { install } from ${JSON.stringify(INDEX_URL)}
    install({ incident: { dir: ${JSON.stringify(folder)}, atLeaked: null } })
    // Once it is loaded, all descriptors are taken in one go.
    setTimeout(() => {
      const fs = process.getBuiltinModule('node:fs')
      try { for (;;) fs.openSync('/dev/null') } catch ({ code }) { console.log(code) }
      setInterval(() => {}, 1000)
    }, 500)`
  const file = join(t.testdir({ 'program.mjs': program }), 'program.mjs')
  const child = spawn('bash', ['-c', 'ulimit -n 200; exec "$0" "$1"', process.execPath, file], {
    env: cleanEnvironment(),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const [told] = (await once(child.stdout, 'data')) as [Buffer]
  t.equal(String(told).trim(), 'EMFILE')
  await until(() => filesIn(folder).length === 1, 'a file is there')
  t.match(filesIn(folder), [/-descriptors\.json$/])
  const { descriptors } = readReport(join(folder, filesIn(folder)[0]!))
  t.equal(descriptors.descriptorLimit, 200)
  t.ok(existsSync(folder))
})

for (const [how, end, code] of [
  ['exits', 'process.exit(7)', 7],
  ['dies of an error', "throw new Error('the end')", 1],
] as const)
  t.test(`the process ${how} right after the signal: the file is whole`, async (t) => {
    const program = `
      import { install } from ${JSON.stringify(INDEX_URL)}
      install({ incident: { dir: process.argv[2], signal: 'SIGUSR2' } })
      const timer = setInterval(() => {
        if (process.listenerCount('SIGUSR2') === 0) return
        clearInterval(timer)
        process.on('SIGUSR2', () => { ${end} })
        process.kill(process.pid, 'SIGUSR2')
        setInterval(() => {}, 1000)
      }, 1)`
    const root = t.testdir({ 'program.mjs': program, saved: {} })
    const folder = join(root, 'saved')
    const secrets = { args: ['argument-zq9'], env: { PASSWORD: 'environment-zq9' } }
    const args = [join(root, 'program.mjs'), folder, ...secrets.args]
    t.match(await runNode(args, { isBare: true, env: secrets.env }), { code })
    t.match(filesIn(folder), [/-signal\.json$/])
    t.equal(readdirSync(folder).length, 1, 'nothing else is left')
    const file = join(folder, filesIn(folder)[0]!)
    t.match(readReport(file), { totals: { leaked: 0 }, nextAfter: null })
    t.notMatch(readFileSync(file, 'utf8'), 'zq9', 'neither arguments nor the environment')
  })

t.test('a redacted file of a real leak names nobody', async (t) => {
  const guard = await leaky(t, 1, null)
  await until(() => guard.snapshot().totals.leaked === 1, 'it leaks')
  const { address, port } = guard.snapshot().sockets[0]!.remote!
  t.equal(address, '127.0.0.1')
  const socket = guard.adapter.socketOf(guard.snapshot().sockets[0]!.id)!
  guard.label(socket, 'tenant-of-mine')
  const path = join(t.testdir({}), 'report.json')
  await guard.saveReport(path, { redact: true })
  t.notMatch(readFileSync(path, 'utf8'), /tenant/)
  const [shown] = readReport(path).sockets
  t.match(shown, { remote: { address, port }, owner: { label: 'label-1' }, diagnosis: '"label-1"' })
})
