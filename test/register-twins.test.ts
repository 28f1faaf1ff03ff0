/** With the guard preloaded and without it: an application must not be able to tell. */
import { join } from 'node:path'
import t from 'tap'
import { PACKAGE_ROOT, REGISTER, REGISTER_URL } from './support/package-root.js'
import { runNode, runTwins, withoutPid, type Outcome } from './support/run-node.js'

const HEALTHY_APP = join(PACKAGE_ROOT, 'build', 'test', 'programs', 'healthy-app.js')

// Many processes, one after the other: run without the test runner, the file would have 30 seconds.
t.setTimeout(120_000)

t.test('a process ends by itself, as soon as it would without the guard', async (t) => {
  const dir = t.testdir({
    'app.mjs': `
      process.on('exit', (code) => console.log('exit', code))
      process.on('beforeExit', () => console.log('before exit'))
      console.log('hello')
    `,
  })
  const env = { SOCKET_LEAK_GUARD_REPORT: '127.0.0.1:0', SOCKET_LEAK_GUARD_SWEEP_MS: '10' }
  // Nobody ends it from outside: were it kept alive, this would wait until the test times out.
  const { guarded, bare } = await runTwins([join(dir, 'app.mjs')], { env })
  t.same(guarded, bare)
  t.match(guarded, { code: 0, stdout: 'hello\nbefore exit\nexit 0\n', stderr: '' })
})

t.test('a program without a file is guarded too', async (t) => {
  const { guarded, bare } = await runTwins(['-p', '1 + 1'])
  t.same(guarded, bare)
  t.equal(guarded.stdout, '2\n')
  const piped = await runTwins(['-'], { input: 'process.stdin.resume(); console.log(typeof require)' })
  t.same(piped.guarded, piped.bare)
  const found = await runNode([
    '--require',
    REGISTER,
    '-p',
    `require('node:net').Socket[Symbol.for('socket-leak-guard/guard/v1')] !== undefined`,
  ])
  t.match(found, { code: 0, stdout: 'true\n', stderr: '' })
})

t.test("a healthy application can't tell that it is there", async (t) => {
  const hasty = { SOCKET_LEAK_GUARD_SWEEP_MS: '10', SOCKET_LEAK_GUARD_GRACE_MS: '50' }
  const full = {
    SOCKET_LEAK_GUARD_STACKS: 'always',
    SOCKET_LEAK_GUARD_CONTEXT: 'async-local-storage',
    SOCKET_LEAK_GUARD_KEEP_ALIVE: '1000,1000,3,always',
    SOCKET_LEAK_GUARD_REPORT: '127.0.0.1:0',
    SOCKET_LEAK_GUARD_PRESSURE: 'on',
  }
  for (const env of [hasty, full]) {
    const { guarded, bare } = await runTwins([HEALTHY_APP], { env })
    t.same(guarded, bare)
    t.match(
      bare,
      { code: 0, stdout: /over a unix socket[^]*exit 0/, stderr: 'done\n' },
      'the program did run',
    )
  }
})

/** What the guard's own functions add to a stack, and the lines that then no longer fit into ten frames. */
function withoutFrames(outcome: Outcome): Outcome {
  const { stderr, ...rest } = withoutPid(outcome)
  return { ...rest, stderr: stderr.replaceAll(/^ +at .*\n/gm, '') }
}

t.test('an application that fails fails in the same way', async (t) => {
  const connection = `
    const net = require('node:net')
    const server = net.createServer((socket) => socket.end('hello')).listen(0, '127.0.0.1', () => {
      const socket = net.connect(server.address().port, '127.0.0.1')
  `
  const programs: [name: string, code: string][] = [
    ['throws', `throw new Error('boom')`],
    ['rejects', `Promise.reject(new Error('boom'))`],
    ['exits', `process.on('exit', (code) => console.log('exit', code)); process.exit(7)`],
    ['has an exit code', `process.exitCode = 5`],
    ['is killed', `process.kill(process.pid, 'SIGTERM'); setTimeout(() => {}, 1e6)`],
    [
      'aborts',
      `process.on('SIGINT', () => { console.log('interrupted'); process.exit(130) }); process.kill(process.pid, 'SIGINT'); setTimeout(() => {}, 1e6)`,
    ],
    ['throws on data', `${connection} socket.on('data', () => { throw new Error('boom') }) })`],
    ['throws on end', `${connection} socket.resume().on('end', () => { throw new Error('boom') }) })`],
    ['throws on close', `${connection} socket.resume().on('close', () => { throw new Error('boom') }) })`],
    ['has an error that nobody hears', `${connection} socket.destroy(new Error('boom')) })`],
    ['is refused', `${connection} server.close(() => net.connect(1, '127.0.0.1')); socket.destroy() })`],
    ['passes a wrong argument', `${connection} socket.connect({ port: 'x' }) })`],
    ['pushes what is no chunk', `${connection} socket.push({}) })`],
    ['writes after the end', `${connection} socket.end(); socket.write('late') })`],
    [
      'hears what nobody caught',
      `process.on('uncaughtException', (error, origin) => { console.log(error.message, origin); process.exit(9) }); ${connection} socket.on('data', () => { throw new Error('boom') }) })`,
    ],
    ['rejects in a handler', `${connection} socket.on('data', async () => { throw new Error('boom') }) })`],
  ]
  const dir = t.testdir(Object.fromEntries(programs.map(([, code], i) => [`${i}.cjs`, code])))
  for (const [i, [name]] of programs.entries()) {
    const { guarded, bare } = await runTwins([join(dir, `${i}.cjs`)])
    t.same(withoutFrames(guarded), withoutFrames(bare), name)
  }
})

t.test('works under the test runner of Node', async (t) => {
  const dir = t.testdir({
    'some.test.mjs': `
      import assert from 'node:assert'
      import net from 'node:net'
      import { once } from 'node:events'
      import test from 'node:test'
      test('passes', async () => {
        const server = net.createServer((socket) => socket.end('hello')).listen(0)
        await once(server, 'listening')
        const socket = net.connect(server.address().port).resume()
        await once(socket, 'close')
        server.close()
      })
      test('fails', () => assert.equal(1, 2))
    `,
  })
  const steady = ({ code, stdout, stderr }: Outcome): unknown => ({
    code,
    stderr,
    stdout: stdout.replaceAll(/duration_ms[ :]+[\d.]+/g, 'duration').replaceAll(/^ +at .*\n/gm, ''),
  })
  const { guarded, bare } = await runTwins(['--test', '--test-reporter=tap', join(dir, 'some.test.mjs')])
  t.same(steady(guarded), steady(bare))
  t.match(guarded, { code: 1, stdout: /ok 1 - passes[^]*not ok 2 - fails/ })
})

t.test('loader hooks, in a thread of their own, are none of its business', async (t) => {
  const dir = t.testdir({
    'hooked.cjs': `require('node:module').register('./hooks.mjs', require('node:url').pathToFileURL(__filename))`,
    'hooks.mjs': `export const resolve = (specifier, context, next) => next(specifier, context)`,
    'app.mjs': `
      import { register } from 'node:module'
      register('./hooks.mjs', import.meta.url)
      const { sep } = await import('node:path')
      console.log(sep)
    `,
  })
  const app = ['--no-warnings', join(dir, 'app.mjs')]
  const { guarded, bare } = await runTwins(app)
  t.same(guarded, bare)
  t.match(guarded, { code: 0, stdout: '/\n' })
  t.same(await runNode(['--import', REGISTER_URL, ...app]), bare)
  const hooked = ['--require', join(dir, 'hooked.cjs')]
  t.same(await runNode([...hooked, '--require', REGISTER, ...app]), bare, 'hooks that were there before')
})
