/** RST in every situation in which Node's own `resetAndDestroy()` refuses, waits or emits an error. */
import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import t from 'tap'
import { resetSocket } from '../../src/socket/closing.js'
import { CERTIFICATE } from '../support/certificate.js'
import { holdsInode, inodeOf, statesOf } from '../support/descriptors.js'
import { listen, meet } from '../support/events.js'
import { Peer } from '../support/peer.js'
import { until } from '../support/until.js'

const peer = new Peer()
t.teardown(() => peer.kill())

for (const pending of ['nothing', 'a shutdown', 'blocked output'] as const) {
  for (const kind of ['tcp', 'tls'] as const) {
    t.test(`an accepted ${kind} socket with ${pending} pending`, async (t) => {
      const server =
        kind === 'tls'
          ? tls.createServer({ ...CERTIFICATE, allowHalfOpen: true })
          : net.createServer({ allowHalfOpen: true })
      t.teardown(() => server.close())
      const isBlocked = pending === 'blocked output'
      const { socket, port } = await meet(peer, server, { tls: kind === 'tls', paused: isBlocked })
      const errors: unknown[] = []
      socket.on('error', (error) => errors.push(error))
      const inode = inodeOf(socket)
      const remotePort = socket.remotePort!
      if (isBlocked) socket.write(Buffer.alloc(10_000_000))
      if (pending === 'a shutdown') socket.end()
      const closed = once(socket, 'close')
      const wasReset = resetSocket(socket)
      t.equal(wasReset, pending !== 'a shutdown')
      if (!wasReset) socket.destroy()
      await closed
      await until(() => !holdsInode(inode), 'the descriptor is gone')
      if (pending !== 'a shutdown') {
        await until(() => statesOf(port, remotePort).length === 0, 'the kernel has forgotten it')
      }
      t.same(errors, [])
    })
  }
}

t.test('a TLS client, which has no raw socket object', async (t) => {
  const server = tls.createServer(CERTIFICATE)
  server.on('secureConnection', (socket) => socket.on('error', (error) => seen.push(error)))
  const seen: Error[] = []
  const port = await listen(server)
  t.teardown(() => server.close())
  const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
  await once(client, 'secureConnect')
  const inode = inodeOf(client)
  const localPort = client.localPort!
  t.ok(resetSocket(client))
  await once(client, 'close')
  await until(() => !holdsInode(inode), 'the descriptor is gone')
  await until(() => statesOf(localPort, port).length === 0, 'the kernel has forgotten it')
})

t.test('a pipe can not be reset', async (t) => {
  t.notOk(resetSocket(new net.Socket()))
})
