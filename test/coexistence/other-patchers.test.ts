/** Others patch the same methods (tracing agents do): before us, after us, and they leave in any order. */
import { once } from 'node:events'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import stream from 'node:stream'
import t, { type Test } from 'tap'
import { install, type ContextProvider, type Guard, type InstallOptions } from '../../src/index.js'
import { withServer } from '../support/connection.js'

type Method = (this: unknown, ...args: unknown[]) => unknown

interface Slot {
  readonly name: string
  readonly prototype: object
  readonly method: string
}

const ON_SOCKET = ['push', 'end', 'destroy', 'connect', 'setKeepAlive', 'pause', 'write', 'on', 'addListener']

const SLOTS: readonly Slot[] = [
  ...ON_SOCKET.map((method) => ({
    name: `Socket.prototype.${method}`,
    prototype: net.Socket.prototype,
    method,
  })),
  { name: 'http.Server.prototype.emit', prototype: http.Server.prototype, method: 'emit' },
  { name: 'ClientRequest.prototype.onSocket', prototype: http.ClientRequest.prototype, method: 'onSocket' },
]

/** So that everything that can be patched is. */
const FULL: InstallOptions = { stacks: 'always', context: 'async-local-storage' }

/** What tracing agents do: wrap, count, pass on; and when they leave, put back what they found (shimmer's way). */
class Patcher {
  calls = 0
  readonly wrapper: Method
  readonly #slot: Slot
  readonly #found: PropertyDescriptor | undefined

  constructor(slot: Slot) {
    const { prototype, method } = slot
    this.#slot = slot
    this.#found = Object.getOwnPropertyDescriptor(prototype, method)
    const original = (prototype as Record<string, Method>)[method]!
    const count = (): void => {
      this.calls += 1
    }
    this.wrapper = function wrappedByAnother(this: unknown, ...args: unknown[]): unknown {
      count()
      return original.apply(this, args)
    }
    ;(prototype as Record<string, Method>)[method] = this.wrapper
  }

  leave(): void {
    const { prototype, method } = this.#slot
    if (this.#found === undefined) delete (prototype as Record<string, unknown>)[method]
    else Object.defineProperty(prototype, method, this.#found)
  }

  isInPlace(): boolean {
    const { prototype, method } = this.#slot
    return (prototype as Record<string, Method>)[method] === this.wrapper
  }
}

/** Goes through every one of the methods. @returns whether the guard, if there is one, saw the socket that was left */
async function exercise(t: Test, guard: Guard | null, former?: Guard): Promise<boolean> {
  let saw = false
  const unsubscribe = guard?.subscribe(({ type, socket }) => {
    if (type === 'suspect' && socket.condition === 'eof-ignored') saw = true
  })
  await withServer({ allowHalfOpen: true }, async ({ client, accepted }) => {
    client.setKeepAlive(true, 1000)
    client
      .addListener('data', () => {})
      .pause()
      .resume()
    accepted.write('hello')
    t.equal(String((await once(client, 'data'))[0]), 'hello')
    client.end('bye')
    await once(accepted, 'end')
    t.equal(former?.snapshot({ all: true }).totals.tracked ?? 0, 0, 'a guard that has left sees nothing')
    if (guard !== null) {
      guard.sweep()
      guard.configure(accepted, { graceMs: 0 })
      guard.sweep()
    }
    accepted.end()
    await once(client, 'close')
  })
  unsubscribe?.()
  const server = http.createServer((_request, response) => response.end('ok')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const request = http.get({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', agent: false })
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  t.equal(response.statusCode, 200)
  await once(response.resume(), 'end')
  server.close()
  await once(server, 'close')
  return saw
}

for (const slot of SLOTS) {
  const { prototype, method, name } = slot
  const slotNow = (): PropertyDescriptor | undefined => Object.getOwnPropertyDescriptor(prototype, method)

  t.test(`${name}: wrapped before us, we leave first`, async (t) => {
    const pristine = slotNow()
    const other = new Patcher(slot)
    const theirs = slotNow()
    const guard = install(FULL)
    t.ok(await exercise(t, guard))
    guard.uninstall()
    t.strictSame(slotNow(), theirs, 'their wrapper is back, as they left it')
    const { calls } = other
    t.ok(calls > 0)
    await exercise(t, null)
    t.ok(other.calls > calls, 'and goes on working')
    other.leave()
    t.strictSame(slotNow(), pristine)
  })

  t.test(`${name}: wrapped after us, we leave first`, async (t) => {
    const pristine = slotNow()
    const guard = install(FULL)
    const ours = slotNow()
    const other = new Patcher(slot)
    t.ok(await exercise(t, guard))
    guard.uninstall()
    t.ok(other.isInPlace(), "another's wrapper is never taken off")
    const { calls } = other
    t.ok(calls > 0)
    await exercise(t, null, guard)
    t.ok(other.calls > calls, 'and goes on working, through ours')
    other.leave()
    t.strictSame(slotNow(), ours, 'what they put back is our wrapper')
    await exercise(t, null)
    const next = install(FULL)
    t.ok(await exercise(t, next, guard), 'which passes everything on: the next guard works on top of it')
    next.uninstall()
    t.strictSame(slotNow(), ours)
    if (pristine === undefined) delete (prototype as Record<string, unknown>)[method]
    else Object.defineProperty(prototype, method, pristine)
  })

  t.test(`${name}: wrapped after us, they leave first`, async (t) => {
    const pristine = slotNow()
    const guard = install(FULL)
    const ours = slotNow()
    const other = new Patcher(slot)
    t.ok(await exercise(t, guard))
    other.leave()
    t.strictSame(slotNow(), ours)
    t.ok(await exercise(t, guard))
    guard.uninstall()
    t.strictSame(slotNow(), pristine)
  })

  t.test(`${name}: wrapped before us, they leave first and take our wrapper off`, async (t) => {
    const pristine = slotNow()
    const other = new Patcher(slot)
    const guard = install(FULL)
    t.ok(await exercise(t, guard))
    other.leave()
    t.strictSame(slotNow(), pristine)
    await exercise(t, guard)
    guard.uninstall()
    t.strictSame(slotNow(), pristine)
    await exercise(t, null)
  })
}

t.test('a later patch further up the chain takes part as well', async (t) => {
  const guard = install(FULL)
  const patchers = [
    { name: 'Duplex.prototype.destroy', prototype: stream.Duplex.prototype, method: 'destroy' },
    { name: 'Readable.prototype.push', prototype: stream.Readable.prototype, method: 'push' },
    { name: 'EventEmitter.prototype.emit', prototype: stream.Duplex.prototype, method: 'emit' },
  ].map((slot) => new Patcher(slot))
  t.ok(await exercise(t, guard))
  for (const patcher of patchers) t.ok(patcher.calls > 0)
  for (const patcher of patchers.reverse()) patcher.leave()
  guard.uninstall()
})

const provider: ContextProvider = { name: 'mine', current: () => null, run: (_values, fn) => fn() }

for (const options of [FULL, { context: provider }]) {
  t.test(`an application may emit what it likes: ${Object.keys(options).join(', ')}`, async (t) => {
    const guard = install(options)
    const server = http.createServer()
    const heard: unknown[][] = []
    server.on('upgrade', (...args: unknown[]) => heard.push(args))
    server.on('connect', (...args: unknown[]) => heard.push(args))
    server.on('request', (...args: unknown[]) => heard.push(args))
    const socket = new net.Socket()
    const hostile = {
      get method(): string {
        throw new Error('no method')
      },
    }
    for (const event of ['upgrade', 'connect', 'request']) {
      for (const args of [
        [],
        [undefined, socket],
        [null, socket],
        [5, socket],
        [{}, {}],
        [{ method: 'GET', url: 5, socket }, {}],
        [hostile, socket],
      ]) {
        t.ok(server.emit(event, ...args))
        t.same(heard.pop(), args)
      }
    }
    t.ok(guard.snapshot({ all: true }))
    guard.uninstall()
    socket.destroy()
  })
}
