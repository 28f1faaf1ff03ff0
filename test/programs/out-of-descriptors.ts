/**
 * Runs out of descriptors before the kernel has ever been asked, and recovers. Says what view of the kernel the guard had then,
 * and afterwards.
 */
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import net from 'node:net'
import { install } from '../../src/index.js'
import { until } from '../support/until.js'

const guard = install({ kernel: process.argv[2] as 'auto' | 'ffi' | 'proc', sweepMs: 600_000, log: false })
const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, '127.0.0.1')
await once(server, 'listening')
const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1')
await once(server, 'connection')
client.end('unread')
await once(client, 'finish')

function takeAll(): number[] {
  const taken: number[] = []
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'))
  } catch {
    return taken
  }
}

const taken = takeAll()
for (let looks = 0; looks < 3; looks += 1) guard.sweep()
const during = guard.snapshot().kernel
for (const fd of taken) closeSync(fd)
const statesNow = () =>
  guard.sweep({ all: true, unsettled: true }).sockets.map(({ kernelState }) => kernelState)
await until(() => statesNow().includes('CLOSE_WAIT'), 'the kernel has been asked')
console.log(JSON.stringify({ during, after: guard.snapshot().kernel }))
process.exit()
