/** `report` asks a guard that runs; `explain` shows what it said, offline. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import type { FleetReport } from '../../src/fleet/index.js'
import { install, type Guard } from '../../src/index.js'
import { LEAKY } from '../report/sample-reports.js'
import { closeAfter } from '../support/close-after.js'
import { meet } from '../support/events.js'
import { CLI } from '../support/package-root.js'
import { Peer } from '../support/peer.js'
import { cleanEnvironment, runNode, type Outcome, type RunOptions } from '../support/run-node.js'
import { shortFolder } from '../support/short-folder.js'
import { until } from '../support/until.js'

const peer = new Peer()
t.teardown(() => peer.kill())

function run(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return runNode([CLI, ...args], { isBare: true, ...options })
}

/** With one leak. */
async function leaky(t: Test, report: string, reportToken: string | null = null): Promise<Guard> {
  const guard = install({ graceMs: 100, sweepMs: 20, report, reportToken })
  t.teardown(() => guard.uninstall())
  const server = closeAfter(t, net.createServer({ allowHalfOpen: true }))
  const { socket, connection } = await meet(peer, server)
  const ended = once(socket.resume(), 'end')
  connection.do({ do: 'end' })
  await ended
  await until(() => guard.snapshot().totals.leaked === 1, 'it leaks')
  return guard
}

t.test('report over TCP', async (t) => {
  const guard = await leaky(t, '127.0.0.1:0')
  const { url } = (await guard.listening)!
  const plain = await run(['report', url])
  t.equal(plain.code, 0)
  t.match(plain.stdout, /^socket-leak-guard: 1 leaked, 0 suspect of \d+ sockets? tracked\.$/m)
  const port = new URL(url).port
  t.match(await run(['report', port, '--max-leaked', '1']), { code: 0, stdout: '1 leaked' })
  t.match(await run(['report', `localhost:${port}`, '--max-leaked=0']), { code: 1, stdout: '1 leaked' })
  const { code, stdout } = await run(['report', url, '--json', '--all', '--max-leaked', '0'])
  t.equal(code, 1)
  t.match(JSON.parse(stdout), { totals: { leaked: 1 }, sockets: [{ verdict: 'leaked' }] })
})

t.test('report over a Unix socket, with a token', async (t) => {
  const path = join(shortFolder(t), 'report.sock')
  await (
    await leaky(t, `unix:${path}`, 'correct-horse')
  ).listening
  const refused = await run(['report', `unix:${path}`])
  t.equal(refused.code, 3)
  t.match(refused.stderr, '401 This report needs a bearer token')
  t.match(await run(['report', `unix:${path}`, '--token', 'correct-horse']), { code: 0, stdout: '1 leaked' })
  const env = { SOCKET_LEAK_GUARD_REPORT_TOKEN: 'correct-horse' }
  t.match(await run(['report', `unix:${path}`], { env }), { code: 0, stdout: '1 leaked' })
})

t.test('report over the folder of a fleet', async (t) => {
  const folder = shortFolder(t)
  writeFileSync(join(folder, 'no-socket.sock'), 'a file')
  t.match(await run(['report', folder]), { code: 3, stderr: `no process has its report in ${folder}` })
  const listen = async (name: string, status: number, body: string): Promise<void> => {
    const server = closeAfter(
      t,
      http.createServer((_request, response) => response.writeHead(status).end(body)),
    )
    await once(server.listen(join(folder, name)), 'listening')
  }
  const dying =
    'require("net").createServer().listen("dead.sock", () => process.kill(process.pid, "SIGKILL"))'
  spawnSync(process.execPath, ['--eval', dying], { cwd: folder, env: cleanEnvironment() })
  t.match(readdirSync(folder), ['dead.sock', 'no-socket.sock'])
  t.match(await run(['report', folder]), { code: 3, stderr: 'no process has its report' })

  await listen('dumb.sock', 500, '')
  const silent = await run(['report', folder])
  t.match(silent, { code: 3, stdout: '', stderr: 'dumb.sock: it answered with status 500' })
  await (
    await leaky(t, `unix:${folder}/%p.sock`)
  ).listening
  await listen('other.sock', 200, JSON.stringify(LEAKY))
  const sum = LEAKY.totals.leaked + 1
  const { code, stdout } = await run([
    'report',
    `unix:${folder}/`,
    '--max-leaked',
    String(LEAKY.totals.leaked),
  ])
  t.equal(code, 1, 'the sum is what counts')
  t.match(stdout, new RegExp(`^socket-leak-guard: ${sum} leaked, .* in 2 of 3 processes\\.$`, 'm'))
  t.match(stdout, new RegExp(`^${process.pid} +1 `, 'm'))
  t.match(stdout, /^dumb +it answered with status 500$/m)
  t.notMatch(stdout, /^(?:dead|no-socket) /m)

  const unsure = await run(['report', folder, '--json', '--limit', '2', '--max-leaked', String(sum)])
  t.match(unsure, { code: 3, stderr: '1 of 3 processes did not tell: dumb, it answered with status 500' })
  const fleet = JSON.parse(unsure.stdout) as FleetReport
  t.match(fleet, {
    totals: { leaked: sum },
    processes: [{ process: 'other' }, { pid: process.pid }, { process: 'dumb' }],
  })
  t.equal(fleet.sockets.length, 2)
  t.match(await run(['explain', '-'], { input: unsure.stdout }), { code: 0, stdout: `${sum} leaked` })
  t.match(await run(['report', folder, '--all']), {
    code: 2,
    stderr: '--all is for the report of one process',
  })
})

t.test('report says why it has none', async (t) => {
  t.match(await run(['report', '127.0.0.1:1']), {
    code: 3,
    stderr: 'no report at 127.0.0.1:1: connect ECONNREFUSED',
  })
  t.match(await run(['report', 'http://:x']), { code: 2, stderr: 'a URL or unix:PATH was expected' })
  const other = closeAfter(
    t,
    http.createServer((_request, response) => response.end('hi')),
  )
  await once(other.listen(0, '127.0.0.1'), 'listening')
  const place = String((other.address() as net.AddressInfo).port)
  t.match(await run(['report', place]), {
    code: 3,
    stdout: '',
    stderr: `${place} answers with something else`,
  })
  t.match(await run(['report', '--limit', '-1', place]), {
    code: 2,
    stderr: /^[^\n]*'--limit'[^\n]*--help\n$/,
  })
  t.match(await run(['report']), { code: 2, stderr: 'usage: socket-leak-guard report' })
})

t.test('who reads no further, as head, is no fault', async (t) => {
  const child = spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, CLI, 'explain', '-'], {
    env: cleanEnvironment(),
  })
  child.stdout.destroy()
  child.stdin.end(JSON.stringify(LEAKY))
  const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')])
  t.same([stderr, code], ['', 0])
})

t.test('explain', async (t) => {
  const file = join(t.testdir({}), 'report.json')
  writeFileSync(file, JSON.stringify(LEAKY))
  const { code, stdout } = await run(['explain', file])
  t.equal(code, 0)
  t.match(stdout, `${LEAKY.totals.leaked} leaked`)
  t.match(await run(['explain', '-', '--max-leaked', '0'], { input: JSON.stringify(LEAKY) }), {
    code: 1,
    stdout,
  })
  t.match((await run(['explain', '--html', file])).stdout, /^<!doctype html>.*<\/html>\s*$/s)
  writeFileSync(file, '{}')
  t.match(await run(['explain', file]), { code: 3, stderr: 'is no report of socket-leak-guard' })
  t.match(await run(['explain', `${file}.not`]), { code: 3, stderr: 'ENOENT' })
})
