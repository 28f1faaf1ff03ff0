/**
 * The preload, in processes of its own: what it installs, and what it says when it can't.
 */
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { isSupportedNode, SUPPORTED_NODE } from '../src/base/node-version.js'
import { INDEX_URL, PACKAGE_ROOT, REGISTER, REGISTER_URL } from './support/package-root.js'
import { runNode, type Outcome } from './support/run-node.js'

/** Says which guard it finds, before and after it asks for one itself. */
const WHICH_GUARD = `
import { install, installedGuard } from '${INDEX_URL}'
const found = installedGuard()
const { graceMs, action, report } = found?.options ?? {}
console.log(JSON.stringify({ isInstalled: found !== null, graceMs, action, report }))
if (found !== null) console.log(install() === found, install({ graceMs, action, report }) === found)
`

const INSTALLED = { isInstalled: true, graceMs: 60_000, action: 'report', report: null }

function firstLine({ stdout }: Outcome): unknown {
  return JSON.parse(stdout.split('\n', 1)[0] ?? '')
}

// Many processes, one after the other: run without the test runner, the file would have 30 seconds.
t.setTimeout(120_000)

t.test('installs one guard, however it is preloaded', async (t) => {
  const app = join(t.testdir({ 'app.mjs': WHICH_GUARD }), 'app.mjs')
  const ways: [name: string, args: string[], nodeOptions?: string][] = [
    ['--require', ['--require', REGISTER, app]],
    ['--import', ['--import', REGISTER_URL, app]],
    ['both', ['--require', REGISTER, '--import', REGISTER_URL, app]],
    ['the same twice', ['--require', REGISTER, '--require', REGISTER, app]],
    ['NODE_OPTIONS', [app], `--require ${REGISTER}`],
    ['NODE_OPTIONS and the command line', ['--import', REGISTER_URL, app], `--require ${REGISTER}`],
  ]
  for (const [name, args, nodeOptions] of ways) {
    const outcome = await runNode(args, {
      env: nodeOptions === undefined ? {} : { NODE_OPTIONS: nodeOptions },
    })
    t.same(firstLine(outcome), INSTALLED, name)
    t.match(outcome, { code: 0, stderr: '', stdout: /\ntrue true\n$/ }, name)
  }
})

t.test('takes the environment that PM2 hands to a worker in cluster mode', async (t) => {
  const app = join(t.testdir({ 'app.mjs': WHICH_GUARD }), 'app.mjs')
  const given = { SOCKET_LEAK_GUARD_GRACE_MS: 5000, SOCKET_LEAK_GUARD_ACTION: 'end', axm_options: { a: [] } }
  const run = (more: object) =>
    runNode(['--require', REGISTER, app], { env: { pm2_env: JSON.stringify({ ...given, ...more }) } })
  t.same(firstLine(await run({})), { ...INSTALLED, graceMs: 5000, action: 'end' })
  t.same(firstLine(await run({ SOCKET_LEAK_GUARD_ENABLED: 'off' })), { isInstalled: false })
  for (const pm2_env of ['production', 'null', '']) {
    const outcome = await runNode(['--require', REGISTER, app], { env: { pm2_env } })
    t.equal(outcome.stderr, '', `of somebody else: ${pm2_env}`)
    t.match(firstLine(outcome), { isInstalled: true })
  }
})

t.test('loads nothing of HTTP, TLS or other costly modules into a program that uses none', async (t) => {
  // Without what the test runner has loaded into every process.
  const { stdout } = await runNode(
    [
      '-u',
      'NODE_OPTIONS',
      process.execPath,
      '--require',
      REGISTER,
      '--eval',
      'console.log(process.moduleLoadList.join())',
    ],
    { node: 'env' },
  )
  t.match(stdout, 'NativeModule net,')
  t.same(stdout.match(/NativeModule (?:https?2?|tls|_http_\w+|_tls_\w+|os|perf_hooks|crypto)\b/g), null)
})

t.test('a second copy of the package finds the guard of the first', async (t) => {
  const source = join(PACKAGE_ROOT, 'dist')
  const copy = join(t.testdir(), 'copy')
  const { cpSync, writeFileSync } = await import('node:fs')
  cpSync(source, copy, { recursive: true })
  writeFileSync(join(copy, 'package.json'), '{ "type": "module" }')
  const app = join(copy, 'app.mjs')
  writeFileSync(app, WHICH_GUARD.replace(INDEX_URL, './index.js'))
  const outcome = await runNode(['--require', REGISTER, '--require', join(copy, 'register.cjs'), app])
  t.same(firstLine(outcome), INSTALLED)
  t.match(outcome, { code: 0, stderr: '', stdout: /\ntrue true\n$/ })
})

t.test(
  'what another vm context has installed is found, as under test runners that make one for each file',
  async (t) => {
    const app = join(
      t.testdir({
        'app.cjs': `
        const { readFileSync } = require('node:fs')
        const vm = require('node:vm')
        const context = vm.createContext({ process, Buffer, URL, performance })
        const preload = vm.compileFunction(readFileSync(${JSON.stringify(REGISTER)}, 'utf8'), ['require', '__filename'], {
          parsingContext: context,
        })
        preload(require, ${JSON.stringify(REGISTER)})
        import('${INDEX_URL}').then(({ installedGuard }) => console.log(installedGuard()?.options.graceMs))
      `,
      }),
      'app.cjs',
    )
    const outcome = await runNode([app], { env: { SOCKET_LEAK_GUARD_GRACE_MS: '1234' } })
    t.match(outcome, { code: 0, stdout: '1234\n', stderr: '' })
  },
)

t.test('takes its options from the environment', async (t) => {
  const app = join(t.testdir({ 'app.mjs': WHICH_GUARD }), 'app.mjs')
  const env = { SOCKET_LEAK_GUARD_GRACE_MS: ' 1234 ', SOCKET_LEAK_GUARD_ACTION: 'End' }
  const outcome = await runNode(['--require', REGISTER, app], { env })
  t.same(firstLine(outcome), { isInstalled: true, graceMs: 1234, action: 'end', report: null })
  t.match(outcome, { code: 0, stderr: '', stdout: /\ntrue true\n$/ })
})

t.test("with a variable that it can't use it names every one, once, and stays off", async (t) => {
  const app = join(t.testdir({ 'app.mjs': WHICH_GUARD }), 'app.mjs')
  const env = {
    SOCKET_LEAK_GUARD_GRACE_MS: '30s',
    SOCKET_LEAK_GUARD_KEEP_ALIVE: '1,2',
    SOCKET_LEAK_GUARD_ACTON: 'reset',
    SOCKET_LEAK_GUARD_SWEEP_MS: '100',
  }
  for (const flags of [
    ['--require', REGISTER],
    ['--import', REGISTER_URL],
    ['--require', REGISTER, '--import', REGISTER_URL],
  ]) {
    const outcome = await runNode([...flags, app], { env })
    t.match(outcome, { code: 0, stdout: '{"isInstalled":false}\n' })
    t.equal(outcome.stderr.match(/SocketLeakGuardWarning/g)?.length, 1, 'one warning')
    t.match(outcome.stderr, '[SLG_ERR_INVALID_ENV] SocketLeakGuardWarning: the guard stays off: ')
    t.match(outcome.stderr, /SOCKET_LEAK_GUARD_GRACE_MS must be an integer from 0 to 2147483647, got "30s"/)
    t.match(outcome.stderr, /SOCKET_LEAK_GUARD_KEEP_ALIVE must be/)
    t.match(
      outcome.stderr,
      /unknown variable SOCKET_LEAK_GUARD_ACTON; did you mean SOCKET_LEAK_GUARD_ACTION\?/,
    )
    t.notMatch(outcome.stderr, /SWEEP_MS/)
  }
})

t.test('what only install() can refuse is a warning too', async (t) => {
  const app = join(t.testdir({ 'app.mjs': WHICH_GUARD }), 'app.mjs')
  const addresses: [string, string][] = [
    ['0.0.0.0:0', 'SLG_ERR_REPORT_NEEDS_TOKEN'],
    ['nowhere', 'SLG_ERR_INVALID_OPTION'],
  ]
  for (const [address, code] of addresses) {
    const outcome = await runNode(['--require', REGISTER, app], {
      env: { SOCKET_LEAK_GUARD_REPORT: address },
    })
    t.match(outcome, { code: 0, stdout: '{"isInstalled":false}\n' }, address)
    t.match(outcome.stderr, `[${code}] SocketLeakGuardWarning: the guard stays off: report`, address)
  }
})

t.test('the kill switch keeps it off, and quiet', async (t) => {
  const app = join(t.testdir({ 'app.mjs': WHICH_GUARD }), 'app.mjs')
  for (const word of ['off', 'No']) {
    const env = { SOCKET_LEAK_GUARD_ENABLED: word, SOCKET_LEAK_GUARD_GRACE_MS: 'nonsense' }
    t.same(await runNode(['--require', REGISTER, app], { env }), {
      code: 0,
      signal: null,
      stdout: '{"isInstalled":false}\n',
      stderr: '',
    })
  }
  const unclear = await runNode(['--require', REGISTER, app], { env: { SOCKET_LEAK_GUARD_ENABLED: 'maybe' } })
  t.match(unclear, {
    code: 0,
    stdout: '{"isInstalled":false}\n',
    stderr: /SOCKET_LEAK_GUARD_ENABLED must be/,
  })
})

t.test('an install() with other options after the preload takes the guard over', async (t) => {
  const dir = t.testdir({
    'app.mjs': `
      import { install, installedGuard } from '${INDEX_URL}'
      const preloaded = installedGuard()
      const guard = install({ graceMs: 5000 })
      const { graceMs, action } = guard.options
      console.log(guard === preloaded, graceMs, action)
      try { install({ graceMs: 5 }) } catch (error) { console.log(error.code) }
    `,
  })
  const outcome = await runNode(['--require', REGISTER, join(dir, 'app.mjs')], {
    env: { SOCKET_LEAK_GUARD_ACTION: 'end', SOCKET_LEAK_GUARD_GRACE_MS: '30000' },
  })
  t.match(outcome, { code: 0, stdout: 'true 5000 end\nSLG_ERR_ALREADY_INSTALLED\n', stderr: '' })
})

t.test('an unsupported Node is a warning', async (t) => {
  const dir = t.testdir({
    'pretend.cjs': `Object.defineProperty(process, 'version', { value: 'v18.20.8' })`,
    'app.mjs': WHICH_GUARD,
  })
  const outcome = await runNode([
    '--require',
    join(dir, 'pretend.cjs'),
    '--require',
    REGISTER,
    join(dir, 'app.mjs'),
  ])
  t.match(outcome, { code: 0, stdout: '{"isInstalled":false}\n' })
  t.match(
    outcome.stderr,
    '[SLG_ERR_UNSUPPORTED_NODE] SocketLeakGuardWarning: the guard stays off: this is Node v18.20.8, and it needs ^20.19.0 || >=22.13.0',
  )
})

t.test('where the prototypes are frozen it stays off, with nothing half patched', async (t) => {
  for (const frozen of ["require('node:net').Socket", "require('node:net').Server"]) {
    const dir = t.testdir({
      'freeze.cjs': `Object.preventExtensions(${frozen}.prototype)`,
      'app.cjs': `
        const { Socket } = require('node:net')
        console.log(Object.hasOwn(Socket.prototype, 'push'), Socket[Symbol.for('socket-leak-guard/guard/v1')])
      `,
    })
    const preloads = ['--require', join(dir, 'freeze.cjs'), '--require', REGISTER]
    const outcome = await runNode([...preloads, join(dir, 'app.cjs')])
    t.match(outcome, { code: 0, stdout: 'false undefined\n' }, frozen)
    t.match(outcome.stderr, /\[SLG_ERR_UNSUPPORTED_NODE\] .* the guard stays off: .* are frozen/, frozen)
  }
})

t.test('the supported versions are those of package.json', async (t) => {
  const { engines } = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as {
    engines: { node: string }
  }
  t.equal(SUPPORTED_NODE, engines.node)
  const versions: [string, boolean][] = [
    ['v18.20.8', false],
    ['v20.18.3', false],
    ['v20.19.0', true],
    ['v20.20.2', true],
    ['v21.7.3', false],
    ['v22.12.0', false],
    ['v22.13.0', true],
    ['v23.0.0', true],
    ['v24.21.0', true],
    ['v26.10.0', true],
    ['v27.0.0-nightly20270101', true],
    ['v100.0.0', true],
    ['', false],
    ['unknown', false],
  ]
  for (const [version, isSupported] of versions) t.equal(isSupportedNode(version), isSupported, version)
})

t.test('every worker thread has a guard of its own, and none of them a report endpoint', async (t) => {
  const dir = t.testdir({
    'worker.mjs': `
      import { parentPort } from 'node:worker_threads'
      import { installedGuard } from '${INDEX_URL}'
      const guard = installedGuard()
      parentPort.postMessage(guard === null ? null : [guard.options.graceMs, guard.options.report, guard.listening])
    `,
    'app.mjs': `
      import { once } from 'node:events'
      import { Worker } from 'node:worker_threads'
      import { installedGuard } from '${INDEX_URL}'
      const evaluated = \`
        const guard = require('node:net').Socket[Symbol.for('socket-leak-guard/guard/v1')]
        require('node:worker_threads').parentPort.postMessage(guard && [guard.options.graceMs, guard.options.report, guard.listening])
      \`
      const main = installedGuard()
      const { url } = await main.listening
      console.log(url.startsWith('http://127.0.0.1:'))
      async function say(worker) {
        const [[message], [code]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')])
        console.log(JSON.stringify(message ?? null), code)
      }
      await say(new Worker(new URL('worker.mjs', import.meta.url)))
      await say(new Worker(evaluated, { eval: true }))
    `,
  })
  const env = { SOCKET_LEAK_GUARD_GRACE_MS: '77', SOCKET_LEAK_GUARD_REPORT: '127.0.0.1:0' }
  const required = await runNode(['--require', REGISTER, join(dir, 'app.mjs')], { env })
  t.same(required, {
    code: 0,
    signal: null,
    stdout: 'true\n[77,null,null] 0\n[77,null,null] 0\n',
    stderr: '',
  })
  const imported = await runNode(['--import', REGISTER_URL, join(dir, 'app.mjs')], { env })
  t.match(imported, { code: 0, stdout: /^true\n\[77,null,null\] 0\n/, stderr: '' })
})

t.test('a report port that is taken is one warning, and the guard goes on', async (t) => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const dir = t.testdir({
    'app.mjs': `${WHICH_GUARD}\nawait found.listening.catch((error) => console.log(error.code))`,
  })
  const outcome = await runNode(['--require', REGISTER, join(dir, 'app.mjs')], {
    env: { SOCKET_LEAK_GUARD_REPORT: address },
  })
  t.same(firstLine(outcome), { ...INSTALLED, report: address })
  t.match(outcome, { code: 0, stdout: /\ntrue true\nSLG_ERR_REPORT_LISTEN\n$/ })
  t.match(outcome.stderr, '[SLG_ERR_REPORT_LISTEN] SocketLeakGuardWarning: ')
  t.match(outcome.stderr, address)
  t.equal(outcome.stderr.match(/SocketLeakGuardWarning/g)?.length, 1)
})

t.test('a child that inherits the preload finds the address taken, warns and works', async (t) => {
  const dir = t.testdir({
    'app.mjs': `
      import { spawn } from 'node:child_process'
      import { once } from 'node:events'
      import { installedGuard } from '${INDEX_URL}'
      const { url } = await installedGuard().listening
      const env = { ...process.env, SOCKET_LEAK_GUARD_REPORT: new URL(url).host }
      const child = spawn(process.execPath, ['child.mjs'], { cwd: import.meta.dirname, env, stdio: 'inherit' })
      const [code] = await once(child, 'exit')
      console.log('child', code)
    `,
    'child.mjs': WHICH_GUARD,
  })
  const outcome = await runNode([join(dir, 'app.mjs')], {
    env: { SOCKET_LEAK_GUARD_REPORT: '127.0.0.1:0', NODE_OPTIONS: `--require ${REGISTER}` },
  })
  t.match(firstLine(outcome), { isInstalled: true })
  t.match(outcome, { code: 0, stdout: /\nchild 0\n$/, stderr: /SLG_ERR_REPORT_LISTEN/ })
  t.equal(outcome.stderr.match(/SocketLeakGuardWarning/g)?.length, 1)
})

t.test('in a cluster the primary has the address and every worker a guard', async (t) => {
  const dir = t.testdir({
    'app.mjs': `
      import cluster from 'node:cluster'
      import { once } from 'node:events'
      import http from 'node:http'
      import { installedGuard } from '${INDEX_URL}'
      if (cluster.isPrimary) {
        const { url } = await installedGuard().listening
        const report = new URL(url).host
        const workers = [1, 2].map(() => cluster.fork({ SOCKET_LEAK_GUARD_REPORT: report }))
        const ports = await Promise.all(workers.map(async (worker) => (await once(worker, 'listening'))[0].port))
        for (let i = 0; i < 4; i += 1) {
          const request = http.get({ port: ports[0], host: '127.0.0.1', agent: false })
          const [response] = await once(request, 'response')
          response.resume()
          await once(response, 'end')
          console.log(response.statusCode, response.headers['x-guarded'])
        }
        for (const worker of workers) worker.disconnect()
        await Promise.all(workers.map((worker) => once(worker, 'exit')))
        console.log('workers', workers.map((worker) => worker.process.exitCode).join())
      } else {
        http.createServer((request, response) => {
          const isTracked = installedGuard().snapshot({ all: true }).sockets.length === 1
          response.setHeader('x-guarded', String(isTracked)).end()
        }).listen(0, '127.0.0.1')
      }
    `,
  })
  const outcome = await runNode(['--require', REGISTER, join(dir, 'app.mjs')], {
    env: { SOCKET_LEAK_GUARD_REPORT: '127.0.0.1:0' },
  })
  t.match(outcome, { code: 0, stdout: `${'200 true\n'.repeat(4)}workers 0,0\n` })
  t.equal(outcome.stderr.match(/SLG_ERR_REPORT_LISTEN/g)?.length, 2, 'one warning of each worker')
})
