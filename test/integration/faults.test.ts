/** What goes wrong around the guard: it neither does harm nor stops working. */
import { execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { install, type Guard, type GuardEvent, type InstallOptions, type Report } from '../../src/index.js'
import type { WaitingServer } from '../programs/waiting-server.js'
import { Actor } from '../support/actor.js'
import { meet, nextEvent } from '../support/events.js'
import { Peer } from '../support/peer.js'
import { cleanEnvironment } from '../support/run-node.js'
import { until } from '../support/until.js'

const peer = new Peer()
t.teardown(() => peer.kill())

function block(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}

function halfOpenServer(t: Test): net.Server {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.resume().on('error', () => {})
    t.teardown(() => socket.destroy())
  })
  t.teardown(() => server.close())
  return server
}

/** A socket of ours whose peer has ended: soon a leak. */
async function leave(t: Test, server = halfOpenServer(t)): Promise<net.Socket> {
  const { socket, connection } = await meet(peer, server)
  connection.do({ do: 'end' })
  await once(socket, 'end')
  return socket
}

/** What the process is warned of meanwhile. */
function warnings(t: Test): Error[] {
  const told: Error[] = []
  const hear = (warning: Error): void => void told.push(warning)
  process.on('warning', hear)
  t.teardown(() => process.off('warning', hear))
  return told
}

function look(guard: Guard, sweep: 'timer' | 'call'): Report {
  return sweep === 'call' ? guard.sweep() : guard.snapshot()
}

const LINUX = { skip: process.platform !== 'linux' }
const SWIFT: InstallOptions = { graceMs: 400, sweepMs: 20, log: false }

for (const sweep of ['timer', 'call'] as const) {
  t.test(`a callback that takes its time makes no leak of others: sweep by ${sweep}`, async (t) => {
    using guard = install({ ...SWIFT, action: 'destroy', sweepMs: sweep === 'timer' ? 20 : 60_000 })
    const server = halfOpenServer(t)
    // A legal half-close: it waits for an answer that comes while nobody can read it.
    const waiting = await meet(peer, server)
    const leaked: GuardEvent[] = []
    guard.subscribe((event) => {
      if (event.type !== 'leaked') return
      leaked.push(event)
      waiting.connection.do({ do: 'write', text: 'the answer' })
      block(1000)
    })
    const left = await leave(t, server)
    await until(() => look(guard, sweep).totals.suspect === 1, 'it is a suspect')
    waiting.socket.end()
    await until(() => {
      look(guard, sweep)
      return left.destroyed
    }, 'the leak is closed')
    t.equal(leaked.length, 1)
    t.notOk(waiting.socket.destroyed)
  })

  for (const hear of ['suspect', 'leaked', 'action'] as const) {
    t.test(
      `uninstalled by whoever is told, or asked (${hear}): nothing more is done; by ${sweep}`,
      async (t) => {
        const told = warnings(t)
        let isOver = false
        const stop = (): void => {
          isOver = true
          guard.uninstall()
        }
        const action = (): 'destroy' => {
          if (hear === 'action') stop()
          return 'destroy'
        }
        const guard: Guard = install({ ...SWIFT, graceMs: 100, action })
        const server = halfOpenServer(t)
        const sockets = [await leave(t, server), await leave(t, server)]
        guard.subscribe(({ type }) => {
          t.notOk(isOver, 'told no more')
          if (type === hear) stop()
        })
        await until(() => {
          if (!isOver) look(guard, sweep)
          return isOver
        }, 'it is uninstalled')
        await new Promise(setImmediate)
        t.notOk(
          sockets.some(({ destroyed }) => destroyed),
          'nothing is closed',
        )
        t.same(told, [])
      },
    )
  }
}

for (const ask of ['sweep', 'report'] as const) {
  t.test(`who blocks the loop and then calls ${ask}() is told of no leak`, async (t) => {
    using guard = install({ ...SWIFT, action: 'destroy' })
    const { socket } = await meet(peer, halfOpenServer(t))
    const suspected = nextEvent(guard, 'suspect')
    socket.end()
    await suspected
    block(1000)
    t.match(guard[ask]().totals, { leaked: 0, reclaimed: 0, suspect: 1 })
    t.notOk(socket.destroyed)
  })
}

for (const kernel of ['auto', 'ffi'] as const) {
  t.test(
    `out of descriptors at the first question, kernel '${kernel}': asked again later`,
    LINUX,
    async (t) => {
      const program = join(import.meta.dirname, '..', 'programs', 'out-of-descriptors.js')
      const run = `ulimit -n 256; exec "$0" "$1" ${kernel}`
      const { stdout, stderr } = await promisify(execFile)('sh', ['-c', run, process.execPath, program], {
        env: cleanEnvironment(),
      })
      t.equal(stderr, '')
      const { during, after } = JSON.parse(stdout) as Record<string, unknown>
      t.match(after, { probe: 'ffi', reason: null })
      if (kernel === 'ffi') t.match(during, { probe: 'none', reason: /out of descriptors/ })
    },
  )
}

t.test('a process that was stopped (SIGSTOP) calls nothing a leak that waited for it', LINUX, async (t) => {
  const program = new Actor<WaitingServer>(
    fork(join(import.meta.dirname, '..', 'programs', 'waiting-server.js'), { execArgv: [] }),
  )
  t.teardown(() => program.kill())
  const connection = await peer.connect({ port: await program.ask('listen') })
  await program.ask('untilSuspected')
  program.child.kill('SIGSTOP')
  await connection.saw('end')
  connection.do({ do: 'end', text: 'mine' })
  await connection.settled()
  await sleep(1000)
  program.child.kill('SIGCONT')
  t.same(await program.ask('untilClosed'), { heard: 'mine', types: ['suspect'] })
})

t.test('callbacks that throw, at once or later: everything goes its way', async (t) => {
  const told = warnings(t)
  const fail = (): never => {
    throw new Error('not my day')
  }
  const failLater = (): Promise<never> => Promise.reject(new Error('not my day'))
  for (const callback of [fail, failLater as () => never]) {
    using guard = install({ ...SWIFT, graceMs: 100, action: callback, log: callback })
    guard.subscribe(callback)
    const leaked = nextEvent(guard, 'leaked')
    const socket = await leave(t)
    await leaked
    guard.sweep()
    t.match(guard.snapshot().totals, { leaked: 1, reclaimed: 0 })
    socket.destroy()
  }
  await until(() => told.length >= 2, 'it is warned')
  t.same(
    told.map((warning) => (warning as NodeJS.ErrnoException).code).sort(),
    ['SLG_WARN_ACTION', 'SLG_WARN_LISTENER'],
    'once for each kind',
  )
})

for (const when of ['suspect', 'leaked', 'action', 'end', 'close'] as const) {
  t.test(`a socket that is destroyed in its own listener (${when}) is told of once`, async (t) => {
    const types: string[] = []
    const destroy = ({ id }: { readonly id: number }): void => {
      if (id === guard.adapter.describe(socket)?.id) socket.destroy()
    }
    using guard = install({
      ...SWIFT,
      graceMs: 100,
      action(report) {
        if (when === 'action') destroy(report)
        return when === 'action' || when === 'close' ? 'destroy' : 'report'
      },
    })
    const { socket, connection } = await meet(peer, halfOpenServer(t))
    if (when === 'end' || when === 'close') socket.on(when, () => socket.destroy())
    guard.subscribe((event) => {
      types.push(event.type)
      if (event.type === when) destroy(event.socket)
    })
    const closed = once(socket, 'close')
    connection.do({ do: 'end' })
    await closed
    guard.sweep()
    t.same(
      types,
      {
        suspect: ['suspect'],
        leaked: ['suspect', 'leaked', 'recovered'],
        action: ['suspect', 'leaked', 'recovered'],
        end: [],
        close: ['suspect', 'leaked', 'reclaimed'],
      }[when],
    )
    t.match(guard.snapshot().totals, { tracked: 0, leaked: 0, suspect: 0 })
  })
}

t.test('who destroys the suspect of a late sweep has had no leak', async (t) => {
  const types: string[] = []
  using guard = install({ ...SWIFT, graceMs: 60_000, sweepMs: 60_000 })
  const { socket, connection } = await meet(peer, halfOpenServer(t))
  guard.subscribe(({ type, socket: { verdict } }) => {
    types.push(`${type}: ${verdict}`)
    if (type === 'suspect') socket.destroy()
  })
  const ended = once(socket.resume(), 'end')
  connection.do({ do: 'end' })
  await ended
  guard.sweep()
  const lookedMs = performance.now()
  await until(() => performance.now() - lookedMs > 40, 'its next look is late')
  guard.configure(socket, { graceMs: 20 })
  guard.sweep()
  t.same(types, ['suspect: suspect'])
  t.match(guard.snapshot().totals, { recovered: 0, leaked: 0 })
})

for (const when of ['suspect', 'leaked', 'action'] as const) {
  t.test(`a socket that is exempted as it is told of (${when}) is left alone`, async (t) => {
    using guard = install({
      ...SWIFT,
      graceMs: 100,
      action({ id }) {
        if (when === 'action') guard.exempt(id)
        return 'destroy'
      },
    })
    const { socket, connection } = await meet(peer, halfOpenServer(t))
    const told = new Promise<void>((resolve) => {
      guard.subscribe((event) => {
        if (event.type === when) guard.exempt(event.socket.id)
        if (event.type === (when === 'action' ? 'leaked' : when)) resolve()
      })
    })
    connection.do({ do: 'end' })
    await told
    guard.sweep()
    t.match(guard.snapshot().sockets, [{ verdict: 'exempt' }])
    t.match(guard.snapshot().totals, { reclaimed: 0, leaked: 0 })
    t.notOk(socket.destroyed)
  })
}

t.test('a view of the kernel that fails in the middle of everything costs its own word alone', async (t) => {
  const told = warnings(t)
  let asked = 0
  const broken = (): never => {
    throw new Error('the ioctl was denied')
  }
  using guard = install({
    ...SWIFT,
    graceMs: 100,
    keepAlive: { when: 'always' },
    userTimeoutMs: 60_000,
    kernel: {
      name: 'ffi',
      reason: null,
      ask(targets) {
        asked += 1
        return { samples: targets.map(() => null), advance: () => (asked > 2 ? broken() : true) }
      },
      setKeepAlive: broken,
      readKeepAlive: broken,
      setUserTimeout: broken,
      close: broken,
    },
  })
  const server = halfOpenServer(t)
  for (let leaks = 0; leaks < 2; leaks += 1) {
    const leaked = nextEvent(guard, 'leaked')
    await leave(t, server)
    t.match(await leaked, { socket: { condition: 'eof-ignored', seenBy: 'stream' } })
  }
  t.match(guard.snapshot().kernel, { probe: 'none', reason: /denied/ })
  t.same(
    told.filter(({ message }) => !message.includes('denied')),
    [],
  )
})
