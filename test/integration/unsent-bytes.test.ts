/** What can't be sent is counted once, whether it waits in the process or in the kernel. */
import net from 'node:net'
import tls from 'node:tls'
import t from 'tap'
import { install } from '../../src/index.js'
import { CERTIFICATE } from '../support/certificate.js'
import { meet, nextEvent } from '../support/events.js'
import { Peer } from '../support/peer.js'

const SENT = 10_000_000

const peer = new Peer()
t.teardown(() => peer.kill())

t.test('one big chunk, of which the kernel has taken a part', async (t) => {
  using guard = install({ graceMs: 500, sweepMs: 50 })
  const leaked = nextEvent(guard, 'leaked')
  const server = net.createServer()
  t.teardown(() => server.close())
  const { socket } = await meet(peer, server, { paused: true })
  t.teardown(() => socket.destroy())
  socket.end(Buffer.alloc(SENT))
  const { condition, unsentBytes } = (await leaked).socket
  t.equal(condition, 'write-stalled')
  t.equal(socket.writableLength, SENT, 'the stream counts the whole chunk')
  t.ok(
    unsentBytes > 0 && unsentBytes < SENT,
    `${unsentBytes} bytes: less than all, because the peer has some`,
  )
})

t.test('chunks that have yet to be handed over count as well', async (t) => {
  using guard = install({ graceMs: 500, sweepMs: 50, kernel: 'off' })
  const leaked = nextEvent(guard, 'leaked')
  const server = net.createServer()
  t.teardown(() => server.close())
  const { socket } = await meet(peer, server, { paused: true })
  t.teardown(() => socket.destroy())
  socket.write(Buffer.alloc(SENT))
  socket.end(Buffer.alloc(SENT))
  const { unsentBytes } = (await leaked).socket
  t.ok(unsentBytes > SENT && unsentBytes < 2 * SENT, `${unsentBytes} bytes`)
})

t.test('TLS: at least what the stream holds', async (t) => {
  using guard = install({ graceMs: 500, sweepMs: 50, kernel: 'off' })
  const leaked = nextEvent(guard, 'leaked')
  const server = tls.createServer(CERTIFICATE)
  t.teardown(() => server.close())
  const { socket } = await meet(peer, server, { paused: true, tls: true })
  t.teardown(() => socket.destroy())
  socket.end(Buffer.alloc(SENT))
  const { condition, unsentBytes } = (await leaked).socket
  t.equal(condition, 'write-stalled')
  t.ok(unsentBytes >= socket.writableLength)
})
