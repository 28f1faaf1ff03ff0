/** Test suites of the application put clocks of their own in place; the guard goes by the real one. */
import { once } from 'node:events'
import http from 'node:http'
import { mock } from 'node:test'
import timers from 'node:timers'
import t from 'tap'
import { install } from '../../src/index.js'
import { withServer } from '../support/connection.js'
import { nextEvent } from '../support/events.js'

/** As sinon and jest do it: the properties of the globals, the modules and of `performance` themselves. */
function stopTheClocks(nowMs: number): () => void {
  const { setTimeout, setImmediate, clearTimeout, clearImmediate } = timers
  const never = (() => ({ unref: () => {}, ref: () => {}, refresh: () => {} })) as never
  Object.assign(globalThis, {
    setTimeout: never,
    setImmediate: never,
    clearTimeout: never,
    clearImmediate: never,
  })
  Object.assign(timers, {
    setTimeout: never,
    setImmediate: never,
    clearTimeout: never,
    clearImmediate: never,
  })
  performance.now = () => nowMs
  return function startTheClocks() {
    Object.assign(globalThis, { setTimeout, setImmediate, clearTimeout, clearImmediate })
    Object.assign(timers, { setTimeout, setImmediate, clearTimeout, clearImmediate })
    delete (performance as { now?: unknown }).now
  }
}

t.test('the guard goes on while the clocks stand still', async (t) => {
  const guard = install({ graceMs: 60, sweepMs: 10 })
  await withServer({ allowHalfOpen: true }, async ({ client, accepted }) => {
    const start = stopTheClocks(0)
    try {
      const leaked = nextEvent(guard, 'leaked')
      client.end()
      await once(accepted, 'end')
      t.match(await leaked, { socket: { condition: /eof-ignored|fin-wait/ } })
    } finally {
      start()
    }
  })
  guard.uninstall()
})

t.test('and under the mocks of node:test', async (t) => {
  mock.timers.enable()
  const guard = install({ graceMs: 60, sweepMs: 10 })
  await withServer({ allowHalfOpen: true }, async ({ client, accepted }) => {
    const leaked = nextEvent(guard, 'leaked')
    client.end()
    await once(accepted, 'end')
    t.ok(await leaked)
  })
  guard.uninstall()
  mock.timers.reset()
})

t.test('the event stream tells, and no replaced timer is called', async (t) => {
  const guard = install({ graceMs: 60, sweepMs: 10, report: '127.0.0.1:0' })
  const { url } = await guard.listening!
  const names = ['setTimeout', 'setInterval', 'setImmediate'] as const
  const real = Object.fromEntries(names.map((name) => [name, globalThis[name]]))
  const called: string[] = []
  for (const name of names) {
    globalThis[name] = (() => {
      called.push(name)
      return { ref() {}, unref() {}, refresh() {} }
    }) as never
  }
  let events = ''
  const request = http.get(new URL('/events', url))
  try {
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    response.setEncoding('utf8').on('data', (text: string) => (events += text))
    await withServer({ allowHalfOpen: true }, async ({ client }) => {
      client.end()
      while (!events.includes('event: leaked')) await once(response, 'data')
    })
  } finally {
    Object.assign(globalThis, real)
    request.destroy()
    guard.uninstall()
  }
  t.same(called, [])
})

t.test('an hour that passes on a fake clock only is no grace', async (t) => {
  const guard = install({ graceMs: 3_600_000, action: 'destroy' })
  await withServer({ allowHalfOpen: true }, async ({ client, accepted }) => {
    client.end()
    await once(accepted, 'end')
    guard.sweep()
    const start = stopTheClocks(1e12)
    const { totals, sockets } = guard.sweep({ unsettled: true })
    start()
    t.equal(totals.leaked, 0)
    t.equal(sockets.length, 2)
    for (const { idleMs } of sockets) t.ok(idleMs < 3_600_000)
    t.notOk(accepted.destroyed)
  })
  guard.uninstall()
})
