/** A sweep reads the pipes of many connections in steps, also if a verdict asks for the ties of a socket that looks healthy. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import t from 'tap'
import { beginSweepPass } from '../../src/act/sweep-pass.js'
import { Ledger } from '../../src/core/ledger.js'
import { blankTrouble } from '../../src/judge/trouble.js'
import { DEFAULTS } from '../../src/options/options.js'
import { Pairs } from '../../src/pairs/pairs.js'
import { Http2Streams } from '../../src/socket/http2.js'
import { attachRecord, SocketRecord } from '../../src/socket/record.js'

const COUNT = 300

t.test('the ties that a recovered socket asks for are gathered in steps', async (t) => {
  let reads = 0
  const ledger = new Ledger<SocketRecord>()
  const server = createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  for (let id = 1; id <= COUNT; id += 1) {
    const accepted = once(server, 'connection')
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
    const [socket] = (await accepted) as [Socket & { readonly _readableState: object }]
    t.teardown(() => client.destroy())
    t.teardown(() => socket.destroy())
    const { pipes } = socket._readableState as { pipes?: unknown }
    Object.defineProperty(socket._readableState, 'pipes', { get: () => ((reads += 1), pipes) })
    const record = new SocketRecord(id, socket, 'inbound', 1, DEFAULTS)
    attachRecord(socket, record)
    ledger.add(record)
  }
  ledger.at(COUNT - 1)!.trouble = { ...blankTrouble(0), verdict: 'recovered' }
  let observed = 0
  const pass = beginSweepPass({
    ledger,
    judge: { apply: () => (observed += 1), setKeepAlive() {} } as never,
    probe: { name: 'none' } as never,
    now: () => 1000,
    turn: () => 0,
    pairs: new Pairs({
      records: ledger,
      makers: new WeakMap(),
      now: () => 1000,
      identify: ({ id, direction }) => ({ id, direction, remote: null, site: '' }),
      defaults: DEFAULTS,
      onParted: () => t.fail('nobody parted'),
      onFailure: (error) => t.fail(String(error)),
    }),
    streams: new Http2Streams(),
    onFirstLook() {},
    onSession() {},
    forget: () => t.fail('all are open'),
  })
  let most = 0
  for (let isMore = true; isMore;) {
    const before = reads
    isMore = pass.step()
    most = Math.max(most, reads - before)
  }
  t.equal(observed, 1)
  t.ok(reads >= COUNT, `${reads} pipes are read`)
  t.ok(most <= 64, `${most} of them in the longest step`)
})
