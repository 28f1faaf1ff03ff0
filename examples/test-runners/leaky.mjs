// What each of these tests runs: a server that reads everything and never ends its side.
import { once } from 'node:events'
import net from 'node:net'

export async function answer() {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('data', function keepReading() {})
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const client = net.connect(server.address().port, '127.0.0.1').end('hello')
  const [socket] = await once(server, 'connection')
  await once(socket, 'end')
  client.destroy()
  server.close()
}
