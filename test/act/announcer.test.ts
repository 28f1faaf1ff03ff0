import diagnostics from 'node:diagnostics_channel'
import t from 'tap'
import { createAnnouncer } from '../../src/act/announcer.js'
import { sampleSocket } from '../core/sample-socket.js'

t.test('an event that nobody hears is not described', async (t) => {
  const announcer = createAnnouncer()
  let described = 0
  function announce(): void {
    announcer.announce('suspect', () => {
      described += 1
      return sampleSocket()
    })
  }
  announce()
  t.equal(described, 0)
  const unsubscribe = announcer.subscribe(() => {})
  announce()
  t.equal(described, 1)
  unsubscribe()
  announce()
  t.equal(described, 1)
  const listen = () => {}
  diagnostics.subscribe('socket-leak-guard:suspect', listen)
  t.teardown(() => diagnostics.unsubscribe('socket-leak-guard:suspect', listen))
  announce()
  t.equal(described, 2)
})
