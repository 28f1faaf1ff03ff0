/** Where context comes from: the stores of applications, what may be copied out of them, and providers that misbehave. */
import { AsyncLocalStorage, executionAsyncResource } from 'node:async_hooks'
import { once } from 'node:events'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNamespace, destroyNamespace } from 'cls-hooked'
import t, { type Test } from 'tap'
import {
  fromAsyncLocalStorage,
  fromClsHooked,
  install,
  type ContextProvider,
  type SocketReport,
} from '../../../src/index.js'
import { usesAsyncContextFrame } from '../../../src/owner/context/async-context-frame.js'
import { moduleUrl, PACKAGE_ROOT } from '../../support/package-root.js'
import { listen } from '../../support/events.js'
import { runNode } from '../../support/run-node.js'

type Values = Readonly<Record<string, string>>

/** What the report says of a connection that `open` opens. */
async function contextOf(
  t: Test,
  context: ContextProvider | 'cls-hooked',
  within: (open: () => net.Socket) => net.Socket | Promise<net.Socket>,
): Promise<Values> {
  using guard = install({ context, sweepMs: 60_000 })
  const server = net.createServer((socket) => socket.on('error', () => {}).resume())
  const port = await listen(server)
  const socket = await within(() => net.connect(port, '127.0.0.1'))
  t.teardown(() => {
    socket.destroy()
    server.close()
  })
  await once(socket, 'connect')
  const isOpened = ({ direction, remote }: SocketReport): boolean =>
    direction === 'outbound' && remote?.port === port
  return guard.snapshot({ all: true }).sockets.find(isOpened)!.owner.context
}

t.test("an application's AsyncLocalStorage", async (t) => {
  const storage = new AsyncLocalStorage<{ requestId: string; user: object }>()
  const context = fromAsyncLocalStorage(storage, ({ requestId, user }) => ({
    requestId,
    user,
    long: 'x'.repeat(1000),
    count: 3,
  }))
  const values = await contextOf(t, context, (open) =>
    storage.run({ requestId: 'r-1', user: { password: 'secret' } }, async () => {
      await null
      return open()
    }),
  )
  t.same(values, { requestId: 'r-1', long: `${'x'.repeat(197)}...`, count: '3' }, 'short values, no objects')
  t.same(await contextOf(t, context, (open) => open()), {}, 'nothing outside of it')
})

t.test('cls-hooked, a namespace or its name', async (t) => {
  const namespace = createNamespace('my-app')
  t.teardown(() => destroyNamespace('my-app'))
  function inside(open: () => net.Socket): net.Socket {
    return namespace.runAndReturn(() => {
      namespace.set('requestId', 'r-2')
      namespace.set('password', 'secret')
      return open()
    })
  }
  for (const given of [namespace, 'my-app'])
    t.same(await contextOf(t, fromClsHooked(given, ['requestId', 'missing']), inside), { requestId: 'r-2' })
  t.same(await contextOf(t, fromClsHooked('another', ['requestId']), inside), {})
  t.same(await contextOf(t, 'cls-hooked', inside), { requestId: 'r-2' }, 'the well-known ids alone')
  t.same(await contextOf(t, 'cls-hooked', (open) => open()), {}, 'nothing outside of it')
})

t.test('cls-hooked that is not installed', async (t) => {
  // Below the temporary folder of the operating system nothing is installed.
  const away = mkdtempSync(join(tmpdir(), 'socket-leak-guard-'))
  t.teardown(() => rmSync(away, { recursive: true }))
  cpSync(join(PACKAGE_ROOT, 'dist'), join(away, 'copy'), { recursive: true })
  writeFileSync(join(away, 'copy', 'package.json'), '{ "type": "module" }')
  const app = join(away, 'copy', 'app.mjs')
  writeFileSync(
    app,
    `import { install, installedGuard } from './index.js'
    if (process.argv[2] === 'install') {
      try { install({ context: 'cls-hooked' }) } catch (error) { console.log(error.code) }
    }
    console.log(installedGuard())`,
  )
  const installed = await runNode([app, 'install'], { cwd: away })
  t.match(installed, { code: 0, stdout: 'SLG_ERR_MISSING_PEER\nnull\n' })
  const preloaded = await runNode(['--require', join(away, 'copy', 'register.cjs'), app], {
    cwd: away,
    env: { SOCKET_LEAK_GUARD_CONTEXT: 'cls-hooked' },
  })
  t.match(preloaded, { code: 0, stdout: 'null\n', stderr: /SLG_ERR_MISSING_PEER/ })
})

t.test('a provider that throws is warned about once, and counts as none', async (t) => {
  const warnings: string[] = []
  function onWarning({ message }: Error): void {
    warnings.push(message)
  }
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))
  const broken: ContextProvider = {
    name: 'broken',
    current() {
      throw new Error('no context today')
    },
  }
  t.same(await contextOf(t, broken, (open) => open()), {})
  t.same(await contextOf(t, broken, (open) => open()), {})
  t.same(warnings, ['the context provider "broken" threw: no context today'])
})

t.test('a provider that runs is fed with the request, and can not break the handler', async (t) => {
  const storage = new AsyncLocalStorage<Values>()
  const current = (): Values | null => storage.getStore() ?? null
  const ways: [name: string, run: NonNullable<ContextProvider['run']>, seen: Values | null][] = [
    ['as it should', (values, fn) => storage.run(values, fn), { request: 'GET /a/1' }],
    ['never calls', () => undefined as never, null],
    [
      'calls twice',
      (values, fn) => (storage.run(values, fn), storage.run(values, fn)),
      { request: 'GET /a/1' },
    ],
    [
      'throws',
      () => {
        throw new Error('broken')
      },
      null,
    ],
  ]
  for (const [name, run, expected] of ways) {
    using guard = install({ context: { name: 'own', current, run }, sweepMs: 60_000 })
    t.ok(guard)
    const seen: (Values | null)[] = []
    const server = http.createServer((_request, response) => {
      seen.push(current())
      response.end('done')
    })
    const port = await listen(server)
    const response = await fetch(`http://127.0.0.1:${port}/a/1?secret=1`)
    t.equal(await response.text(), 'done', name)
    t.same(seen, [expected], name)
    server.closeAllConnections()
    server.close()
  }
})

t.test('what a handler throws stays its own', async (t) => {
  for (const context of [
    'async-local-storage',
    {
      name: 'own',
      current: () => null,
      run: (_values: Values, fn: () => unknown) => fn(),
    } as ContextProvider,
  ] as const) {
    using guard = install({ context, sweepMs: 60_000 })
    t.ok(guard)
    const server = http.createServer(() => {
      throw new Error('of the handler')
    })
    t.throws(() => server.emit('request', { method: 'GET', url: '/' }, {}), { message: 'of the handler' })
    t.throws(() => server.emit('request'), { message: 'of the handler' })
    t.equal(server.emit('unheard', { method: 'GET' }), false)
  }
})

t.test('is AsyncLocalStorage carried by V8? Told by what it does', async (t) => {
  const storage = new AsyncLocalStorage<object>()
  const mark = {}
  const resource = storage.run(mark, () => {
    const found = executionAsyncResource() as Record<symbol, unknown>
    return Object.getOwnPropertySymbols(found).some((key) => found[key] === mark)
  })
  storage.disable()
  t.equal(usesAsyncContextFrame(), !resource)
  const flag = ['--no-async-context-frame', '--experimental-async-context-frame'].find(
    (name) =>
      process.allowedNodeEnvironmentFlags.has(name.replace('--no-', '--')) &&
      name.startsWith('--no-') === usesAsyncContextFrame(),
  )
  if (flag === undefined) return
  const source = `import { usesAsyncContextFrame } from '${moduleUrl('src/owner/context/async-context-frame.js')}'
    console.log(usesAsyncContextFrame())`
  const { stdout, code, stderr } = await runNode([flag, '--input-type=module', '--eval', source])
  t.same({ stdout, code }, { stdout: `${!usesAsyncContextFrame()}\n`, code: 0 }, `${flag} ${stderr}`)
})
