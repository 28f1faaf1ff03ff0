/** What `npm publish` would send: packed, installed into an empty folder without a network, and used from there. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import t, { type Test } from 'tap'
import { compile, makeConsumer, MANIFEST } from './support/consumer.js'
import { PACKAGE_ROOT } from './support/package-root.js'
import { runNode } from './support/run-node.js'

// Many processes, one after the other: run without the test runner, the file would have 30 seconds.
t.setTimeout(120_000)

const { name, exports } = MANIFEST
const specifiers = Object.keys(exports).map((path) => name + path.slice(1))
const modules = specifiers.filter((specifier) => !specifier.endsWith('.json'))

const { folder: consumer, packed } = await makeConsumer(t)
const paths = packed.files.map(({ path }) => path)

/** Runs a module of the consumer. */
async function use(t: Test, source: string, flags: readonly string[] = []): Promise<string> {
  const file = join(consumer, 'use.mjs')
  writeFileSync(file, source)
  const { code, stdout, stderr } = await runNode([...flags, file], { cwd: consumer })
  t.equal(stderr, '', 'no warning')
  t.equal(code, 0)
  return stdout
}

t.test('holds what is needed, and nothing else', async (t) => {
  const allowed =
    /^(?:dist\/(?:chunks\/)?[\w.-]+\.(?:c?js|d\.c?ts)|[A-Z]+\.md|LICENSE|package\.json|dist\/report\.schema\.json)$/
  t.same(
    paths.filter((path) => !allowed.test(path)),
    [],
  )
  for (const path of ['LICENSE', 'README.md', 'dist/index.js', 'dist/index.d.ts'])
    t.ok(paths.includes(path), path)
})

t.test('stays small', async (t) => {
  t.ok(paths.length < 50, `${paths.length} files`)
  t.ok(packed.unpackedSize < 780_000, `${packed.unpackedSize} bytes unpacked`)
})

t.test('has the notice of each package whose code is in it', async (t) => {
  const licence = readFileSync(join(consumer, 'node_modules', name, 'LICENSE'), 'utf8')
  const bundled = [
    ...['@jridgewell/resolve-uri', '@jridgewell/sourcemap-codec', '@jridgewell/trace-mapping'],
    'uplot',
  ]
  t.same(
    [...licence.matchAll(/^## (.+)$/gm)].map(([, title]) => title),
    bundled,
    'as the bundler has told',
  )
  for (const one of bundled) {
    const notice = readFileSync(join(PACKAGE_ROOT, 'node_modules', one, 'LICENSE'), 'utf8')
    t.ok(licence.includes(notice.trim()), one)
  }
})

t.test('an error that nobody catches shows a line of ours, not all of it', async (t) => {
  for (const path of paths.filter((path) => /\.c?js$/.test(path))) {
    const lines = readFileSync(join(consumer, 'node_modules', name, path), 'utf8').split('\n')
    t.ok(Math.max(...lines.map((line) => line.length)) < 20_000, path)
  }
})

t.test('the command line runs, and nothing else loads it', async (t) => {
  const folder = join(consumer, 'node_modules')
  const { version } = JSON.parse(readFileSync(join(folder, name, 'package.json'), 'utf8')) as {
    version: string
  }
  const { stdout } = await runNode([join(folder, '.bin', name), '--version'])
  t.equal(stdout, `${version}\n`)
  const loaders = paths.filter((path) => /\.c?js$/.test(path) && path !== 'dist/cli.js')
  for (const path of loaders)
    t.notMatch(readFileSync(join(folder, name, path), 'utf8'), /cli\.js|SIGUSR1/, path)
})

t.test('brings nothing else with it', async (t) => {
  const installed = readdirSync(join(consumer, 'node_modules')).filter((entry) => !entry.startsWith('.'))
  t.same(installed, [name])
  t.notOk(existsSync(join(consumer, 'node_modules', name, 'node_modules')))
})

t.test('every path of "exports" can be imported and required, with nothing else installed', async (t) => {
  const source = `
    import { existsSync } from 'node:fs'
    import { createRequire } from 'node:module'
    const require = createRequire(import.meta.url)
    for (const specifier of ${JSON.stringify(modules)}) {
      const imported = await import(specifier).catch((error) => error)
      if (imported instanceof Error) {
        console.log(specifier, imported.message)
        continue
      }
      const required = require(specifier)
      console.log(specifier, Object.keys(imported).every((key) => imported[key] === required[key]))
    }
    for (const specifier of ${JSON.stringify(specifiers.filter((path) => path.endsWith('.json')))}) {
      console.log(specifier, existsSync(require.resolve(specifier)) && typeof require(specifier) === 'object')
    }
  `
  const lines = (await use(t, source)).trim().split('\n')
  t.same(lines.sort(), specifiers.map((specifier) => `${specifier} true`).sort())
})

t.test('what is not in "exports" is not reachable', async (t) => {
  const source = `await import('${name}/dist/index.js').catch(({ code }) => console.log(code))`
  t.equal(await use(t, source), 'ERR_PACKAGE_PATH_NOT_EXPORTED\n')
})

t.test('the public names are these', async (t) => {
  const names = async (specifier: string): Promise<string[]> =>
    JSON.parse(
      await use(t, `console.log(JSON.stringify(Object.keys(await import('${specifier}')).sort()))`),
    ) as string[]
  t.same(await names(name), [
    'ACTIONS',
    'CONDITIONS',
    'EVENT_TYPES',
    'KINDS',
    'SocketLeakGuardError',
    'VERDICTS',
    'fromAsyncLocalStorage',
    'fromClsHooked',
    'install',
    'installedGuard',
    'reportHandler',
    'wrongServer',
  ])
  t.same(await names(`${name}/testing`), ['assertNoLeaks', 'trackLeaks'])
  t.same(await names(`${name}/register`), [])
})

t.test('import, require(), --import and --require share one module and one guard', async (t) => {
  const source = `
    import { createRequire } from 'node:module'
    import { install, installedGuard } from '${name}'
    const required = createRequire(import.meta.url)('${name}')
    const guard = installedGuard()
    console.log(guard !== null, required.install === install, required.installedGuard() === guard, install() === guard)
  `
  const register = `${name}/register`
  for (const flags of [
    ['--require', register],
    ['--import', register],
    ['--require', register, '--import', register],
  ]) {
    t.equal(await use(t, source, flags), 'true true true true\n', flags.join(' '))
  }
  const late = `
    import { createRequire } from 'node:module'
    import { installedGuard } from '${name}'
    createRequire(import.meta.url)('${register}')
    const guard = installedGuard()
    await import('${register}')
    console.log(guard !== null, installedGuard() === guard)
  `
  t.equal(await use(t, late), 'true true\n')
})

t.test("the preload works where require() can't load ES modules", async (t) => {
  const app = join(consumer, 'plain.cjs')
  const guard = `require('node:net').Socket[Symbol.for('socket-leak-guard/guard/v1')]`
  writeFileSync(app, `console.log('running', ${guard} !== undefined)`)
  for (const preload of ['--require', '--import']) {
    const flags = ['--no-experimental-require-module', preload, `${name}/register`]
    const outcome = await runNode([...flags, app], { cwd: consumer })
    t.match(outcome, { code: 0, stdout: 'running true\n', stderr: '' }, preload)
  }
})

t.test(
  'what asks the kernel is loaded with the first question, and never at the cost of an error',
  async (t) => {
    const app = join(consumer, 'asking.cjs')
    writeFileSync(
      app,
      `const { openSync, closeSync } = require('node:fs')
    const guard = require('${name}').installedGuard()
    const isLoaded = () => Object.keys(require.cache).some((path) => path.endsWith('later.cjs'))
    const seen = [isLoaded()]
    const files = []
    try { for (;;) files.push(openSync('/dev/null')) } catch (error) { seen.push(error.code) }
    seen.push(guard.report().kernel, isLoaded())
    files.forEach(closeSync)
    seen.push(guard.report().kernel.probe, isLoaded())
    console.log(JSON.stringify(seen))`,
    )
    const run = `ulimit -n 64; exec "$0" --require ${name}/register "$1"`
    const { stdout, stderr } = await runNode(['-c', run, process.execPath, app], {
      cwd: consumer,
      node: 'sh',
    })
    t.equal(stderr, '')
    t.same(JSON.parse(stdout), [
      false,
      'EMFILE',
      { probe: 'none', reason: 'kernel view: the process is out of descriptors' },
      false,
      'proc',
      true,
    ])
  },
)

t.test('an application that is bundled with the guard in it keeps the view of the kernel', async (t) => {
  const away = mkdtempSync(join(tmpdir(), 'slg-bundled-'))
  t.teardown(() => rmSync(away, { recursive: true, force: true }))
  const source = join(consumer, 'bundled.mjs')
  for (const [format, load] of [
    ['esm', `import { install } from '${name}'; const guard = install()`],
    ['cjs', `import { install } from '${name}'; const guard = install()`],
    ['cjs', `require('${name}/register'); const guard = require('${name}').installedGuard()`],
  ] as const) {
    const file =
      format === 'esm' ? source : source.replace('.mjs', load.startsWith('import') ? '.mjs' : '.cjs')
    writeFileSync(file, `${load}; console.log(guard.report().kernel.probe)`)
    const outfile = join(away, `app.${format === 'esm' ? 'mjs' : 'cjs'}`)
    await build({ entryPoints: [file], outfile, bundle: true, platform: 'node', format, logLevel: 'error' })
    t.match(await runNode([outfile], { cwd: away }), { code: 0, stdout: 'proc\n' }, `${format}: ${load}`)
  }
})

t.test('the types resolve and say what the code does', async (t) => {
  writeFileSync(
    join(consumer, 'consumer.ts'),
    `
      import { install, installedGuard, SocketLeakGuardError, type Guard, type GuardEvent, type Report } from '${name}'
      import { guardServer } from '${name}/net'
      import '${name}/register'
      import { assertNoLeaks, trackLeaks, type LeaksFoundError } from '${name}/testing'
      import { createServer } from 'node:net'
      ${modules.map((specifier, i) => `import * as module${i} from '${specifier}'`).join('\n')}

      void [${modules.map((_, i) => `module${i}`).join()}]
      const guard: Guard = install({ graceMs: 1000, action: (socket) => (socket.verdict === 'leaked' ? 'end' : 'report') })
      const report: Report = guard.snapshot({ all: true, unsettled: true })
      const same: Guard | null = installedGuard()
      const unsubscribe: () => void = guard.subscribe((event: GuardEvent) => console.log(event.socket.diagnosis))
      const guarded = guardServer(createServer(), { label: 'ingest' })
      const check: () => Promise<void> = trackLeaks({ open: 'fail', ignore: ({ remote }) => remote?.port === 5432 })
      assertNoLeaks({ timeoutMs: 10, guard }).catch((error: LeaksFoundError) => console.log(error.sockets[0]?.condition))
      // @ts-expect-error: no such action
      install({ action: 'explode' })
      // @ts-expect-error: no such option
      install({ grace: 5 })
      // @ts-expect-error: a report can't be changed
      report.totals.leaked = 0
      const code: SocketLeakGuardError['code'] = 'SLG_ERR_LEAKS_FOUND'
      void [same, unsubscribe, guarded, check, code]
    `,
  )
  writeFileSync(
    join(consumer, 'legacy.cts'),
    `
      import slg = require('${name}')
      import testing = require('${name}/testing')
      const guard: slg.Guard = slg.install()
      void [guard, testing.trackLeaks]
    `,
  )
  t.equal(await compile(consumer, ['consumer.ts', 'legacy.cts']), '')
})
