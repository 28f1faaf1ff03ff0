/** `run`, `top`, `completion`, and what all commands share. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { install } from '../../src/index.js'
import { CLI, PACKAGE_ROOT } from '../support/package-root.js'
import { cleanEnvironment, runNode } from '../support/run-node.js'
import { until } from '../support/until.js'

t.setTimeout(60_000)

function start(args: readonly string[], env: Record<string, string> = {}): ChildProcessWithoutNullStreams {
  // The test runner has its loader put into every Node, and it catches signals.
  return spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, CLI, ...args], {
    env: { ...cleanEnvironment(), ...env },
  })
}

const GUARD = `require('node:net').Socket[Symbol.for('socket-leak-guard/guard/v1')]`

t.test('run puts the guard into a program, and gives back its exit code', async (t) => {
  const show = `const { graceMs, action, log } = ${GUARD}.options; console.log(graceMs, action, log); process.exit(7)`
  const run = (...args: string[]): ReturnType<typeof runNode> =>
    runNode([CLI, 'run', ...args], { isBare: true, env: { SOCKET_LEAK_GUARD_ACTION: 'end' } })
  t.match(await run('--grace-ms', '1234', '--', process.execPath, '-e', show), {
    code: 7,
    stdout: '1234 end stderr',
  })
  const quiet = await run('--report', '127.0.0.1:0', '--action=reset', '--', process.execPath, '-e', show)
  t.match(quiet, { code: 7, stdout: '60000 reset null' })
  const wrong = await run('--grace-ms', 'soon', '--', process.execPath, '-e', show)
  t.match(wrong, { code: 2, stdout: '', stderr: 'SOCKET_LEAK_GUARD_GRACE_MS must be an integer' })
  t.match(await run('--', 'no-such-program'), { code: 3, stderr: "no-such-program can't be started" })
})

t.test('run works from a folder with a space in its name', async (t) => {
  const folder = join(t.testdir({}), 'a "b" c')
  mkdirSync(folder)
  for (const name of ['dist', 'package.json']) symlinkSync(join(PACKAGE_ROOT, name), join(folder, name))
  const flags = ['--preserve-symlinks', '--preserve-symlinks-main', join(folder, 'dist', 'cli.js')]
  const program = ['-e', `console.log(${GUARD} !== undefined, process.env.NODE_OPTIONS.includes(' c/'))`]
  const { stdout } = await runNode([...flags, 'run', '--', process.execPath, ...program], { isBare: true })
  t.equal(stdout, 'true true\n')
})

t.test('run hands signals on, and ends as the program did', async (t) => {
  const heard = start([
    'run',
    '--',
    process.execPath,
    '-e',
    `process.on('SIGTERM', () => process.exit(3)); setInterval(() => {}, 1e6); console.log('up')`,
  ])
  await once(heard.stdout, 'data')
  heard.kill('SIGTERM')
  t.same(await once(heard, 'exit'), [3, null])
  const killed = start(['run', '--', process.execPath, '-e', `setInterval(() => {}, 1e6); console.log('up')`])
  await once(killed.stdout, 'data')
  killed.kill('SIGTERM')
  t.same(await once(killed, 'exit'), [null, 'SIGTERM'])
})

/** On a terminal. */
function onTerminal(
  t: Test,
  args: readonly string[],
  env: Record<string, string> = {},
): ChildProcessWithoutNullStreams {
  const command = [process.execPath, CLI, ...args].map((word) => `'${word}'`).join(' ')
  // Node knows terminals of CI systems that show no colours.
  const { NO_COLOR: _, FORCE_COLOR: _forced, CI: _ci, ...inherited } = cleanEnvironment()
  const child = spawn('script', ['-qefc', command, '/dev/null'], {
    env: { ...inherited, TERM: 'xterm-256color', ...env },
  })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

t.test('top refreshes until q', async (t) => {
  const guard = install({ report: '127.0.0.1:0' })
  t.teardown(() => guard.uninstall())
  const { url } = (await guard.listening)!
  const child = onTerminal(t, ['top', '--interval', '0.1', url])
  let shown = ''
  child.stdout.setEncoding('utf8').on('data', (data: string) => (shown += data))
  await until(() => shown.split('\x1b[Hsocket-leak-guard: ').length > 2, 'it was drawn twice')
  t.ok(shown.includes('\x1b[?1049h'), 'on the other screen')
  child.stdin.write('q')
  t.same(await once(child, 'close'), [0, null])
  t.ok(shown.endsWith('\x1b[?1049l'), 'and back')
  t.match(await runNode([CLI, 'top', url], { isBare: true }), { code: 2, stderr: 'top needs a terminal' })
})

t.test('colours are for terminals, and not with NO_COLOR', async (t) => {
  const red = '\x1b[31msocket-leak-guard:'
  t.match(await text(onTerminal(t, ['explain', '/nowhere']).stdout), red)
  t.notMatch(await text(onTerminal(t, ['explain', '/nowhere'], { NO_COLOR: '1' }).stdout), red)
  t.notMatch((await runNode([CLI, 'explain', '/nowhere'], { isBare: true })).stderr, red)
})

t.test('attach asks on a terminal, and takes no for an answer', async (t) => {
  const target = spawn(
    process.execPath,
    ['--inspect-port=0', '-e', `setInterval(() => {}, 1e6); console.log('up')`],
    {
      env: cleanEnvironment(),
    },
  )
  t.teardown(() => target.kill('SIGKILL'))
  await once(target.stdout, 'data')
  const child = onTerminal(t, ['attach', '--grace', '0.1', String(target.pid)])
  let shown = ''
  child.stdout.setEncoding('utf8').on('data', (data: string) => (shown += data))
  await until(() => shown.includes('Go on? [y/N]'), 'it asks')
  t.match(shown, 'no socket is touched')
  child.stdin.write('n\n')
  t.same(await once(child, 'close'), [3, null])
  t.equal(target.stderr.readableLength, 0, 'no inspector was opened')
})

t.test('completion', async (t) => {
  const { stdout } = await runNode([CLI, 'completion', 'bash'], { isBare: true })
  const ask = async (...words: string[]): Promise<string> => {
    const asked = `COMP_WORDS=(socket-leak-guard ${words.join(' ')}) COMP_CWORD=${words.length}`
    const bash = spawn('bash', ['-c', `${stdout}\n${asked}; _socket_leak_guard; echo "\${COMPREPLY[*]}"`])
    return (await text(bash.stdout)).trim()
  }
  t.equal(await ask('at'), 'attach')
  t.equal(await ask('torture', '--al'), '--allow-remote')
  for (const shell of ['zsh', 'fish']) {
    const { code, stdout } = await runNode([CLI, 'completion', shell], { isBare: true })
    t.equal(code, 0)
    t.match(stdout, 'attach')
  }
  t.match(await runNode([CLI, 'completion', 'cmd'], { isBare: true }), { code: 2 })
})

t.test('help, and what is no command', async (t) => {
  t.match(await runNode([CLI, 'help', 'scan'], { isBare: true }), {
    code: 0,
    stdout: /^socket-leak-guard scan \[options\] PID/,
  })
  t.match(await runNode([CLI], { isBare: true }), { code: 2, stdout: 'attach PID' })
  t.match(await runNode([CLI, 'attack'], { isBare: true }), {
    code: 2,
    stderr: 'there is no command "attack"',
  })
})
