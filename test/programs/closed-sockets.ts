/**
 * Opens and closes sockets in a loop, with everything recorded, and prints what is left of them. Run with `--expose-gc`.
 * A few thousand real connections, and as many sockets as are asked for that connect to nothing: a kernel takes its time.
 */
import { once } from 'node:events'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { PassThrough } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { install } from '../../src/index.js'
import { recordOf } from '../../src/socket/record.js'

const SOCKETS = Number(process.argv[2])
const CONNECTIONS = 1000
const AT_ONCE = 50
const SAMPLE_EVERY = 97

const guard = install({ context: 'async-local-storage', stacks: 'always', sweepMs: 1000, kernel: 'off' })
const records: WeakRef<object>[] = []
let seen = 0

function watch(socket: net.Socket): void {
  seen += 1
  const record = recordOf(socket)
  if (seen % SAMPLE_EVERY === 0 && record !== undefined) records.push(new WeakRef(record))
}

/** A pool: what it keeps open must not keep what went over it. */
const agent = new http.Agent({ keepAlive: true, maxSockets: 5 })
const target = net.createServer((socket) => {
  socket.on('error', () => {})
  socket.resume().end('bye')
  watch(socket)
})
const echo = http.createServer((request, response) => {
  watch(request.socket)
  request.pipe(response)
})
/** Every connection is opened inside a request, so that there is context to hold on to, and piped, so that there are ties. */
const front = http.createServer(async (request, response) => {
  for (let i = 0; i < SOCKETS / AT_ONCE; i += 1) {
    const socket = net.connect('/nowhere/to/connect/to').on('error', () => {})
    watch(socket)
    await new Promise((resolve) => socket.once('close', resolve))
  }
  for (let i = 0; i < CONNECTIONS / AT_ONCE; i += 1) {
    const socket = net.connect((target.address() as AddressInfo).port, '127.0.0.1')
    watch(socket)
    socket.pipe(new PassThrough()).pipe(response, { end: false })
    await once(socket, 'close')
  }
  const { port } = echo.address() as AddressInfo
  const outgoing = http.request({ port, host: '127.0.0.1', agent, method: 'POST' }, (answer) =>
    answer.pipe(response),
  )
  outgoing.on('socket', watch)
  request.pipe(outgoing)
})
for (const server of [target, echo, front]) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
}
const { port } = front.address() as AddressInfo
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    const request = http.get({ port, host: '127.0.0.1', agent: false })
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    await once(response.resume(), 'close')
  }),
)
agent.destroy()
for (const server of [target, echo, front]) {
  server.close()
  await once(server, 'close')
}
while (guard.snapshot().totals.tracked > 0) await turn()
for (let i = 0; i < 3; i += 1) {
  await turn()
  globalThis.gc!()
}
const alive = records.filter((record) => record.deref() !== undefined).length
console.log(
  JSON.stringify({ seen, tracked: guard.snapshot().totals.tracked, sampled: records.length, alive }),
)
process.exit()
