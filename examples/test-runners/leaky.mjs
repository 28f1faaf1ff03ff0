// What each of these test files runs: a server that reads everything and never ends its side, and one that does.
import { once } from 'node:events'
import net from 'node:net'

export function answer() {
  return talk((socket) => {
    socket.on('data', function keepReading() {})
  })
}

export function answerAndEnd() {
  return talk((socket) => {
    socket.resume().on('end', () => socket.end())
  })
}

async function talk(serve) {
  const server = net.createServer({ allowHalfOpen: true }, serve)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const client = net.connect(server.address().port, '127.0.0.1').end('hello')
  const [socket] = await once(server, 'connection')
  await once(socket, 'end')
  client.destroy()
  server.close()
}
