/** Many processes in one report: none is counted twice, none stays as a ghost. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import net from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readFleet, renderFleetText, serveFleet } from '../src/fleet/index.js'
import { rollUp } from '../src/fleet/roll-up.js'
import { install, installedGuard } from '../src/index.js'
import { LEAKY } from './report/sample-reports.js'
import { request } from './server/raw-request.js'
import { PACKAGE_ROOT, REGISTER } from './support/package-root.js'
import { hasPromtool, promtool } from './support/promtool.js'
import { cleanEnvironment } from './support/run-node.js'
import { shortFolder } from './support/short-folder.js'
import { until } from './support/until.js'

interface Started {
  readonly ports: Readonly<Record<'cluster' | 'thread' | 'giver', number>>
  readonly pids: { readonly workers: readonly number[]; readonly child: number }
  readonly pid: number
}

async function startFleet(t: Test, folder: string): Promise<Started> {
  const program = join(PACKAGE_ROOT, 'build', 'test', 'programs', 'fleet.js')
  // The test runner's loader would have threads of its own in each process.
  const command = ['-u', 'NODE_OPTIONS', process.execPath, '--require', REGISTER, program]
  const primary = spawn('env', command, {
    env: {
      ...cleanEnvironment(),
      SOCKET_LEAK_GUARD_REPORT: `unix:${folder}/%p-%t.sock`,
      SOCKET_LEAK_GUARD_GRACE_MS: '200',
      SOCKET_LEAK_GUARD_SWEEP_MS: '50',
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.teardown(async () => {
    primary.stdin.end()
    await once(primary, 'exit')
  })
  const failed = once(primary, 'exit').then(([code]) => {
    throw new Error(`the program has exited with ${code}`)
  })
  failed.catch(() => {})
  const [line] = (await Promise.race([once(primary.stdout, 'data'), failed])) as [Buffer]
  return { ...(JSON.parse(line.toString()) as Omit<Started, 'pid'>), pid: primary.pid! }
}

/** A peer that ends and waits. */
async function connectAndEnd(t: Test, port: number): Promise<void> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.resume().end('hello')
}

t.test('a cluster, a thread and a child that takes sockets over', async (t) => {
  const folder = shortFolder(t)
  const { ports, pids, pid } = await startFleet(t, folder)
  await until(() => readdirSync(folder).length === 5, 'all have opened their reports')
  for (let i = 0; i < 4; i += 1) await connectAndEnd(t, ports.cluster)
  await connectAndEnd(t, ports.thread)
  await connectAndEnd(t, ports.giver)
  await until(async () => (await readFleet({ folder })).totals.leaked === 6, 'all leak')

  const fleet = await readFleet({ folder })
  t.match(fleet, { schema: 'socket-leak-guard/fleet/v1', totals: { tracked: 6, leaked: 6 } })
  const leakedIn = (name: number | string) =>
    fleet.processes.find((one) => one.process === `${name}-0` || one.process === name)?.totals?.leaked
  const [inFirst = 0, inSecond = 0] = pids.workers.map(leakedIn)
  t.equal(inFirst + inSecond, 4, 'each socket of the cluster in one of its workers')
  t.equal(leakedIn(`${pid}-1`), 1, 'a thread has an entry of its own')
  t.equal(leakedIn(pids.child), 1, 'a socket that was handed over is with who has it')
  t.equal(leakedIn(pid), 0, 'and with nobody else')
  t.equal(fleet.processes.length, 5)
  t.equal(fleet.processes.at(-1)?.process, `${pid}-0`, 'the worst come first')
  t.equal(fleet.sockets.length, 6)
  t.match(fleet.sockets[0], { process: /^\d+/, verdict: 'leaked', diagnosis: /has not ended its side/ })
  t.match(fleet.conditions, [{ condition: 'eof-ignored', verdict: 'leaked', count: 6 }])
  const [site] = fleet.sites
  t.match(site, {
    site: `listener :${ports.cluster}`,
    count: 4,
    conditions: { 'eof-ignored': 4 },
  })

  await t.test('what dies leaves no ghost', async (t) => {
    const [victim] = pids.workers
    process.kill(victim!, 'SIGKILL')
    const file = join(folder, `${victim}-0.sock`)
    await until(
      async () => (await readFleet({ folder })).totals.tracked === 6 - inFirst,
      'its sockets are gone',
    )
    const { processes } = await readFleet({ folder })
    t.notOk(processes.some((one) => one.process === `${victim}-0`))
    t.notOk(existsSync(file), 'nor a file')
  })
})

t.test('files that only look dead stay, and so does what belongs to others', async (t) => {
  const folder = shortFolder(t)
  const dying = (file: string) =>
    `require('net').createServer().listen(${JSON.stringify(file)}, () => process.kill(process.pid, 'SIGKILL'))`
  for (const name of ['database.sock', `${process.pid}.sock`, '4194999.sock'])
    spawnSync(process.execPath, ['--eval', dying(join(folder, name))], { env: cleanEnvironment() })
  const asked: string[] = []
  const other = createServer((request, response) => {
    asked.push(request.url ?? '')
    response.end()
  }).listen(join(folder, 'other.sock'))
  t.teardown(() => other.close())
  await once(other, 'listening')
  const isRoot = process.geteuid?.() === 0
  if (isRoot) chownSync(join(folder, 'other.sock'), 4711, 4711)
  const { processes } = await readFleet({ folder, reportToken: 'correct-horse' })
  t.equal(processes.length, isRoot ? 0 : 1)
  t.equal(asked.length, isRoot ? 0 : 1)
  // No process has a number above 2^22 (proc(5)).
  t.same(readdirSync(folder).sort(), [`${process.pid}.sock`, 'database.sock', 'other.sock'])
})

t.test('of more than five hundred each that was not asked is named', async (t) => {
  const folder = shortFolder(t)
  let asked = 0
  const listening = Array.from({ length: 502 }, async (_, i) => {
    const server = net.createServer((socket) => {
      asked += 1
      socket.destroy()
    })
    t.teardown(() => server.close())
    await once(server.listen(join(folder, `${1000 + i}.sock`)), 'listening')
  })
  await Promise.all(listening)
  const { processes } = await readFleet({ folder })
  t.equal(asked, 500)
  t.same(
    processes.flatMap(({ process, reason }) => (reason?.startsWith('not asked') === true ? process : [])),
    ['1500', '1501'],
  )
})

t.test('what is not listed is counted', async (t) => {
  const sites = Array.from({ length: 30 }, (_, i) => ({ ...LEAKY.sites[0]!, site: `GET /${i}` }))
  const totals = { ...LEAKY.totals, leaked: 400, suspect: 0 }
  const report = { ...LEAKY, sites, totals, sockets: LEAKY.sockets.slice(0, 1) }
  const fleet = rollUp([{ process: '1', address: 'unix:/1.sock', report, reason: null }], '', 50)
  const text = renderFleetText(fleet)
  t.match(text, /^and 10 more sites$/m)
  t.match(text, /^and 399 more sockets$/m)
})

t.test('what does not answer is named, and holds nobody up', async (t) => {
  const folder = shortFolder(t)
  const silent = net.createServer((socket) => socket.resume()).listen(join(folder, 'silent.sock'))
  const stranger = createServer((_request, response) => response.end('{"a":1}')).listen(
    join(folder, 'b.sock'),
  )
  const refuser = createServer((_request, response) => response.writeHead(401).end()).listen(
    join(folder, 'c.sock'),
  )
  const upgrader = net
    .createServer((socket) =>
      socket.resume().end('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
    )
    .listen(join(folder, 'd.sock'))
  const endless = createServer((_request, response) => response.write('{')).listen(join(folder, 'e.sock'))
  for (const server of [silent, stranger, refuser, upgrader, endless]) {
    if (!server.listening) await once(server, 'listening')
    t.teardown(() => server.close())
  }
  const { processes, totals } = await readFleet({ folder, timeoutMs: 200 })
  t.match(
    processes.map(({ process, reason }) => [process, reason]),
    [
      ['b', /something else/],
      ['c', /status 401/],
      ['d', /without an answer/],
      ['e', /no answer within 200 ms/],
      ['silent', /no answer within 200 ms/],
    ],
  )
  t.equal(totals.tracked, 0)
  t.ok(existsSync(join(folder, 'silent.sock')))
  for (const server of [upgrader, endless]) await once(server.close(), 'close')
})

t.test('the report of all over HTTP, apart from that of the process', async (t) => {
  const folder = shortFolder(t)
  const guard = install({ report: `unix:${folder}/%p.sock` })
  t.teardown(() => guard.uninstall())
  await guard.listening
  const { listening, close } = serveFleet({ folder, report: '127.0.0.1:0' })
  t.teardown(close)
  const port = Number(new URL((await listening).url).port)
  const json = JSON.parse((await request(port, 'GET /')).body) as { processes: unknown[]; totals: unknown }
  t.match(json, { processes: [{ process: String(process.pid), pid: process.pid, reason: null }] })
  t.match(json, { totals: { tracked: 1 } }, 'the client of this test, and none of the guard')
  const text = await request(port, 'GET /?format=text')
  t.match(
    text.body,
    /^socket-leak-guard: 0 leaked, 0 suspect of 1 socket tracked in 1 of 1 processes\.\n\nPROCESS +LEAKED/,
  )
  const metrics = await request(port, 'GET /metrics')
  t.match(metrics.body, `socket_leak_guard_sockets{process="${process.pid}",verdict="leaked"} 0\n`)
  t.match(metrics.body, 'socket_leak_guard_fleet_processes{state="told"} 1\n')
  const open = await request(port, 'GET /metrics', { accept: 'application/openmetrics-text' })
  t.match(open.headers.get('content-type'), 'openmetrics')
  t.match(open.body, /\n# EOF\n$/)
  if (hasPromtool()) t.same(promtool(['check', 'metrics'], metrics.body), { status: 0, output: '' })
  else t.comment('no promtool here: not checked')
  t.equal((await request(port, 'GET /', { host: 'evil.example' })).status, 403, 'a name that was rebound')
  t.equal((await request(port, 'POST /')).status, 405)
  t.equal((await request(port, 'GET /events')).status, 404)
  rmSync(folder, { recursive: true })
  t.equal((await request(port, 'GET /')).status, 500)
  t.equal(installedGuard(), guard)
})

t.test('a token is asked for, and passed on', async (t) => {
  const folder = shortFolder(t)
  const guard = install({ report: `unix:${folder}/%p.sock`, reportToken: 'wonderland' })
  t.teardown(() => guard.uninstall())
  await guard.listening
  t.match((await readFleet({ folder })).processes, [{ reason: /status 401/ }])
  t.match((await readFleet({ folder, reportToken: 'wonderland' })).processes, [{ reason: null }])
  const { listening, close } = serveFleet({ folder, report: '127.0.0.1:0', reportToken: 'wonderland' })
  t.teardown(close)
  const port = Number(new URL((await listening).url).port)
  t.equal((await request(port, 'GET /')).status, 401)
  t.equal((await request(port, 'GET /', { authorization: 'Bearer wonderland' })).status, 200)
})

t.test('a mistake is an error of the call', async (t) => {
  const folder = shortFolder(t)
  t.throws(() => serveFleet({ folder, report: '0.0.0.0:0' }), { code: 'SLG_ERR_REPORT_NEEDS_TOKEN' })
  t.throws(() => serveFleet({ folder, report: `unix:${folder}/all.sock` }), {
    code: 'SLG_ERR_INVALID_OPTION',
  })
  t.throws(() => serveFleet({ folder: '', report: '127.0.0.1:0' }), { code: 'SLG_ERR_INVALID_OPTION' })
  await t.rejects(readFleet({ folder, timeout: 1 } as never), { code: 'SLG_ERR_UNKNOWN_OPTION' })
  await t.rejects(readFleet({ folder: join(folder, 'none') }), { code: 'ENOENT' })
  t.same((await readFleet({ folder })).processes, [])
})
