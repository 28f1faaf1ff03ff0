/** The helper for other people's tests: what it fails for, what it waits for, and that it leaves nothing behind. */
import assert from 'node:assert'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { mock } from 'node:test'
import timers from 'node:timers'
import tls from 'node:tls'
import t, { type Test } from 'tap'
import { install, installedGuard, SocketLeakGuardError, type SocketReport } from '../src/index.js'
import {
  assertNoLeaks,
  trackLeaks,
  type LeakCheckOptions,
  type LeaksFoundError,
} from '../src/testing/index.js'
import { CERTIFICATE } from './support/certificate.js'
import { statesOf } from './support/descriptors.js'
import { INDEX_URL } from './support/package-root.js'
import { Peer, type PeerConnection } from './support/peer.js'
import { until } from './support/until.js'

/** As it is published: another copy of what is tested here. */
const TESTING_URL = new URL('testing.js', INDEX_URL).href

const peer = new Peer()
t.teardown(() => peer.kill())

const SHORT = { timeoutMs: 400 }

interface Scene {
  readonly socket: net.Socket
  readonly far: PeerConnection
  readonly server: net.Server
}

/** One connection to the peer; what is still open is destroyed with the test. */
async function connect(
  t: Test,
  options: net.ServerOpts = {},
  serve: (socket: net.Socket) => void = () => {},
  paused = false,
): Promise<Scene> {
  const server = net.createServer(options)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'connection') as Promise<[net.Socket]>
  const far = await peer.connect({ port: (server.address() as AddressInfo).port, paused })
  const [socket] = await accepted
  serve(socket)
  t.teardown(() => {
    socket.destroy()
    far.do({ do: 'destroy' })
    server.close()
  })
  return { socket, far, server }
}

/** The peer's FIN has reached the stream, whether anybody reads up to it or not. */
function eofOf(socket: net.Socket): Promise<void> {
  const { _readableState: state } = socket as unknown as { _readableState: { ended: boolean } }
  return until(() => state.ended, 'the end of the stream has arrived')
}

async function failureOf(check: Promise<void>): Promise<LeaksFoundError> {
  const error = await check.then(
    () => null,
    (reason: unknown) => reason,
  )
  if (!(error instanceof SocketLeakGuardError)) throw error ?? new Error('the check found nothing')
  return error as LeaksFoundError
}

function descriptors(): Record<string, unknown> {
  return Object.getOwnPropertyDescriptors(net.Socket.prototype)
}

const UNTOUCHED = descriptors()

/** Runs after every test: what it leaves must be what it found. */
t.afterEach(() => {
  installedGuard()?.uninstall()
  assert.deepStrictEqual(descriptors(), UNTOUCHED)
})

t.test('a test that closes what it opens passes at once', async (t) => {
  const check = trackLeaks({ timeoutMs: 60_000 })
  const { socket, far } = await connect(t, {}, (socket) => socket.end('bye').resume())
  far.do({ do: 'end' })
  await once(socket, 'close')
  await check()
  t.equal(installedGuard(), null)
})

t.test('waits for what is about to close', async (t) => {
  const check = trackLeaks({ timeoutMs: 60_000 })
  const { socket, far } = await connect(t, { allowHalfOpen: true }, (socket) => socket.resume())
  far.do({ do: 'end' })
  await once(socket, 'end')
  setTimeout(() => socket.end(), 300)
  await check()
  t.ok(socket.destroyed)
})

t.test('says what is stuck, and what to do', async (t) => {
  const check = trackLeaks(SHORT)
  const { socket, far, server } = await connect(t, { allowHalfOpen: true }, (socket) => socket.resume())
  far.do({ do: 'end', text: 'hello' })
  await eofOf(socket)
  const error = await failureOf(check())
  t.equal(error.code, 'SLG_ERR_LEAKS_FOUND')
  t.match(
    error.message,
    /^1 socket was left behind:\n {2}- Connection of \S+testing\.test\.[jt]s:\d+ from 127\.0\.0\.1:\d+: /,
  )
  t.equal(error.sockets[0]?.local?.port, (server.address() as AddressInfo).port)
  t.match(error.message, /the peer ended \d+ ms ago and the application has not ended its side/)
  t.match(error.message, /Call socket\.end\(\) on 'end'/)
  t.match(error.sockets, [{ condition: 'eof-ignored', phase: 'peer-ended', direction: 'inbound' }])
  t.notOk(Object.keys(error).includes('sockets'), 'a runner that prints the error does not print the records')
})

interface Stuck {
  readonly condition: string
  readonly peerPaused?: boolean
  readonly options?: net.ServerOpts
  serve(socket: net.Socket): void
  play(far: PeerConnection, socket: net.Socket): Promise<void> | void
}

async function endUnread(far: PeerConnection, socket: net.Socket): Promise<void> {
  far.do({ do: 'end', text: 'unread' })
  await eofOf(socket)
}

const STUCK: readonly Stuck[] = [
  { condition: 'eof-unread', serve: () => {}, play: endUnread },
  { condition: 'fin-wait', serve: (socket) => socket.resume().end(), play: () => {} },
  { condition: 'closed-unread', serve: (socket) => socket.end('bye'), play: endUnread },
  {
    condition: 'write-stalled',
    peerPaused: true,
    serve: (socket) => socket.end(Buffer.alloc(10_000_000)),
    play: () => {},
  },
  // These two only the kernel can tell.
  {
    condition: 'fin-unseen',
    options: { pauseOnConnect: true },
    serve: () => {},
    async play(far, { localPort, remotePort }) {
      far.do({ do: 'end', text: 'unseen' })
      await until(() => statesOf(localPort!, remotePort!).includes('CLOSE_WAIT'), 'the FIN has arrived')
    },
  },
  {
    condition: 'window-closed',
    serve: () => {},
    async play(far) {
      await far.do({ do: 'write', bytes: 1_000_000 }).saw('written')
    },
  },
]

t.test('finds every condition, long before its grace', async (t) => {
  // With the defaults of install(), whose grace is a minute; and with a guard of its own.
  for (const guard of [install({ reclaimDead: false }), null]) {
    if (guard === null) installedGuard()?.uninstall()
    const check = trackLeaks()
    const scenes = await Promise.all(
      STUCK.map(async ({ serve, play, peerPaused, options = {} }) => {
        const scene = await connect(t, options, serve, peerPaused)
        await play(scene.far, scene.socket)
        return scene
      }),
    )
    const { sockets } = await failureOf(check())
    t.same(
      sockets.map(({ condition }) => condition).sort(),
      STUCK.map(({ condition }) => condition).sort(),
      guard === null ? 'with a guard of its own' : 'with the guard of an application',
    )
    for (const { socket } of scenes) socket.destroy()
  }
})

t.test('finds a socket whose FIN is still on its way when the test ends', async (t) => {
  const check = trackLeaks(SHORT)
  const server = net.createServer({ allowHalfOpen: true }, (socket) => socket.resume())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'connection') as Promise<[net.Socket]>
  const client = net.connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [socket] = await accepted
  t.teardown(() => {
    socket.destroy()
    server.close()
  })
  const checked = failureOf(check())
  setTimeout(() => client.destroy(), 20)
  t.match((await checked).sockets, [{ condition: 'eof-ignored', direction: 'inbound' }])
})

t.test('one look is none: what closes between two of them is not stuck', async (t) => {
  const { socket, far } = await connect(t, { allowHalfOpen: true }, (socket) => socket.resume())
  far.do({ do: 'end' })
  await once(socket, 'end')
  let looks = 0
  await assertNoLeaks({
    timeoutMs: 0,
    ignore() {
      if (++looks === 2) setImmediate(() => socket.end())
      return false
    },
  })
  t.ok(looks >= 2)
})

t.test('a socket that nobody reads for a while is not stuck', async (t) => {
  const check = trackLeaks({ timeoutMs: 60_000 })
  const { socket } = await connect(t, { pauseOnConnect: true })
  await check()
  t.notOk(socket.destroyed)
})

t.test('an open connection is no leak, unless the test says so', async (t) => {
  const lenient = trackLeaks({ timeoutMs: 60_000 })
  const strict = trackLeaks({ timeoutMs: 300, open: 'fail' })
  const { server } = await connect(t)
  await lenient()
  const error = await failureOf(strict())
  t.match(error.sockets, [{ condition: null, phase: 'open' }])
  t.match(
    error.message,
    /^1 socket was left behind:\n {2}- Inbound tcp socket, \S+testing\.test\.[jt]s:\d+ from 127\.0\.0\.1:\d+: still open, first seen \d+ ms ago$/m,
  )
  t.equal(error.sockets[0]?.local?.port, (server.address() as AddressInfo).port)
})

t.test('an outgoing socket is found as well', async (t) => {
  const far = peer.open().do({ do: 'listen' })
  const { port } = await far.saw('listening')
  const check = trackLeaks({ timeoutMs: 300, open: 'fail' })
  const socket = net.connect(port!, '127.0.0.1')
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  t.match(
    (await failureOf(check())).message,
    new RegExp(`Outgoing tcp socket, .*testing\\.test\\.[jt]s:\\d+ → 127\\.0\\.0\\.1:${port}: still open`),
  )
})

t.test('only looks at what was opened after trackLeaks()', async (t) => {
  const { socket, far } = await connect(t, { allowHalfOpen: true }, (socket) => socket.resume())
  const quiet = await connect(t, {}, (socket) => socket.resume())
  const server = tls.createServer(CERTIFICATE)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const secured = once(server, 'secureConnection') as Promise<[tls.TLSSocket]>
  const client = tls.connect({
    port: (server.address() as AddressInfo).port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
  })
  const [accepted] = await secured
  t.teardown(() => {
    accepted.destroy()
    client.destroy()
  })

  // Nobody has seen these sockets so far; the next byte must not make them look new.
  const check = trackLeaks({ timeoutMs: 500, open: 'fail' })
  quiet.far.do({ do: 'write', text: 'still here' })
  accepted.write('still here')
  client.resume().write('still here')
  far.do({ do: 'end' })
  await once(socket, 'end')
  await check()

  const all = await failureOf(assertNoLeaks(SHORT))
  t.match(all.sockets, [{ condition: 'eof-ignored' }])
})

t.test('assertNoLeaks() sees every socket since the guard was installed', async (t) => {
  const guard = install()
  const { socket, far } = await connect(t, { allowHalfOpen: true }, (socket) => socket.resume())
  far.do({ do: 'end' })
  await eofOf(socket)
  const error = await failureOf(assertNoLeaks(SHORT))
  t.match(error.sockets, [{ condition: 'eof-ignored' }])
  socket.end()
  await assertNoLeaks({ timeoutMs: 60_000 })
  t.equal(installedGuard(), guard, 'the guard of the application stays')
})

t.test('ignores what it is told to, and what is exempt', async (t) => {
  const guard = install()
  const { socket, far } = await connect(t, { allowHalfOpen: true }, (socket) => socket.resume())
  far.do({ do: 'end' })
  await once(socket, 'end')
  const seen: SocketReport[] = []
  await assertNoLeaks({
    timeoutMs: 60_000,
    ignore(report) {
      seen.push(report)
      return report.phase === 'peer-ended'
    },
  })
  t.match(seen[0], { direction: 'inbound', kind: 'tcp' })
  guard.exempt(socket)
  await assertNoLeaks({ timeoutMs: 60_000 })
  await t.rejects(assertNoLeaks({ timeoutMs: 200, open: 'fail' }), { code: 'SLG_ERR_LEAKS_FOUND' })
  const broken = assertNoLeaks({
    ignore() {
      throw new Error('mine')
    },
  })
  await t.rejects(broken, { message: 'mine' })
})

t.test('without a stack, the functions that hold it are named, and it keeps nothing alive', async (t) => {
  const { socket, far } = await connect(t, { allowHalfOpen: true }, (accepted) => {
    accepted.on('data', function keepReading() {})
  })
  far.do({ do: 'end' })
  await once(socket, 'end')
  const handle = (socket as unknown as { _handle: { hasRef(): boolean } })._handle
  t.equal(handle.hasRef(), true)
  const { message } = await failureOf(assertNoLeaks(SHORT))
  t.match(message, /\n {6}data -> keepReading: .*testing\.test\.\w+:\d+ - accepted\.on\('data'/)
  t.equal(handle.hasRef(), false)
  t.equal(socket.destroyed, false)
})

t.test('a socket that the guard had to close was left behind', async (t) => {
  install({ graceMs: 20, sweepMs: 10, action: 'end' })
  const check = trackLeaks({ timeoutMs: 60_000 })
  const { socket, far } = await connect(t, { allowHalfOpen: true }, (socket) => socket.resume())
  far.do({ do: 'end' })
  await once(socket, 'close')
  const error = await failureOf(check())
  t.match(error.sockets, [{ verdict: 'reclaimed', condition: 'eof-ignored' }])
})

t.test('two checks at once have one guard, which leaves with the last', async (t) => {
  const [first, second] = [trackLeaks(), trackLeaks()]
  const guard = installedGuard()
  t.not(guard, null)
  await first()
  t.equal(installedGuard(), guard)
  await second()
  t.equal(installedGuard(), null)
  await assertNoLeaks()
  t.equal(installedGuard(), null)
})

t.test('two copies of the helper share it too, as a runner loads one for each test file', async (t) => {
  const copy = (await import(TESTING_URL)) as { trackLeaks: typeof trackLeaks }
  t.not(copy.trackLeaks, trackLeaks)
  const [first, second] = [trackLeaks(), copy.trackLeaks()]
  await first()
  await second()
  t.equal(installedGuard(), null)
})

t.test('the guard of a check only observes', async (t) => {
  const check = trackLeaks(SHORT)
  t.match(installedGuard()?.options, { action: 'report', reclaimDead: false, keepAlive: false, report: null })
  await check()
})

t.test('asks the guard that it is given', async (t) => {
  const guard = install()
  await trackLeaks({ guard })()
  guard.uninstall()
  await t.rejects(trackLeaks({ guard })(), { code: 'SLG_ERR_UNINSTALLED' })
})

t.test('a guard that was taken out in the meantime saw nothing, and the check says so', async (t) => {
  for (const installed of [true, false]) {
    if (installed) install()
    const check = trackLeaks()
    installedGuard()!.uninstall()
    await t.rejects(check(), { code: 'SLG_ERR_UNINSTALLED' })
  }
  await trackLeaks()()
  t.equal(installedGuard(), null)
})

t.test('gives the same answer every time', async (t) => {
  const check = trackLeaks()
  t.equal(check(), check())
  await check()
})

t.test('names twenty at the most, and counts the others', async (t) => {
  const sockets: net.Socket[] = []
  const server = net.createServer({ allowHalfOpen: true }, (socket) => sockets.push(socket.resume()))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const check = trackLeaks(SHORT)
  const far = await Promise.all(
    Array.from({ length: 23 }, () => peer.connect({ port: (server.address() as AddressInfo).port })),
  )
  for (const connection of far) connection.do({ do: 'end' })
  await until(() => sockets.length === 23, 'all are accepted')
  await Promise.all(sockets.map(eofOf))
  const error = await failureOf(check())
  t.equal(error.sockets.length, 23)
  t.match(error.message, /^23 sockets were left behind:/)
  t.equal(error.message.match(/^ {2}- Connection/gm)?.length, 20)
  t.equal(error.message.match(/^ {6}\w/gm)?.length, 5, 'the code of five of them')
  t.match(error.message, /\n {2}- and 3 more$/)
  for (const connection of far) connection.do({ do: 'destroy' })
  for (const socket of sockets) socket.destroy()
  server.close()
})

t.test('goes by the real clock, whatever stands in its place', async (t) => {
  const { socket, far } = await connect(t, { allowHalfOpen: true }, (socket) => socket.resume())
  mock.timers.enable()
  const check = trackLeaks({ timeoutMs: 60_000 })
  await check()
  far.do({ do: 'end' })
  await once(socket, 'end')
  t.match((await failureOf(assertNoLeaks(SHORT))).sockets, [{ condition: 'eof-ignored' }])
  mock.timers.reset()
  // What was reported keeps the process no longer alive, and a guard that comes later does not find it.
  socket.ref()

  // As sinon and jest do it: the properties of the modules and of `performance` themselves.
  const { setTimeout: realSetTimeout, setImmediate: realSetImmediate } = timers
  const never = (() => ({ unref: () => {}, ref: () => {} })) as never
  timers.setTimeout = globalThis.setTimeout = never
  timers.setImmediate = globalThis.setImmediate = never
  performance.now = () => 1e12
  try {
    t.match((await failureOf(assertNoLeaks(SHORT))).sockets, [{ condition: 'eof-ignored' }])
    socket.end()
    await assertNoLeaks({ timeoutMs: 60_000 })
  } finally {
    timers.setTimeout = globalThis.setTimeout = realSetTimeout
    timers.setImmediate = globalThis.setImmediate = realSetImmediate
    delete (performance as { now?: unknown }).now
  }
  t.ok(performance.now() < 1e12)
})

t.test('waits for the word of the kernel where only the kernel knows', async (t) => {
  for (const { condition, serve, play, options = {} } of STUCK.filter(({ condition }) =>
    ['fin-unseen', 'window-closed'].includes(condition),
  )) {
    const guard = install()
    const check = trackLeaks()
    const { socket, far } = await connect(t, options, serve)
    await play(far, socket)
    t.match((await failureOf(check())).sockets, [{ condition }])
    socket.destroy()
    guard.uninstall()
  }
})

t.test('what turns bad at the last moment is looked at more than once', async (t) => {
  const { socket } = await connect(t, {}, (socket) => socket.resume())
  let looks = 0
  const check = assertNoLeaks({
    timeoutMs: 0,
    ignore() {
      if (++looks === 2) socket.end()
      return false
    },
  })
  t.match((await failureOf(check)).sockets, [{ condition: 'fin-wait' }])
})

t.test('refuses options that it does not understand', async (t) => {
  const wrong: [options: unknown, code: string, message: string][] = [
    [
      { timeoutMs: -1 },
      'SLG_ERR_INVALID_OPTION',
      'timeoutMs must be an integer from 0 to 2147483647, got -1 (number)',
    ],
    [
      { timeoutMs: '1s' },
      'SLG_ERR_INVALID_OPTION',
      'timeoutMs must be an integer from 0 to 2147483647, got "1s" (string)',
    ],
    [{ open: true }, 'SLG_ERR_INVALID_OPTION', 'open must be "ignore" or "fail", got true (boolean)'],
    [{ ignore: 'all' }, 'SLG_ERR_INVALID_OPTION', 'ignore must be a function, got "all" (string)'],
    [{ guard: {} }, 'SLG_ERR_INVALID_OPTION', 'guard must be what install() returned, got Object (object)'],
    [{ timeout: 1 }, 'SLG_ERR_UNKNOWN_OPTION', 'unknown option "timeout"; did you mean "timeoutMs"?'],
    [5, 'SLG_ERR_INVALID_OPTION', 'options must be a plain object, got 5 (number)'],
  ]
  for (const [options, code, message] of wrong) {
    t.throws(() => trackLeaks(options as LeakCheckOptions), { code, message })
    await t.rejects(assertNoLeaks(options as LeakCheckOptions), { code, message })
    t.equal(installedGuard(), null, 'nothing was installed')
  }
})

t.test("an application's Error.prepareStackTrace is no failure", async (t) => {
  const { prepareStackTrace } = Error
  t.teardown(() => (Error.prepareStackTrace = prepareStackTrace))
  Error.prepareStackTrace = () => 42
  await trackLeaks(SHORT)()
  await assertNoLeaks(SHORT)
  Error.prepareStackTrace = () => {
    throw new Error('of the application')
  }
  const checks: Promise<void>[] = []
  try {
    checks.push(trackLeaks(SHORT)(), assertNoLeaks(SHORT))
  } finally {
    Error.prepareStackTrace = prepareStackTrace
  }
  await Promise.all(checks)
  t.equal(installedGuard(), null, 'each check was finished')
})
