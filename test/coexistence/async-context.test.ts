/** Nothing of the guard's runs in the async context of whoever called it, nor keeps that alive. */
import { AsyncLocalStorage } from 'node:async_hooks'
import diagnostics from 'node:diagnostics_channel'
import { once } from 'node:events'
import net from 'node:net'
import v8 from 'node:v8'
import vm from 'node:vm'
import t, { type Test } from 'tap'
import { guardServer } from '../../adapters/net/index.js'
import { createDetached } from '../../src/base/detached.js'
import { install, type Guard, type InstallOptions } from '../../src/index.js'
import { drainServer } from '../../src/drain/index.js'
import { lint } from '../../src/lint/index.js'
import { closeAfter } from '../support/close-after.js'
import { listen } from '../support/events.js'
import { until } from '../support/until.js'

v8.setFlagsFromString('--expose-gc')
const collect = vm.runInNewContext('gc') as () => void
// Node makes this stream when it is first asked for, and it keeps the context of that moment.
void process.stderr

const requests = new AsyncLocalStorage<object>()
const OPTIONS: InstallOptions = { graceMs: 100, sweepMs: 20, kernel: 'off', context: 'off', logIntervalMs: 0 }

/** What has run since, and what of that in a request's context. */
interface Notes {
  readonly told: Set<string>
  readonly borrowed: Set<string>
  note(what: string): void
}

function takeNotes(): Notes {
  const told = new Set<string>()
  const borrowed = new Set<string>()
  return {
    told,
    borrowed,
    note(what) {
      told.add(what)
      if (requests.getStore() !== undefined) borrowed.add(what)
    },
  }
}

function watch(t: Test, { note }: Notes): Guard {
  const guard = install({
    ...OPTIONS,
    log: () => note('log'),
    action() {
      note('action')
      return 'destroy'
    },
  })
  guard.subscribe(({ type }) => note(type))
  const onLeaked = () => note('channel')
  diagnostics.subscribe('socket-leak-guard:leaked', onLeaked)
  t.teardown(() => {
    diagnostics.unsubscribe('socket-leak-guard:leaked', onLeaked)
    guard.uninstall()
  })
  return guard
}

async function accept(t: Test): Promise<{ socket: net.Socket; client: net.Socket; server: net.Server }> {
  const server = closeAfter(
    t,
    net.createServer({ allowHalfOpen: true }, (socket) => socket.resume()),
  )
  const client = net.connect({ port: await listen(server), host: '127.0.0.1', allowHalfOpen: true })
  t.teardown(() => client.destroy())
  client.on('error', () => {})
  const [socket] = (await once(server, 'connection')) as [net.Socket]
  socket.on('error', () => {})
  return { socket, client, server }
}

const CALLS: Readonly<Record<string, (guard: Guard, socket: net.Socket, server: net.Server) => unknown>> = {
  'sweep()': (guard) => guard.sweep(),
  'report()': (guard) => guard.report(),
  'snapshot()': (guard) => guard.snapshot({ all: true }),
  'subscribe()': (guard) => guard.subscribe(() => {}),
  'exempt()': (guard, socket) => guard.exempt(socket),
  'label()': (guard, socket) => guard.label(socket, 'it'),
  'configure()': (guard, socket) => guard.configure(socket, { graceMs: 50 }),
  'reclaim()': (guard, socket) => guard.reclaim(guard.adapter.describe(socket)!.id, 'end'),
  'describe()': (guard, socket) => guard.adapter.describe(socket),
  'attribute()': (guard, socket) => guard.adapter.attribute(socket, { kind: 'upgrade' }),
  'nameRoute()': (guard) => guard.adapter.nameRoute({}, () => '/'),
  'drainServer()': (guard) => drainServer(guard, net.createServer().listen(0), { timeoutMs: 10 }),
  'lint()': () => lint(),
  'guardServer()': (_, __, server) => guardServer(server, { graceMs: 50 }),
  'destroy()': (_, socket) => socket.destroy(),
}

for (const [name, call] of Object.entries(CALLS)) {
  t.test(name, async (t) => {
    const notes = takeNotes()
    const guard = watch(t, notes)
    const bystander = await accept(t)
    let store: WeakRef<object>
    ;(function serveRequest() {
      const body = { text: 'x'.repeat(100) }
      store = new WeakRef(body)
      requests.run(body, () => void call(guard, bystander.socket, bystander.server))
    })()
    const other = await accept(t)
    other.client.resume().end()
    await once(other.socket, 'close')
    const all = ['suspect', 'leaked', 'reclaimed', 'log', 'action', 'channel']
    await until(() => all.every((what) => notes.told.has(what)), `all of it was told: ${all.join(', ')}`)
    t.same([...notes.borrowed], [])
    await until(() => {
      collect()
      return store.deref() === undefined
    }, 'the store is collected')
  })
}

t.test('a leak that the application closes in a request is told outside of it', async (t) => {
  const notes = takeNotes()
  watch(t, notes)
  const { socket, client } = await accept(t)
  client.on('close', () => notes.note('recovered'))
  client.end()
  await until(() => notes.told.has('leaked'), 'it leaked')
  requests.run({}, () => socket.destroy())
  t.same([...notes.borrowed], [])
})

t.test('what is detached stays so, also after enterWith()', async (t) => {
  const inRequest = requests.run({}, createDetached)
  inRequest(() => requests.enterWith({ left: 'behind' }))
  t.equal(
    inRequest(() => requests.getStore()),
    undefined,
  )
  const later = requests.run({}, () =>
    inRequest(() => new Promise((resolve) => setTimeout(() => resolve(requests.getStore()), 1))),
  )
  t.equal(await later, undefined)
  t.equal(
    requests.run({ mine: 1 }, () => {
      inRequest(() => {})
      return (requests.getStore() as { mine: number }).mine
    }),
    1,
    'the caller keeps its own',
  )
  t.throws(
    () =>
      inRequest(() => {
        throw new Error('through')
      }),
    'through',
  )
})
