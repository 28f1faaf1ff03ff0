/** What closing a leaked connection wakes in the application: as little as can be, and never an error that nobody hears. */
import { once } from 'node:events'
import http from 'node:http'
import { PassThrough, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { install, type Action, type Guard, type InstallOptions } from '../../src/index.js'
import { closeAfter } from '../support/close-after.js'
import { listen, meet, nextEvent } from '../support/events.js'
import { Peer } from '../support/peer.js'
import { until } from '../support/until.js'

const QUICK: InstallOptions = { graceMs: 300, sweepMs: 30, escalateMs: 100 }
const MUCH = 4_000_000

const peer = new Peer()
t.teardown(() => peer.kill())

/** A store that stops after its first chunk, until it is told to go on. */
function stuckStore(): Writable & { goOn(): void } {
  let goOn = (): void => {}
  const store = new Writable({
    write(_chunk, _encoding, done) {
      goOn = done
    },
  })
  return Object.assign(store, { goOn: () => goOn() })
}

function upload(path: string): string {
  return `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${2 * MUCH}\r\n\r\n`
}

t.test('a handler that is stuck in a body is woken by "end" only when it goes on', async (t) => {
  for (const [action, wakes] of [
    ['end', false],
    ['destroy', true],
    ['reset', true],
  ] as const satisfies readonly (readonly [Action, boolean])[]) {
    await t.test(action, async (t) => {
      using guard = install(QUICK)
      const store = stuckStore()
      const outcome = { woken: '' }
      let handled: Promise<void> = Promise.resolve()
      let request: http.IncomingMessage | null = null
      const server = http.createServer((incoming) => {
        request = incoming
        handled = pipeline(incoming, store).catch((error: Error) => {
          outcome.woken = error.message
        })
      })
      const { connection, socket } = await meet(peer, closeAfter(t, server))
      const closed = once(socket, 'close')
      const reclaimed = nextEvent(guard, 'reclaimed')
      const stalled = nextEvent(guard, 'stalled')
      connection.do({ do: 'write', text: upload('/upload') }).do({ do: 'write', bytes: MUCH })
      const { id, evidence } = (await stalled).socket
      guard.reclaim(id, action)
      t.equal(
        evidence.ifClosed,
        `reading the body fails with "aborted", after action 'end' only once it goes on`,
      )
      await reclaimed
      await closed
      await new Promise((resolve) => setImmediate(resolve))
      t.equal(outcome.woken, wakes ? 'aborted' : '')
      t.same(
        Object.keys(request!).filter((key) => /^(?:destroy|_read)$/.test(key)),
        [],
        'nothing shows',
      )
      // The truncated body never passes for a whole one.
      for (let i = 0; i < 100 && outcome.woken === ''; i += 1) {
        store.goOn()
        await new Promise((resolve) => setImmediate(resolve))
      }
      await handled
      t.equal(outcome.woken, 'aborted')
    })
  }
})

/** Sweeps until this has happened. */
async function swept(guard: Guard, event: Promise<unknown>): Promise<void> {
  let isOver = false
  void event.then(() => (isOver = true))
  await until(() => {
    guard.sweep()
    return isOver
  }, 'it is closed')
}

t.test('a reader that has read all there was is told at once', async (t) => {
  using guard = install(QUICK)
  let woken = Promise.resolve('')
  const server = http.createServer((request) => {
    woken = pipeline(request, new PassThrough().resume()).then(
      () => 'whole',
      (error: Error) => error.message,
    )
  })
  const { connection, socket } = await meet(peer, closeAfter(t, server))
  const requested = once(server, 'request')
  connection.do({ do: 'write', text: `${upload('/upload')}begins` })
  await requested
  const id = guard.adapter.describe(socket)!.id
  const asksForMore = () =>
    guard.adapter.describe(socket)!.evidence.ifClosed === 'reading the body fails with "aborted"'
  await until(asksForMore, 'the reader waits')
  guard.reclaim(id, 'end')
  guard.sweep()
  t.equal(await woken, 'aborted')
})

t.test('a stuck reader of a response that came in part is not told that it is whole', async (t) => {
  using guard = install({ ...QUICK, action: 'end' })
  const server = closeAfter(
    t,
    http.createServer((_, response) => {
      response.writeHead(200, { 'content-length': 2 * MUCH }).write(Buffer.alloc(MUCH))
    }),
  )
  const store = stuckStore()
  const request = http.get({ port: await listen(server), host: '127.0.0.1', agent: false })
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  let outcome = ''
  const handled = pipeline(response, store).then(
    () => (outcome = 'whole'),
    (error: Error) => (outcome = error.message),
  )
  const id = guard.adapter.describe(request.socket!)!.id
  const closed = once(request, 'close')
  await once(response, 'pause')
  guard.reclaim(id, 'end')
  await swept(guard, closed)
  t.equal(outcome, '')
  for (let i = 0; i < 1000 && outcome === ''; i += 1) {
    store.goOn()
    await new Promise((resolve) => setImmediate(resolve))
  }
  await handled
  t.equal(outcome, 'aborted')
})

t.test('an outgoing request for whose error nobody listens is closed without one', async (t) => {
  for (const action of ['end', 'destroy', 'reset'] as const) {
    using guard = install(QUICK)
    const server = closeAfter(
      t,
      http.createServer(() => {}),
    )
    const request = http.get({ port: await listen(server), host: '127.0.0.1', agent: false })
    await once(server, 'request')
    const entry = guard.adapter.describe(request.socket!)!
    t.match(entry.evidence.ifClosed, 'no error, since nobody listens')
    const closed = once(request, 'close')
    request.removeAllListeners('error')
    guard.reclaim(entry.id, action)
    await swept(guard, closed)
    t.pass(`${action}: the process lives`)
  }
})

t.test('and one for whose error somebody listens has it', async (t) => {
  using guard = install(QUICK)
  const server = closeAfter(
    t,
    http.createServer(() => {}),
  )
  const request = http.get({ port: await listen(server), host: '127.0.0.1', agent: false })
  const failed = once(request, 'error')
  await once(server, 'request')
  const entry = guard.adapter.describe(request.socket!)!
  t.equal(entry.evidence.ifClosed, 'the request fails with "socket hang up"')
  guard.reclaim(entry.id, 'destroy')
  t.match(await failed, [{ message: 'socket hang up' }])
})
