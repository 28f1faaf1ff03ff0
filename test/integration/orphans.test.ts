/** Sockets that are no longer sockets here: what the report counts, and what it can't know. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { install } from '../../src/index.js'
import { renderText } from '../../src/report/text.js'
import { listen, meet } from '../support/events.js'
import { Peer } from '../support/peer.js'
import { until } from '../support/until.js'

const peer = new Peer()
t.teardown(() => peer.kill())

t.test('a socket handed to a child leaves a husk that is not tracked', async (t) => {
  using guard = install({ graceMs: 200, sweepMs: 50 })
  const app = join(
    t.testdir({ 'child.cjs': "process.on('message', (_, socket) => socket && process.send('got it'))" }),
    'child.cjs',
  )
  const child = fork(app)
  t.teardown(() => child.kill())
  const server = net.createServer({ pauseOnConnect: true })
  t.teardown(() => server.close())
  const { socket } = await meet(peer, server)
  const got = once(child, 'message')
  child.send('yours', socket)
  await got
  const { port } = server.address() as net.AddressInfo
  const isTracked = (): boolean =>
    guard.sweep({ all: true }).sockets.some(({ local }) => local?.port === port)
  await until(() => !isTracked(), 'the husk is noticed')
  t.match(guard.snapshot().totals, { suspect: 0, leaked: 0 })
})

t.test('a socket that nobody told the guard of is an orphan, with its kernel state', async (t) => {
  // Accepted, closed by the peer, and no net.Socket yet: native code holds connections like this.
  const server = net.createServer()
  t.teardown(() => server.close())
  const port = await listen(server)
  const accepted = new Promise<object>((resolve) => {
    const { _handle } = server as unknown as { _handle: { onconnection: unknown } }
    _handle.onconnection = (_error: number, handle: object) => resolve(handle)
  })
  const connection = await peer.connect({ port })
  const handle = await accepted
  connection.do({ do: 'end' })
  using guard = install()
  await until(() => {
    const { orphans } = guard.sweep()
    return orphans !== null
  }, 'the orphans were counted')
  const { orphans, totals } = guard.snapshot()
  t.ok(orphans!.tcp >= 1, `${orphans!.tcp} orphans`)
  t.ok((orphans!.states.CLOSE_WAIT ?? 0) >= 1, 'one of them in CLOSE_WAIT')
  t.ok(orphans!.listeners >= 1, 'the server is no orphan')
  const { fd } = handle as { readonly fd: number }
  t.match(
    orphans!.closeWait.find((orphan) => orphan.fd === fd),
    { local: { address: '127.0.0.1', port }, unreadBytes: 0 },
  )
  t.match(
    renderText(guard.report()),
    new RegExp(`untracked: fd ${fd} in CLOSE_WAIT: 127.0.0.1:${port} - 127.0.0.1:\\d+$`, 'm'),
  )
  t.equal(totals.tracked, 0)
  const socket = new net.Socket({ handle } as net.SocketConstructorOpts)
  t.teardown(() => socket.destroy())
  guard.label(socket, 'found')
  t.equal(guard.snapshot().totals.tracked, 1, 'whoever has it in hand can still name it')
})
