/** `attach` on real processes that were started without the guard. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Report } from '../../src/index.js'
import { CLI, moduleUrl, REGISTER } from '../support/package-root.js'
import { cleanEnvironment, runNode, type Outcome } from '../support/run-node.js'
import { until } from '../support/until.js'

t.setTimeout(100_000)

/** Line 5 holds what is upgraded. Other requests are answered with what the process knows of itself. */
const BODY = `
const answer = () => JSON.stringify({ guarded: net.Socket[Symbol.for('socket-leak-guard/guard/v1')] !== undefined, inspector: process.getBuiltinModule('node:inspector').url() ?? null })
const server = http.createServer((request, response) => { response.end(answer()); if (request.url === '/exit') setImmediate(() => process.exit(7)) })
server.on('upgrade', (request, socket) => {
  socket.on('data', function keepReading() {})
  socket.write('HTTP/1.1 101 Switching\\r\\nConnection: Upgrade\\r\\nUpgrade: chat\\r\\n\\r\\n')
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))`

const PROGRAMS = {
  'app.cjs': `const http = require('node:http'), net = require('node:net')${BODY}`,
  'app.mjs': `import http from 'node:http'; import net from 'node:net'${BODY}`,
}

interface Self {
  readonly guarded: boolean
  readonly inspector: string | null
}

class Program {
  readonly child: ChildProcess
  readonly clients: net.Socket[] = []
  port = 0
  stderr = ''

  constructor(t: Test, file: keyof typeof PROGRAMS, flags: readonly string[], env: Record<string, string>) {
    const folder = mkdtempSync(join(tmpdir(), 'attach-'))
    writeFileSync(join(folder, file), PROGRAMS[file])
    const hasPort = flags.some((flag) => flag.startsWith('--inspect-port='))
    this.child = spawn(process.execPath, [...(hasPort ? [] : ['--inspect-port=0']), ...flags, file], {
      cwd: folder,
      env: { ...cleanEnvironment(), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.stderr += text))
    t.teardown(() => {
      this.child.kill('SIGKILL')
      for (const client of this.clients) client.destroy()
      rmSync(folder, { recursive: true })
    })
  }

  /** With so many leaks. */
  async start(leaks: number): Promise<this> {
    const [line] = (await once(this.child.stdout!, 'data')) as [Buffer]
    this.port = Number(line)
    for (let i = 0; i < leaks; i += 1) {
      const client = net.connect({ port: this.port, host: '127.0.0.1', allowHalfOpen: true })
      this.clients.push(client.on('error', () => {}))
      client.write('GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n')
      await once(client, 'data')
      client.resume().end()
    }
    return this
  }

  get pid(): string {
    return String(this.child.pid)
  }

  get open(): number {
    return this.clients.filter(({ readableEnded, destroyed }) => !readableEnded && !destroyed).length
  }

  async self(path = '/'): Promise<Self> {
    const response = await fetch(`http://127.0.0.1:${this.port}${path}`, { headers: { connection: 'close' } })
    return (await response.json()) as Self
  }

  async isAsBefore(t: Test): Promise<void> {
    await until(async () => (await this.self()).inspector === null, 'the inspector is closed')
    t.equal((await this.self()).guarded, false, 'no guard is left')
    t.equal(this.child.exitCode, null, 'it runs')
  }
}

function start(
  t: Test,
  file: keyof typeof PROGRAMS,
  leaks: number,
  flags: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<Program> {
  return new Program(t, file, flags, env).start(leaks)
}

function attach(...args: string[]): Promise<Outcome> {
  return runNode([CLI, 'attach', '--grace', '0.3', ...args], { isBare: true })
}

for (const file of ['app.cjs', 'app.mjs'] as const) {
  t.test(`${file}: says which code leaks, and leaves everything as it was`, async (t) => {
    const program = await start(t, file, 3, [], { SOCKET_LEAK_GUARD_ENABLED: 'off' })
    for (const round of file === 'app.cjs' ? ['first', 'second'] : ['first']) {
      const { code, stdout, stderr } = await attach('--yes', '--max-leaked', '2', program.pid)
      t.equal(code, 1, `${round} time: 3 are more than 2`)
      t.match(stdout, `3 leaked, 0 suspect`)
      t.match(stdout, `data -> keepReading: ${file}:5 - socket.on('data', function keepReading`)
      t.equal(stdout.match(/^#\d+ leaked/gm)?.length, 1, 'one socket stands for its site')
      t.notMatch(stdout, /limit is|untracked|\/h/, 'no trend, and nothing of its own connection')
      t.match(stderr, /Process \d+, .*its inspector is opened.*no socket is touched/s)
      await program.isAsBefore(t)
    }
    t.equal(program.open, 3, 'no socket was touched')
  })
}

t.test('closes what leaks if it shall', async (t) => {
  const program = await start(t, 'app.mjs', 3)
  const { code, stdout, stderr } = await attach('--yes', '--json', '--reclaim', 'destroy', program.pid)
  t.equal(code, 0)
  t.equal((JSON.parse(stdout) as Report).totals.leaked, 3)
  t.match(stderr, '3 of 3 leaked sockets closed (destroy).')
  await until(() => program.open === 0, 'the peers hear of it')
  await program.isAsBefore(t)
})

t.test('leaves an endpoint behind if it shall', async (t) => {
  const program = await start(t, 'app.cjs', 1)
  const { code, stderr } = await attach('--yes', '--leave-endpoint', '0', program.pid)
  t.equal(code, 0)
  const url = /The report is at (http:\S+)/.exec(stderr)?.[1]
  const report = (await (await fetch(url!, { headers: { connection: 'close' } })).json()) as Report
  t.equal(report.totals.suspect + report.totals.leaked, 1)
  await until(async () => (await program.self()).inspector === null, 'the inspector is closed')
  t.equal((await program.self()).guarded, true)
})

t.test('asks a guard that is there', async (t) => {
  const env = { SOCKET_LEAK_GUARD_GRACE_MS: '100', SOCKET_LEAK_GUARD_SWEEP_MS: '50' }
  const program = await start(t, 'app.cjs', 1, ['--require', REGISTER], env)
  await until(async () => {
    const { stdout, stderr } = await attach('--yes', program.pid)
    t.match(stderr, 'A guard is there already')
    return stdout.includes('keepReading: app.cjs:5')
  }, 'its leak is old enough')
  await until(async () => (await program.self()).inspector === null, 'the inspector is closed')
  t.equal((await program.self()).guarded, true, 'and it stays')
})

t.test('uses an inspector that is open, and leaves it open', async (t) => {
  const program = await start(t, 'app.mjs', 1, ['--inspect=0'])
  await until(() => program.stderr.includes('ws://'), 'it says where')
  const place = /ws:\/\/([^/]+)/.exec(program.stderr)![1]!
  const { code, stdout } = await attach('--yes', '--inspector', place)
  t.equal(code, 0)
  t.match(stdout, 'keepReading: app.mjs:5')
  t.not((await program.self()).inspector, null)
  t.equal((await program.self()).guarded, false)
})

t.test('waits for the port that the process before it is leaving', async (t) => {
  const before = net.createServer().listen(0, '127.0.0.1')
  await once(before, 'listening')
  const { port } = before.address() as net.AddressInfo
  const program = await start(t, 'app.cjs', 1, [`--inspect-port=${port}`])
  t.match(await attach('--yes', program.pid), { code: 3, stderr: `port ${port}, where process` })
  const visit = spawn(process.execPath, [CLI, 'attach', '--yes', '--grace', '0.3', program.pid], {
    env: cleanEnvironment(),
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  await once(visit.stderr, 'data')
  setTimeout(() => before.close(), 500)
  t.same(await once(visit, 'exit'), [0, null])
  await program.isAsBefore(t)
})

t.test('goes at once when it is interrupted, and when the process ends', async (t) => {
  const program = await start(t, 'app.cjs', 1)
  const interrupted = spawn(process.execPath, [CLI, 'attach', '--yes', '--grace', '50', program.pid], {
    env: cleanEnvironment(),
    stdio: 'ignore',
  })
  await until(async () => (await program.self()).guarded, 'the guard is in')
  interrupted.kill('SIGINT')
  t.same(await once(interrupted, 'exit'), [130, null])
  await program.isAsBefore(t)

  const second = attach('--yes', '--grace', '50', program.pid)
  await until(async () => (await program.self()).guarded, 'the guard is in')
  await program.self('/exit')
  t.same(await once(program.child, 'exit'), [7, null], 'the process does not wait for us')
  const { code, stderr } = await second
  t.equal(code, 3)
  t.match(stderr, 'the process has ended')
})

t.test('a guest whose host hears no more of it leaves by itself', async (t) => {
  const source = `
    import net from 'node:net'
    import { enter } from '${moduleUrl('cli/attach/guest.js')}'
    const slot = Symbol.for('socket-leak-guard/guard/v1')
    const env = { SOCKET_LEAK_GUARD_GRACE_MS: '1234' }
    console.log(JSON.stringify(enter({ file: ${JSON.stringify(REGISTER)}, env, isInspectorOurs: false, patienceMs: 50 })))
    console.log(net.Socket[slot] !== undefined, Object.keys(process.env).filter((name) => name.startsWith('SOCKET_')).length)
    const timer = setInterval(() => {
      if (net.Socket[slot] !== undefined) return
      clearInterval(timer)
      console.log('gone')
    }, 10)`
  const { stdout } = await runNode(['--input-type=module', '--eval', source], { isBare: true })
  t.equal(stdout, '{"isGuarded":false,"graceMs":1234,"refusal":null}\ntrue 0\ngone\n')
})

t.test('refuses clearly, and harms nobody', async (t) => {
  const refuses = async (
    what: string,
    args: readonly string[],
    exitCode: number,
    message: string | RegExp,
  ): Promise<void> => {
    const { code, stdout, stderr } = await attach(...args)
    t.equal(code, exitCode, what)
    t.match(stderr, message)
    t.equal(stdout, '')
  }
  const program = await start(t, 'app.cjs', 0)
  await refuses('no terminal', [program.pid], 2, 'nobody can be asked here: give --yes')
  await refuses('no number', ['--yes', 'app'], 2, 'PID must be one number, got "app"')
  await refuses('two', ['--yes', program.pid, '1'], 2, `PID must be one number, got "${program.pid} 1"`)
  await refuses('nothing', ['--yes'], 2, 'PID must be one number, got none')
  await refuses('no action', ['--yes', '--reclaim', 'explode', program.pid], 2, '--reclaim must be')
  await refuses('no flag', ['--yes', '--force', program.pid], 2, "Unknown option '--force'")
  await refuses('no process', ['--yes', '99999999'], 3, 'there is no process 99999999')
  await program.isAsBefore(t)
  t.equal(program.stderr, '', 'no inspector was opened')

  const sleeper = spawn('sleep', ['60'])
  t.teardown(() => sleeper.kill())
  await refuses('not Node', ['--yes', String(sleeper.pid)], 3, /is not Node \(.*; "scan \d+"/)
  t.equal(sleeper.exitCode ?? sleeper.signalCode, null)

  const handling = spawn(process.execPath, [
    '-e',
    "process.on('SIGUSR1', () => console.log('heard')); console.log('up'); setInterval(() => {}, 1e6)",
  ])
  t.teardown(() => handling.kill())
  await once(handling.stdout, 'data')
  await refuses(
    'own handler',
    ['--yes', String(handling.pid)],
    3,
    'the application handles the signal itself',
  )
  t.equal(handling.exitCode ?? handling.signalCode, null)
})

t.test('never sends a signal that would end the process', async (t) => {
  // A program that ignores SIGUSR1, as --disable-sigusr1 (Node 23.7, 22.14) leaves it to the system.
  const isKnown = process.allowedNodeEnvironmentFlags.has('--disable-sigusr1')
  const flags = isKnown ? ['--disable-sigusr1'] : []
  const program = await start(t, 'app.cjs', 0, flags)
  const { code, stderr } = await attach('--yes', program.pid)
  t.equal(code, isKnown ? 3 : 0)
  if (isKnown) t.match(stderr, 'does not listen to SIGUSR1, which would end it')
  t.equal((await program.self()).guarded, false)
})

t.test("does not touch another user's process", async (t) => {
  const program = await start(t, 'app.cjs', 0)
  const isRoot = process.geteuid!() === 0
  const source = `
    import { checkTarget } from '${moduleUrl('cli/attach/target.js')}'
    if (${isRoot}) process.seteuid(65534)
    try { checkTarget(${isRoot ? program.pid : 1}, ${JSON.stringify(REGISTER)}) } catch ({ message }) { console.log(message) }`
  const { stdout } = await runNode(['--input-type=module', '--eval', source], { isBare: true })
  t.match(stdout, 'belongs to another user')
})
