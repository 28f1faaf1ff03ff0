/** A socket made for one direction has ended nothing. */
import { once } from 'node:events'
import net from 'node:net'
import t, { type Test } from 'tap'
import { install, type Guard } from '../../src/index.js'
import { closeAfter } from '../support/close-after.js'
import { listen, nextEvent } from '../support/events.js'

interface Ends {
  readonly oneWay: net.Socket
  readonly other: net.Socket
}

async function connect(t: Test, guard: Guard, options: net.SocketConstructorOpts): Promise<Ends> {
  const server = closeAfter(t, net.createServer({ allowHalfOpen: true }))
  const port = await listen(server)
  const oneWay = new net.Socket(options).on('error', () => {})
  t.teardown(() => oneWay.destroy())
  oneWay.connect(port, '127.0.0.1')
  const [other] = (await once(server, 'connection')) as [net.Socket]
  other.on('error', () => {})
  guard.exempt(other)
  return { oneWay, other }
}

for (const options of [{ readable: false }, { writable: false }]) {
  for (const kernel of ['ffi', 'proc', 'off'] as const) {
    t.test(`open and idle: ${JSON.stringify(options)}, kernel: '${kernel}'`, async (t) => {
      using guard = install({ graceMs: 100, sweepMs: 10, kernel, action: 'destroy' })
      // A leak beside it shows that its time is over.
      const leaked = nextEvent(guard, 'leaked')
      const { oneWay } = await connect(t, guard, options)
      const beside = await connect(t, guard, { allowHalfOpen: true })
      beside.oneWay.resume()
      beside.other.end()
      t.equal((await leaked).socket.condition, 'eof-ignored')
      t.match(guard.adapter.describe(oneWay), { verdict: 'none', condition: null, phase: 'open' })
      t.notOk(oneWay.destroyed)
    })
  }
}

t.test('what is never read is told once its peer has ended, for only the kernel sees that', async (t) => {
  using guard = install({ graceMs: 100, sweepMs: 10, kernel: 'ffi' })
  const leaked = nextEvent(guard, 'leaked')
  const { other } = await connect(t, guard, { readable: false })
  other.end()
  t.match((await leaked).socket, { condition: 'fin-unseen', seenBy: 'kernel', kernelState: 'CLOSE_WAIT' })
})
