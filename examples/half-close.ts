/** Half-closes that are meant: one makes progress and is left alone, the other is silent and says so. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { install } from 'socket-leak-guard'
import { guardServer } from 'socket-leak-guard/net'

const guard = install({ graceMs: 2_000, action: 'reset' })

/** Both clients end their side with the question; the answer comes after that. */
const server = net.createServer({ allowHalfOpen: true }, (socket) => {
  socket.once('data', async (question) => {
    if (question.toString() === 'count') {
      // Never silent for as long as the grace.
      for (let i = 1; i <= 10; i += 1) {
        await sleep(400)
        socket.write(`${i} `)
      }
    } else {
      // Silent for more than twice the grace: without this line it would be reset.
      guard.exempt(socket)
      await sleep(2_500)
      for (const { verdict, diagnosis } of guard.sweep().sockets) console.log(`${verdict}: ${diagnosis}`)
      await sleep(2_500)
    }
    socket.end('done')
  })
})
const guarded = guardServer(server)

server.listen(0, '127.0.0.1')
await once(server, 'listening')

/** Two clients in a process of their own; it ends when both have their answer. */
const { port } = server.address() as AddressInfo
const clients = spawn(
  process.execPath,
  [
    '-e',
    `for (const question of ['count', 'think']) {
       const socket = require('node:net').connect({ port: ${port}, host: '127.0.0.1', allowHalfOpen: true })
       let answer = ''
       socket.end(question).setEncoding('utf8').on('data', (words) => (answer += words))
       socket.on('end', () => console.log(question + ': ' + answer))
     }`,
  ],
  { stdio: 'inherit' },
)

guard.subscribe(({ type, socket }) => console.log(`${type}: ${socket.diagnosis}`))

await once(clients, 'exit')
const { leaked, reclaimed } = guard.sweep().totals
console.log(`${leaked} leaked, ${reclaimed} reclaimed`)
await guarded.drain()
