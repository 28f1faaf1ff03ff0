/** Whose code holds a socket, without stacks: names for nothing, places by an inspector session in the same process. */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readlinkSync } from 'node:fs'
import http from 'node:http'
import inspector from 'node:inspector'
import net from 'node:net'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { install, type Guard, type Report, type SocketReport } from '../../src/index.js'
import { listen } from '../support/events.js'
import { PACKAGE_ROOT } from '../support/package-root.js'
import { cleanEnvironment } from '../support/run-node.js'
import { until } from '../support/until.js'

const QUICK = { graceMs: 200, sweepMs: 50, kernel: 'off' } as const

function keepReading(): void {}

/** Connections whose clients have ended, with a server that hears it and does nothing. @returns one that is leaked */
async function leak(
  t: Test,
  guard: Guard,
  hold: (socket: net.Socket) => void,
  count = 1,
): Promise<SocketReport> {
  const held: net.Socket[] = []
  const server = net.createServer({ allowHalfOpen: true }, function onConnection(socket) {
    held.push(socket)
    hold(socket.on('error', () => {}))
  })
  const port = await listen(server)
  t.teardown(() => {
    server.close()
    for (const socket of held) socket.destroy()
  })
  for (let i = 0; i < count; i += 1) net.connect(port, '127.0.0.1').resume().end()
  const leaks = () =>
    guard.snapshot().sockets.filter((socket) => socket.verdict === 'leaked' && socket.direction === 'inbound')
  await until(() => leaks().length === count, 'it is leaked')
  return leaks()[0]!
}

t.test('listeners, bound ones too, and the server are located; Node and the guard are not', async (t) => {
  using guard = install(QUICK)
  const socket = await leak(t, guard, (held) => held.on('data', keepReading.bind(null)))
  t.same(socket.evidence.heldBy, ['data -> keepReading', 'server connection -> onConnection'])
  const { code, reason, blockedMs, id, site } = guard.locate(socket.id)
  t.match({ id, site, reason }, { id: socket.id, site: socket.owner.site, reason: null })
  t.same(
    code.map(({ how, name }) => `${how} -> ${name}`),
    socket.evidence.heldBy,
  )
  for (const { file, package: from, place, line } of code) {
    t.match(file, /locate\.test\.[jt]s$/)
    t.equal(from, null)
    t.ok(line > 0)
    t.match(place, /locate\.test\.[jt]s:\d+ - /)
  }
  t.match(code[0]!.place, /function keepReading/)
  t.ok(blockedMs >= 0)
  t.same(guard.snapshot().code, [{ id, site, code, reason, blockedMs }])
  t.equal(
    Object.getOwnPropertySymbols(net.Socket).some((key) => /located/.test(String(key))),
    false,
  )
  t.throws(() => guard.locate(1e9), { code: 'SLG_ERR_NO_SUCH_SOCKET' })
})

t.test('a descriptor leads to its socket, healthy or not', async (t) => {
  using guard = install(QUICK)
  const leaked = await leak(t, guard, (held) => held.resume())
  const { fd, inode } = leaked.evidence
  const isLinux = process.platform === 'linux'
  if (isLinux) t.equal(readlinkSync(`/proc/self/fd/${fd}`), `socket:[${inode}]`)
  else t.equal(inode, null)
  const healthy = guard.snapshot({ all: true }).sockets.find(({ verdict }) => verdict === 'none')
  for (const { id, evidence } of healthy === undefined ? [leaked] : [leaked, healthy]) {
    const report = guard.snapshot({ fd: evidence.fd! })
    t.same(
      report.sockets.map((socket) => socket.id),
      [id],
    )
    t.equal(report.totals.leaked, guard.snapshot().totals.leaked, 'the numbers are those of all')
  }
  t.same(guard.snapshot({ fd: 1_000_000 }).sockets, [])
})

t.test('what it is piped to', async (t) => {
  using guard = install(QUICK)
  class Sink extends Writable {
    override _write(): void {}
  }
  const server = net.createServer((socket) => socket.on('error', () => {}).pipe(new Sink()))
  const client = net.connect(await listen(server), '127.0.0.1').resume()
  t.teardown(() => {
    client.destroy()
    server.close()
  })
  await once(server, 'connection')
  const held = guard.snapshot({ all: true }).sockets.find(({ direction }) => direction === 'inbound')!
  t.same(held.evidence.heldBy, ['pipe -> Sink', 'server connection -> (anonymous)'])
  t.match(guard.locate(held.id).code, [
    { how: 'pipe', name: 'Sink', place: /_write\(/ },
    { name: '(anonymous)' },
  ])
})

t.test("an HTTP request is its handler's, and the answer that is read its reader's", async (t) => {
  using guard = install(QUICK)
  const server = http.createServer(function forgets(request, response) {
    request.on('data', keepReading)
    response.write('half')
  })
  t.teardown(() => server.close().closeAllConnections())
  const port = await listen(server)
  const request = http.get({ port, host: '127.0.0.1', path: '/half', agent: false }).on('error', () => {})
  t.teardown(() => request.destroy())
  const [answer] = (await once(request, 'response')) as [http.IncomingMessage]
  answer.on('data', keepReading)
  const { sockets } = guard.sweep({ all: true })
  const [served, asking] = ['inbound', 'outbound'].map((way) =>
    sockets.find(({ direction }) => direction === way)!,
  )
  t.same(served!.evidence.heldBy, ['request data -> keepReading', 'server request -> forgets'])
  t.same(asking!.evidence.heldBy, ['response data -> keepReading'])
  t.match(
    guard.locate(served!.id).code.map(({ name }) => name),
    ['keepReading', 'forgets'],
  )
})

t.test(
  'an answer of undici is of its reader, a request of its callback; a promise names nobody',
  async (t) => {
    using guard = install(QUICK)
    const server = http.createServer((request, response) => {
      if (request.url === '/read') response.write('x')
    })
    const origin = `http://127.0.0.1:${await listen(server)}`
    const { Client } = await import('undici')
    const clients = Array.from({ length: 4 }, () => new Client(origin))
    t.teardown(async () => {
      for (const client of clients) await client.destroy()
      server.close()
    })
    function onAnswer(): void {}
    function openTarget(): Writable {
      return new Writable()
    }
    const [read, called, streamed, promised] = clients
    void read!
      .request({ path: '/read', method: 'GET' })
      .then(({ body }) => body.on('error', () => {}).on('data', keepReading))
    called!.request({ path: '/called', method: 'GET' }, onAnswer)
    streamed!.stream({ path: '/streamed', method: 'GET' }, openTarget).catch(() => {})
    promised!.request({ path: '/promised', method: 'GET' }).catch(() => {})
    const held = (path: string): SocketReport | undefined =>
      guard
        .sweep({ all: true })
        .sockets.find(({ direction, owner }) => direction === 'outbound' && owner.request?.path === path)
    await until(
      () => clients.every((_, i) => held(['/read', '/called', '/streamed', '/promised'][i]!) !== undefined),
      'all are asked',
    )
    await until(() => held('/read')!.evidence.heldBy.length > 0, 'it is answered')
    t.same(held('/read')!.evidence.heldBy, ['response data -> keepReading'])
    t.same(held('/called')!.evidence.heldBy, ['request callback -> onAnswer'])
    t.same(held('/streamed')!.evidence.heldBy, ['request factory -> openTarget'])
    t.same(held('/promised')!.evidence.heldBy, [])
    t.match(guard.locate(held('/called')!.id).code, [{ name: 'onAnswer', file: /locate\.test\.[jt]s$/ }])
    t.match(guard.locate(held('/promised')!.id), {
      code: [],
      reason: /^a promise of fetch\(\) or undici waits/,
    })
  },
)

t.test('a WebSocket of a client is of those who listen to it', async (t) => {
  using guard = install(QUICK)
  const server = new WebSocketServer({ port: 0 })
  await once(server, 'listening')
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as net.AddressInfo).port}`)
  t.teardown(() => {
    client.terminate()
    server.close()
  })
  client.on('message', keepReading)
  await once(client, 'open')
  const outgoing = guard.sweep({ all: true }).sockets.find(({ direction }) => direction === 'outbound')
  t.match(outgoing, { kind: 'websocket', owner: { context: { webSocket: 'open' } } })
  t.same(outgoing!.evidence.heldBy, ['WebSocket message -> keepReading'])
})

t.test("code: 'once' locates the first leak of a site, and no other", async (t) => {
  using guard = install({ ...QUICK, code: 'once' })
  const { owner } = await leak(t, guard, (held) => held.on('data', keepReading), 2)
  const { code } = guard.snapshot()
  const [found, ...others] = code.filter(({ site }) => site === owner.site)
  t.same(others, [])
  t.match(found!.code[0], { how: 'data', name: 'keepReading', package: null })
})

t.test('an open inspector is left alone, and said', async (t) => {
  using guard = install(QUICK)
  const socket = await leak(t, guard, (held) => held.on('data', keepReading))
  inspector.open(0, '127.0.0.1')
  t.teardown(() => inspector.close())
  t.match(guard.locate(socket.id), { code: [], reason: /^an inspector is attached: / })
  t.same(guard.snapshot().code, [], 'and the site may be located later')
  t.notMatch(
    JSON.stringify(guard.locate(socket.id)),
    /ws:/,
    'without its address, which lets who reads it run code',
  )
})

t.test('where the inspector is forbidden, that is said', async (t) => {
  const flag = process.allowedNodeEnvironmentFlags.has('--permission')
    ? '--permission'
    : '--experimental-permission'
  const mayListen = process.allowedNodeEnvironmentFlags.has('--allow-net') ? ['--allow-net'] : []
  const program = `
    const net = require('node:net')
    const guard = require(${JSON.stringify(join(PACKAGE_ROOT, 'dist', 'index.js'))}).install({ graceMs: 100, sweepMs: 20, kernel: 'off' })
    const server = net.createServer({ allowHalfOpen: true }, (socket) => socket.resume())
    guard.subscribe(({ type, socket }) => {
      if (type !== 'leaked') return
      console.log(JSON.stringify(guard.locate(socket.id)))
      process.exit()
    })
    server.listen(0, '127.0.0.1', () => net.connect(server.address().port, '127.0.0.1').resume().end())`
  // The test runner has its loader put into every process, and that needs permissions.
  const { stdout, stderr } = spawnSync(
    'env',
    ['-u', 'NODE_OPTIONS', process.execPath, flag, ...mayListen, '--allow-fs-read=*', '-e', program],
    { encoding: 'utf8', env: cleanEnvironment() },
  )
  const found = JSON.parse(stdout || '{}') as Partial<Report['code'][number]>
  t.match(found.reason, /restricted/, stderr)
  t.same(found.code, [])
})
