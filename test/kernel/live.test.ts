/** What both views say about real sockets that are stuck in the ways this project is about. */
import { createServer, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { createFfiProbe } from '../../src/kernel/ffi.js'
import { loadLibc } from '../../src/kernel/libc.js'
import type { KernelProbe } from '../../src/kernel/probe.js'
import { createProcProbe } from '../../src/kernel/proc.js'
import { ask, askUntil, connectPair, fdOf, targetOf } from './connected-pair.js'

const probes: Record<string, () => KernelProbe> = {
  ffi: () => createFfiProbe(loadLibc()),
  proc: () => createProcProbe(),
}

for (const [name, createProbe] of Object.entries(probes)) {
  t.test(`${name}: healthy, over IPv4, IPv6, and IPv4 at an IPv6 listener`, async (t) => {
    const probe = createProbe()
    for (const host of ['127.0.0.1', '::1', '::']) {
      const pair = await connectPair(t, {}, host)
      t.match(
        ask(probe, pair.server, pair.client),
        [
          {
            state: 'ESTABLISHED',
            peerEnded: false,
            unreadBytes: 0,
            unsentBytes: 0,
            retransmits: 0,
            probes: 0,
          },
          { state: 'ESTABLISHED', peerEnded: false, unreadBytes: 0, unsentBytes: 0 },
        ],
        host,
      )
    }
  })

  t.test(`${name}: a FIN that nobody has read`, async (t) => {
    const probe = createProbe()
    const pair = await connectPair(t, { pauseOnConnect: true })
    pair.client.end()
    const sample = await askUntil(probe, pair.server, ({ state }) => state === 'CLOSE_WAIT')
    t.match(sample, { state: 'CLOSE_WAIT', peerEnded: true, unreadBytes: 0, unsentBytes: 0 })
    t.equal(pair.server.readyState, 'open', 'Node has not seen it')
  })

  t.test(`${name}: a FIN that the application has read and ignores`, async (t) => {
    const probe = createProbe()
    const pair = await connectPair(t)
    pair.server.resume()
    pair.client.end('bye')
    await new Promise((resolve) => pair.server.once('end', resolve))
    t.match(ask(probe, pair.server), [{ state: 'CLOSE_WAIT', peerEnded: true, unreadBytes: 0 }])
  })

  t.test(`${name}: 100,000 unread bytes before the FIN`, async (t) => {
    const probe = createProbe()
    const pair = await connectPair(t, { pauseOnConnect: true })
    pair.client.end(Buffer.alloc(100_000))
    const sample = await askUntil(probe, pair.server, ({ state }) => state === 'CLOSE_WAIT')
    t.match(sample, { state: 'CLOSE_WAIT', peerEnded: true, unreadBytes: 100_000 })
  })

  t.test(`${name}: a closed window hides the FIN behind it`, async (t) => {
    const probe = createProbe()
    const pair = await connectPair(t, { pauseOnConnect: true })
    pair.client.end(Buffer.alloc(8_000_000))
    const writer = await askUntil(probe, pair.client, ({ unsentBytes }) => (unsentBytes ?? 0) > 1_000_000)
    t.equal(writer?.state, 'ESTABLISHED')
    t.ok((writer?.unsentBytes ?? 0) > 1_000_000)
    const reader = await askUntil(probe, pair.server, ({ unreadBytes }) => (unreadBytes ?? 0) > 60_000)
    t.match(reader, { state: 'ESTABLISHED', peerEnded: false, unsentBytes: 0 })
    t.ok((reader?.unreadBytes ?? 0) > 60_000, `${reader?.unreadBytes} unread bytes`)
  })

  t.test(`${name}: FIN_WAIT2, ended here and not there`, async (t) => {
    const probe = createProbe()
    const pair = await connectPair(t)
    pair.server.end('bye')
    const sample = await askUntil(probe, pair.server, ({ state }) => state === 'FIN_WAIT2')
    t.match(sample, { state: 'FIN_WAIT2', peerEnded: false, unreadBytes: 0, unsentBytes: 0 })
  })

  t.test(`${name}: CLOSE after a reset that Node does not see`, async (t) => {
    const probe = createProbe()
    const pair = await connectPair(t, { pauseOnConnect: true })
    pair.client.resetAndDestroy()
    const sample = await askUntil(probe, pair.server, ({ state }) => state === 'CLOSE')
    t.match(sample, { state: 'CLOSE', peerEnded: null, unsentBytes: 0 })
    t.notOk(pair.server.destroyed)
    t.ok(fdOf(pair.server) >= 0)
  })

  t.test(`${name}: bytes that can still be read after a reset`, async (t) => {
    const probe = createProbe()
    const pair = await connectPair(t, { pauseOnConnect: true })
    pair.client.write('still here')
    await askUntil(probe, pair.server, ({ unreadBytes }) => unreadBytes === 10)
    pair.client.resetAndDestroy()
    const sample = await askUntil(probe, pair.server, ({ state }) => state === 'CLOSE')
    t.equal(sample?.unreadBytes, name === 'ffi' ? 10 : null)
  })

  t.test(`${name}: what a reset made the kernel throw away is not unsent any more`, async (t) => {
    const probe = createProbe()
    const pair = await connectPair(t, { pauseOnConnect: true })
    pair.client.end('the last word')
    pair.server.write(Buffer.alloc(4_000_000))
    await askUntil(
      probe,
      pair.server,
      ({ state, unsentBytes }) => state === 'CLOSE_WAIT' && unsentBytes !== 0,
    )
    pair.client.resetAndDestroy()
    const [sample] = ask(probe, pair.server)
    t.match(sample, { state: 'CLOSE', unsentBytes: 0 })
  })

  t.test(`${name}: destroyed, and a unix socket`, async (t) => {
    const probe = createProbe()
    const pair = await connectPair(t)
    pair.server.destroy()
    const path = join(tmpdir(), `slg-live-${name}-${process.pid}.sock`)
    const unixServer = createServer().listen(path)
    await new Promise((resolve) => unixServer.once('listening', resolve))
    const unixClient = connect(path)
    await new Promise((resolve) => unixClient.once('connect', resolve))
    t.same(ask(probe, pair.server, unixClient), [null, null])
    unixClient.destroy()
    unixServer.close()
  })

  t.test(`${name}: a number that is closed and reused between two slices`, async (t) => {
    const probe = createProbe()
    const old = await connectPair(t, { pauseOnConnect: true })
    const staleFd = fdOf(old.server)
    const stale = { inode: 0, fd: () => staleFd }
    const first = probe.ask([stale])
    while (!first.advance(Infinity));
    t.match(first.samples, [{ state: 'ESTABLISHED' }])
    const run = probe.ask([...Array.from({ length: 300 }, () => targetOf(old.client)), stale])
    run.advance(0)
    old.client.end()
    old.server.destroy()
    await new Promise((resolve) => old.server.once('close', resolve))
    const reuser = await connectPair(t)
    t.ok([reuser.listener, reuser.server, reuser.client].some((socket) => fdOf(socket) === staleFd))
    while (!run.advance(Infinity));
    const newState = fdOf(reuser.listener) === staleFd ? 'LISTEN' : 'ESTABLISHED'
    // the one asks the descriptor, which is the new socket's by now; the other was asked about the old socket
    t.same(run.samples[300]?.state ?? null, name === 'ffi' ? newState : null)
  })
}

t.test('ffi tells ages and round trips, proc does not', async (t) => {
  const pair = await connectPair(t)
  pair.client.write('ping')
  await new Promise((resolve) => pair.server.once('data', resolve))
  const [ffi] = ask(probes.ffi!(), pair.server)
  t.match(ffi, {
    lastDataReceivedMs: Number,
    lastDataSentMs: Number,
    lastAckReceivedMs: Number,
    rttMs: Number,
  })
  t.ok((ffi?.rttMs ?? 0) > 0 && (ffi?.rttMs ?? 0) < 5000)
  t.match(ask(probes.proc!(), pair.server), [
    { lastDataReceivedMs: null, lastDataSentMs: null, lastAckReceivedMs: null, rttMs: null },
  ])
})

t.test('asking takes nothing away: neither bytes nor errors', async (t) => {
  const probe = probes.ffi!()
  const pair = await connectPair(t, { pauseOnConnect: true })
  pair.client.write('payload')
  await askUntil(probe, pair.server, ({ unreadBytes }) => unreadBytes === 7)
  const read = new Promise((resolve) => pair.server.once('data', resolve))
  pair.server.resume()
  t.equal(String(await read), 'payload')

  // the reset is in the kernel, and Node has yet to hear of it
  pair.client.resetAndDestroy()
  t.match(ask(probe, pair.server), [{ state: 'CLOSE' }])
  const error = await new Promise<NodeJS.ErrnoException>((resolve) => pair.server.once('error', resolve))
  t.equal(error.code, 'ECONNRESET')
})
