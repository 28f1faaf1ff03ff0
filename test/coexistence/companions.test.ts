/** What else is preloaded or switched on: the application does the same, and each end of its leak is told once. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import t, { type Test } from 'tap'
import { INDEX_URL, PACKAGE_ROOT, REGISTER, REGISTER_URL } from '../support/package-root.js'
import { runNode, type Outcome } from '../support/run-node.js'

/** A keep-alive connection in good health, and one that its server has forgotten. */
const APP = `
  import { once } from 'node:events'
  import http from 'node:http'
  import net from 'node:net'
  import { text } from 'node:stream/consumers'
  const guard = net.Socket[Symbol.for('socket-leak-guard/guard/v1')]
  const told = []
  const leaked = guard && new Promise((resolve) => guard.subscribe(({ type, socket }) => {
    if (type === 'leaked') told.push(socket)
    if (told.length === 2) resolve()
  }))
  const agent = new http.Agent({ keepAlive: true })
  const web = http.createServer((request, response) => {
    if (request.url === '/leak') leak()
    response.end('hello ' + request.url)
  })
  web.listen(0, '127.0.0.1')
  await once(web, 'listening')
  const get = async (path) => {
    const request = http.get({ host: '127.0.0.1', port: web.address().port, path, agent })
    const [response] = await once(request, 'response')
    const body = await text(response)
    if (!request.destroyed) await once(request, 'close')
    console.log(response.statusCode, body, request.reusedSocket)
  }
  let held, client
  const forgetful = net.createServer({ allowHalfOpen: true }, (socket) => { held = socket.resume() })
  forgetful.listen(0, '127.0.0.1')
  await once(forgetful, 'listening')
  const events = []
  function leak() {
    client = net.connect(forgetful.address().port, '127.0.0.1')
    for (const event of ['connect', 'finish', 'end', 'close']) client.on(event, () => events.push(event))
    client.resume().end('bye')
  }
  await get('/1')
  await get('/leak')
  if (!client.writableFinished) await once(client, 'finish')
  if (held === undefined) await once(forgetful, 'connection')
  await leaked
  guard?.sweep()
  await get('/2')
  const closed = once(client, 'close')
  held.end()
  await closed
  console.log(events.join())
  agent.destroy()
  web.close()
  forgetful.close()
  if (guard) console.error(told.map(({ condition, owner }) => condition + ' ' + owner.site.replace(/:\\d+$/, ':N')).sort().join())
`

const ENV = { SOCKET_LEAK_GUARD_GRACE_MS: '100', SOCKET_LEAK_GUARD_SWEEP_MS: '20' }
const TOLD = /^eof-ignored listener :N,fin-wait GET \/leak → 127\.0\.0\.1:N$/

// Many processes, one after the other: run without the test runner, the file would have 30 seconds.
t.setTimeout(120_000)

/** The flags' own warnings, which Node gives without the guard too. */
function ownWords({ stderr }: Outcome): string {
  return stderr.replaceAll(/^\(.*(?:ExperimentalWarning|--trace-warnings).*\n/gm, '').trim()
}

/** @returns what it does without the guard */
async function same(t: Test, app: string, bare: readonly string[], ...guarded: string[][]): Promise<Outcome> {
  const isBare = bare.includes('--allow-fs-read=*')
  const expected = await runNode([...bare, app], { isBare })
  t.match(expected, { code: 0, stdout: /^200 hello \/1 false\n200 hello \/leak true\n200 hello \/2 true\n/ })
  for (const flags of guarded) {
    const outcome = await runNode([...flags, app], { env: ENV, isBare })
    t.match(outcome, { code: 0, stdout: expected.stdout }, flags.join(' '))
    t.match(ownWords(outcome), TOLD, flags.join(' '))
  }
  return expected
}

const folderOf = (t: Test): string => t.testdir({ 'app.mjs': APP })
const requireGuard = ['--require', REGISTER]
const importGuard = ['--import', REGISTER_URL]

t.test('cls-hooked, before and after', async (t) => {
  const cls = ['--require', join(PACKAGE_ROOT, 'node_modules', 'cls-hooked')]
  await same(t, join(folderOf(t), 'app.mjs'), cls, [...cls, ...requireGuard], [...requireGuard, ...cls])
})

t.test('async-listener, before and after', async (t) => {
  const listener = ['--require', join(PACKAGE_ROOT, 'node_modules', 'async-listener')]
  const app = join(folderOf(t), 'app.mjs')
  await same(t, app, listener, [...listener, ...requireGuard], [...requireGuard, ...listener])
})

t.test('the instrumentation of OpenTelemetry for http, net and undici, before and after', async (t) => {
  const folder = t.testdir({
    'telemetry.cjs': `
      const sdk = require('@opentelemetry/sdk-trace-node')
      const { HttpInstrumentation } = require('@opentelemetry/instrumentation-http')
      const { NetInstrumentation } = require('@opentelemetry/instrumentation-net')
      const { UndiciInstrumentation } = require('@opentelemetry/instrumentation-undici')
      const exporter = new sdk.InMemorySpanExporter()
      const provider = new sdk.NodeTracerProvider({ spanProcessors: [new sdk.SimpleSpanProcessor(exporter)] })
      provider.register()
      for (const Instrumentation of [HttpInstrumentation, NetInstrumentation, UndiciInstrumentation])
        new Instrumentation().setTracerProvider(provider)
      // An import would not go through what it has put before require().
      for (const name of ['net', 'http']) require(name)
      process.on('exit', () => {
        const names = exporter.getFinishedSpans().map(({ name, kind }) => kind + ' ' + name)
        console.log(names.sort().join())
      })`,
    'app.mjs': APP.replace(
      `await get('/2')`,
      `await get('/2')
       console.log(await (await fetch('http://127.0.0.1:' + web.address().port + '/3')).text())`,
    ),
  })
  const telemetry = ['--require', join(folder, 'telemetry.cjs')]
  const app = join(folder, 'app.mjs')
  const bare = await same(t, app, telemetry, [...telemetry, ...requireGuard], [...requireGuard, ...telemetry])
  t.match(bare.stdout, /hello \/3\n[^]*\n0 tcp.connect,[^]*1 GET,[^]*2 GET/)
})

t.test('agentkeepalive', async (t) => {
  const folder = t.testdir({
    'app.mjs': `import Agent from 'agentkeepalive'\n${APP.replace('new http.Agent(', 'new Agent(')}`,
  })
  await same(t, join(folder, 'app.mjs'), [], requireGuard, importGuard)
})

t.test('another version of this package, before and after', async (t) => {
  const folder = folderOf(t)
  const other = join(folder, 'node_modules', 'socket-leak-guard')
  cpSync(join(PACKAGE_ROOT, 'dist'), join(other, 'dist'), { recursive: true })
  const description = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as object
  writeFileSync(join(other, 'package.json'), JSON.stringify({ ...description, version: '9.9.9' }))
  const otherGuard = ['--require', join(other, 'dist', 'register.cjs')]
  const otherImported = ['--import', pathToFileURL(join(other, 'dist', 'register.js')).href]
  const app = join(folder, 'app.mjs')
  await same(t, app, [], [...requireGuard, ...otherGuard], [...otherGuard, ...importGuard])
  await same(t, app, [], [...requireGuard, ...otherImported])
  writeFileSync(
    join(folder, 'takes-over.mjs'),
    `import { install, installedGuard } from 'socket-leak-guard'
     const preloaded = installedGuard()
     console.log(preloaded.options.graceMs, install({ graceMs: 7 }) === preloaded, preloaded.options.graceMs)`,
  )
  const outcome = await runNode([...requireGuard, join(folder, 'takes-over.mjs')], { env: ENV })
  t.match(outcome, { code: 0, stdout: '100 true 7\n', stderr: '' })
})

t.test('--frozen-intrinsics', async (t) => {
  const frozen = ['--frozen-intrinsics']
  await same(
    t,
    join(folderOf(t), 'app.mjs'),
    frozen,
    [...frozen, ...requireGuard],
    [...frozen, ...importGuard],
  )
})

const flags = process.allowedNodeEnvironmentFlags
const permission = [
  flags.has('--permission') ? '--permission' : '--experimental-permission',
  '--allow-fs-read=*',
]

t.test('--permission', async (t) => {
  const allowed = [...permission, ...(flags.has('--allow-net') ? ['--allow-net'] : [])]
  await same(t, join(folderOf(t), 'app.mjs'), allowed, [...allowed, ...requireGuard])
})

t.test('a report where listening is forbidden does not end the process', async (t) => {
  const program = `
    const { listening } = require('node:net').Socket[Symbol.for('socket-leak-guard/guard/v1')]
    const waiting = setInterval(() => {}, 1000)
    listening.then(() => 'listening', ({ code, message }) => code + ' ' + message).then((outcome) => {
      clearInterval(waiting)
      console.log(outcome)
    })`
  const outcome = await runNode([...permission, ...requireGuard, '--eval', program], {
    env: { SOCKET_LEAK_GUARD_REPORT: '127.0.0.1:0' },
    isBare: true,
  })
  const expected = flags.has('--allow-net') ? /^SLG_ERR_REPORT_LISTEN .*--allow-net/ : /^listening$/m
  t.match(outcome, { code: 0, stdout: expected })
})

t.test('bundled by esbuild, with the guard of the bundle and under a preloaded one', async (t) => {
  const folder = t.testdir({ 'app.mjs': `import '${REGISTER_URL.slice('file://'.length)}'\n${APP}` })
  const app = join(folder, 'bundle.mjs')
  await build({
    entryPoints: [join(folder, 'app.mjs')],
    outfile: app,
    bundle: true,
    minify: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'error',
  })
  for (const preload of [[], requireGuard]) {
    const outcome = await runNode([...preload, app], { env: ENV })
    t.match(outcome, { code: 0, stdout: /\n200 hello \/2 true\nconnect,finish,end,close\n$/ })
    t.match(ownWords(outcome), TOLD)
  }
})

t.test('a startup snapshot, preloaded where it is run', async (t) => {
  const folder = t.testdir({
    'app.cjs': `
      const net = require('node:net')
      require('node:v8').startupSnapshot.setDeserializeMainFunction(() => {
        const guard = net.Socket[Symbol.for('socket-leak-guard/guard/v1')]
        const server = net.createServer({ allowHalfOpen: true }, (socket) => {
          socket.resume()
          guard.subscribe(({ type }) => {
            if (type !== 'leaked' || socket.writableEnded) return
            console.log(type)
            socket.end()
            server.close()
          })
        })
        server.listen(0, '127.0.0.1', () => net.connect(server.address().port, '127.0.0.1').resume().end())
      })`,
  })
  const blob = ['--snapshot-blob', join(folder, 'app.blob')]
  const built = await runNode([...blob, '--build-snapshot', join(folder, 'app.cjs')])
  t.equal(built.code, 0, built.stderr)
  t.match(await runNode([...blob, ...requireGuard, 'app'], { env: ENV }), {
    code: 0,
    stdout: 'leaked\n',
    stderr: '',
  })
})

t.test('a startup snapshot holds no guard, and its main function installs one', async (t) => {
  const folder = t.testdir({
    'app.mjs': `
      import v8 from 'node:v8'
      import { install, installedGuard } from '${INDEX_URL.slice('file://'.length)}'
      let refused = 'not refused'
      try {
        install()
      } catch ({ code }) {
        refused = code
      }
      v8.startupSnapshot.setDeserializeMainFunction(() => {
        console.log(refused, installedGuard())
        install({ sweepMs: 10 })
        setTimeout(() => console.log(installedGuard().sweep().totals.tracked), 100)
      })`,
  })
  const app = join(folder, 'bundle.js')
  await build({
    entryPoints: [join(folder, 'app.mjs')],
    outfile: app,
    bundle: true,
    platform: 'node',
    external: ['koffi'],
    logLevel: 'error',
  })
  const blob = ['--snapshot-blob', join(folder, 'app.blob')]
  const built = await runNode([...blob, '--build-snapshot', app])
  t.equal(built.code, 0, built.stderr)
  t.match(await runNode([...blob, 'app']), { code: 0, stdout: 'SLG_ERR_UNSUPPORTED_NODE null\n0\n' })
})

t.test('tools that list what keeps a process running do not name the guard', async (t) => {
  const program = `
    import { createHook } from 'node:async_hooks'
    const refs = new Map()
    createHook({ init: (id, type, _, resource) => refs.set(type, resource.hasRef?.()) }).enable()
    const { install } = await import('${INDEX_URL}')
    install()
    console.log(refs.get('SocketLeakGuard'))`
  t.match(await runNode(['--input-type=module', '--eval', program]), {
    code: 0,
    stdout: 'false\n',
    stderr: '',
  })
})
