/**
 * A server that forgets its half-closed connections, in a process with a small limit of descriptors; its peers are in
 * another process. Says what became of it when it has had as many connections as it was told to expect.
 */
import net from 'node:net'
import { install } from '../../src/index.js'
import { Peer } from '../support/peer.js'

const [pressure, wanted] = process.argv.slice(2)
const guard = install({
  graceMs: 600_000,
  sweepMs: 20,
  pressure: pressure === 'on' ? { floorMs: 500_000 } : null,
})

let accepted = 0
let failed: string | null = null
const server = net.createServer({ allowHalfOpen: true }, (socket) => {
  accepted += 1
  socket.on('error', () => {}).resume()
})
server.on('error', (error: NodeJS.ErrnoException) => {
  failed = error.code ?? error.message
})

const peer = new Peer()
server.listen(0, '127.0.0.1', async () => {
  const { port } = server.address() as net.AddressInfo
  for (let i = 0; i < Number(wanted); i += 1) {
    const before = accepted
    const connection = peer.open().do({ do: 'connect', port })
    await connection.saw('connected')
    connection.do({ do: 'end' })
    const deadline = performance.now() + 3000
    while (accepted === before && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 5))
    if (accepted === before) break
    // Somebody has to be a suspect before anybody can be reclaimed.
    if (i % 10 === 9) await new Promise((resolve) => setTimeout(resolve, 150))
  }
  const { descriptors, totals } = guard.sweep()
  console.log(JSON.stringify({ accepted, failed, descriptors, totals }))
  await peer.kill()
  process.exit()
})
