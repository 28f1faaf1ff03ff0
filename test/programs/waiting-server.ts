/** A server that has said its word and waits for the client's, guarded by the shortest patience; told what to do by its test. */
import { once } from 'node:events'
import net from 'node:net'
import { install } from '../../src/index.js'
import { obey } from '../support/actor.js'
import { nextEvent } from '../support/events.js'

const guard = install({ graceMs: 400, sweepMs: 20, action: 'destroy', log: false })
const types: string[] = []
guard.subscribe(({ type }) => types.push(type))
const suspected = nextEvent(guard, 'suspect')
const server = net.createServer({ allowHalfOpen: true }, (socket) => {
  socket.end('your turn')
  socket.on('data', (chunk: Buffer) => (heard += chunk.toString()))
  closed = once(socket, 'close')
})
let heard = ''
let closed: Promise<unknown> = Promise.resolve()

const actions = {
  async listen(): Promise<number> {
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return (server.address() as net.AddressInfo).port
  },
  untilSuspected: () => suspected.then(() => {}),
  async untilClosed(): Promise<{ heard: string; types: string[] }> {
    await closed
    return { heard, types }
  },
}

export type WaitingServer = typeof actions

obey(actions)
