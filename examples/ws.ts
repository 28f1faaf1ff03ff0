/** A WebSocket that is paused and never resumed. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'
import { install } from 'socket-leak-guard'
import { guardServer } from 'socket-leak-guard/ws'

const guard = install({ stalled: { graceMs: 2_000 }, sweepMs: 500 })

const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
server.on('connection', (webSocket) => {
  webSocket.once('message', () => {
    // Forgotten: to resume it once the message is dealt with.
    webSocket.pause()
  })
})
const guarded = guardServer(server, { label: 'live' })
await once(server, 'listening')

/** A client in a process of its own: it says more than fits into the buffers. */
const { port } = server.address() as AddressInfo
const client = spawn(process.execPath, [
  '--input-type=module',
  '-e',
  `import { WebSocket } from 'ws'
   const webSocket = new WebSocket('ws://127.0.0.1:${port}/live')
   webSocket.on('open', () => {
     for (let i = 0; i < 100; i += 1) webSocket.send(Buffer.alloc(100_000))
   })
   process.stdin.resume().on('end', process.exit)`,
])

guard.subscribe(({ type, socket }) => {
  if (type !== 'stalled') return
  console.log(socket.diagnosis)
  void stop()
})

async function stop(): Promise<void> {
  const { ended, destroyed } = await guarded.drain({ timeoutMs: 500, reason: 'restarting' })
  console.log(`stopped: ${ended} ended in good order, ${destroyed} destroyed`)
  client.kill()
}
