/** A request may go on for as long as the process (server-sent events), and open connections all the time. */
import net from 'node:net'
import t from 'tap'
import { ServedRequest } from '../../../src/observe/context/served-request.js'
import { TrackedSocket } from '../../../src/observe/tracked-socket.js'
import type { SocketPolicy } from '../../../src/options/options.js'

function use(served: ServedRequest, id: number): net.Socket {
  const socket = new net.Socket()
  served.noteUser(new TrackedSocket(id, socket, 'outbound', 1, {} as SocketPolicy))
  return socket
}

t.test('connections that are closed are let go of, those that are open are not', async (t) => {
  const served = new ServedRequest({})
  const open = [use(served, 1), use(served, 2)]
  for (let id = 3; id < 1000; id += 1) use(served, id).destroy()
  const kept = [...served.users()]
  t.ok(kept.length < 20, `${kept.length} of 999`)
  t.same(
    kept.filter(({ socket }) => !socket.destroyed).map(({ id }) => id),
    [1, 2],
  )
  for (const socket of open) socket.destroy()
})
