/**
 * A server that echoes, and forgets its half-closed connections, in a process with a small limit of descriptors. Another process
 * floods it with such connections, and asks healthily besides: says how many of its questions were answered in time.
 */
import { fork } from 'node:child_process'
import net from 'node:net'
import { fileURLToPath } from 'node:url'
import { install } from '../../src/index.js'

const FLOOD_MS = 5000
const PATIENCE_MS = 500

const [role, port] = process.argv.slice(2)

if (role === 'peers') {
  let asked = 0
  let answered = 0
  const options = { port: Number(port), host: '127.0.0.1' }
  const leaking = setInterval(() => {
    net
      .connect({ ...options, allowHalfOpen: true })
      .on('error', () => {})
      .resume()
      .end()
  }, 10)
  const asking = setInterval(() => {
    asked += 1
    const client = net.connect(options, () => client.write('ping'))
    const bell = setTimeout(() => client.destroy(), PATIENCE_MS)
    client
      .on('error', () => {})
      .once('data', () => {
        answered += 1
        clearTimeout(bell)
        client.destroy()
      })
  }, 50)
  setTimeout(() => {
    clearInterval(leaking)
    clearInterval(asking)
  }, FLOOD_MS)
  setTimeout(() => process.send!({ asked, answered }), FLOOD_MS + PATIENCE_MS)
} else {
  const guard = install({ pressure: role === 'on' ? true : null })
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {}).on('data', (data) => socket.write(data))
  })
  server.on('error', () => {})
  server.listen(0, '127.0.0.1', () => {
    const address = server.address() as net.AddressInfo
    const peers = fork(fileURLToPath(import.meta.url), ['peers', String(address.port)], { execArgv: [] })
    peers.on('message', (told: object) => {
      peers.kill()
      console.log(JSON.stringify({ ...told, reclaimed: guard.snapshot({ limit: 0 }).descriptors.reclaimed }))
      process.exit()
    })
  })
}
