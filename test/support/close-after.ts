import type net from 'node:net'
import type { Test } from 'tap'

/** The server and its connections go with the test. */
export function closeAfter<S extends net.Server>(t: Test, server: S): S {
  const sockets = new Set<net.Socket>()
  server.on('connection', (socket) => sockets.add(socket))
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return server
}
