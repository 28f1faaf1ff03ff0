import { openSync, closeSync } from 'node:fs'
import { once } from 'node:events'
import { createServer, connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { createFfiProbe, type FfiCalls } from '../../src/kernel/ffi.js'
import { whyFfiFails } from '../../src/kernel/ffi-check.js'
import { loadLibc, type Libc } from '../../src/kernel/libc.js'
import type { KernelProbe } from '../../src/kernel/probe.js'
import { createProcProbe } from '../../src/kernel/proc.js'
import { ask, connectPair, fdOf, targetOf } from './connected-pair.js'

/** The real C library, and how often it was called. */
function countedLibc() {
  const libc = { ...loadLibc(), calls: 0 }
  for (const name of ['poll', 'getsockopt', 'setsockopt', 'ioctl'] as const) {
    const real = libc[name] as (...args: unknown[]) => number
    libc[name] = (...args: unknown[]) => {
      libc.calls += 1
      return real(...args)
    }
  }
  return libc
}

/** The C library with some of its calls replaced. */
function libcWith(replaced: Partial<FfiCalls>): Libc {
  return { ...loadLibc(), ...replaced }
}

function neverCalled(): never {
  throw new Error('a system call')
}

t.test('no target: no system call', async (t) => {
  const probe = createFfiProbe({
    poll: neverCalled,
    getsockopt: neverCalled,
    setsockopt: neverCalled,
    ioctl: neverCalled,
  })
  const run = probe.ask([])
  t.ok(run.advance(Infinity))
  t.same(run.samples, [])
  t.equal(probe.restMs(), 0)
})

t.test('what is no open TCP socket has no sample', async (t) => {
  const libc = countedLibc()
  const probe = createFfiProbe(libc)
  const path = join(tmpdir(), `slg-ffi-${process.pid}.sock`)
  const unixServer = createServer().listen(path)
  await new Promise((resolve) => unixServer.once('listening', resolve))
  const unixClient = connect(path)
  await new Promise((resolve) => unixClient.once('connect', resolve))
  const file = openSync('/dev/null', 'r')
  const targets = [fdOf(unixClient), file, 1_000_000, -1].map((fd) => ({ inode: 0, fd: () => fd }))
  const run = probe.ask(targets)
  t.ok(run.advance(Infinity))
  t.same(run.samples, [null, null, null, null])
  t.equal(libc.calls, 3, 'one poll, and TCP_INFO of the two that are open')
  closeSync(file)
  unixClient.destroy()
  unixServer.close()
})

t.test(
  'a unix-domain socket tells whether its peer has ended, where the caller says that it is one',
  async (t) => {
    const path = join(tmpdir(), `slg-pipe-${process.pid}.sock`)
    const unixServer = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(path)
    const accepted = once(unixServer, 'connection') as Promise<[Socket]>
    const client = connect({ path, allowHalfOpen: true })
    const [socket] = await accepted
    t.teardown(() => {
      client.destroy()
      socket.destroy()
      unixServer.close()
    })
    const target = { inode: 0, fd: () => fdOf(socket), isPipe: true }
    const nothing = { state: null, unsentBytes: null, lastDataReceivedMs: null, retransmits: null }
    function look(probe: KernelProbe) {
      const run = probe.ask([target])
      t.ok(run.advance(Infinity))
      return run.samples
    }
    const probe = createFfiProbe(loadLibc())
    t.match(look(probe), [{ ...nothing, peerEnded: false, unreadBytes: 0 }])
    client.end('12345')
    await once(client, 'finish')
    t.match(look(probe), [{ ...nothing, peerEnded: true, unreadBytes: 5 }])
    t.same(look(createFfiProbe(libcWith({ poll: () => -1 }))), [null], 'only poll knows')
    t.same(look(createProcProbe()), [null])
    t.equal(target.inode, 0, 'no table was searched for it')
  },
)

t.test('a listener has a state and no queues', async (t) => {
  const pair = await connectPair(t)
  t.match(ask(createFfiProbe(loadLibc()), pair.listener), [
    { state: 'LISTEN', peerEnded: null, unreadBytes: null, unsentBytes: null },
  ])
})

t.test('fields beyond the returned length are unknown, not what another answer left there', async (t) => {
  const real = loadLibc()
  const pair = await connectPair(t)
  pair.client.write('hello')
  await new Promise((resolve) => pair.server.once('data', resolve))
  let knownBytes = 256
  const probe = createFfiProbe(
    libcWith({
      getsockopt(fd, level, name, value, length) {
        const result = real.getsockopt(fd, level, name, value, length)
        length[0] = knownBytes
        return result
      },
    }),
  )
  const [whole] = ask(probe, pair.server)
  t.not(whole?.rttMs, null)
  t.not(whole?.lastAckReceivedMs, null)
  knownBytes = 59
  t.match(ask(probe, pair.server), [
    {
      state: 'ESTABLISHED',
      lastDataReceivedMs: Number,
      lastAckReceivedMs: null,
      rttMs: null,
      unsentBytes: 0,
    },
  ])
  knownBytes = 0
  t.match(ask(probe, pair.server), [
    {
      state: null,
      peerEnded: null,
      unreadBytes: null,
      retransmits: null,
      probes: null,
      lastDataSentMs: null,
    },
  ])
})

t.test('a poll that fails costs more calls and no truth', async (t) => {
  const pair = await connectPair(t, { pauseOnConnect: true })
  await new Promise((resolve) => pair.client.end('12345', () => resolve(null)))
  const probe = createFfiProbe(libcWith({ poll: () => -1 }))
  t.match(ask(probe, pair.server, pair.client), [{ unreadBytes: 5 }, { unreadBytes: 0 }])
})

t.test('quiet sockets are spared the questions about their queues', async (t) => {
  const pair = await connectPair(t, { pauseOnConnect: true })
  const libc = countedLibc()
  ask(createFfiProbe(libc), pair.server)
  t.equal(libc.calls, 2, 'poll and TCP_INFO')
})

t.test('descriptors are read in the tick of the calls, chunk by chunk', async (t) => {
  const pair = await connectPair(t, { pauseOnConnect: true })
  let reads = 0
  const targets = Array.from({ length: 1000 }, () => ({
    inode: 0,
    fd() {
      reads += 1
      return fdOf(pair.server)
    },
  }))
  const libc = countedLibc()
  const run = createFfiProbe(libc).ask(targets)
  t.equal(reads, 0)
  let slices = 0
  let isDone = false
  while (!isDone) {
    isDone = run.advance(0)
    slices += 1
    t.equal(reads, Math.min(slices * 256, 1000))
  }
  t.ok(run.samples.every((sample) => sample?.state === 'ESTABLISHED'))
  t.equal(libc.calls, 1000 + 4)
})

t.test('a descriptor that was reused between two slices is answered for its new owner alone', async (t) => {
  const old = await connectPair(t, { pauseOnConnect: true })
  const fd = fdOf(old.server)
  const early = Array.from({ length: 256 }, () => targetOf(old.client))
  const late = targetOf(old.server)
  const probe = createFfiProbe(loadLibc())
  const run = probe.ask([...early, late])
  t.notOk(run.advance(0))
  old.server.destroy()
  await new Promise((resolve) => old.server.once('close', resolve))
  const others = await Promise.all([connectPair(t), connectPair(t), connectPair(t)])
  t.ok(
    others.some((other) =>
      [other.server, other.client, other.listener].some((socket) => fdOf(socket) === fd),
    ),
    'the number is in use again',
  )
  t.ok(run.advance(0))
  t.equal(run.samples[256], null)
})

t.test('a new question ends an unfinished one', async (t) => {
  const pair = await connectPair(t)
  const probe = createFfiProbe(loadLibc())
  const first = probe.ask(Array.from({ length: 300 }, () => targetOf(pair.server)))
  t.notOk(first.advance(0))
  probe.ask([targetOf(pair.server)])
  t.ok(first.advance(0))
  t.ok(first.samples.every((sample) => sample === null))
})

t.test('rests for a hundred times what the last question took', async (t) => {
  let nowMs = 0
  const probe = createFfiProbe(
    libcWith({
      poll() {
        nowMs += 2
        return 0
      },
    }),
    () => nowMs,
  )
  const pair = await connectPair(t)
  ask(probe, pair.server)
  t.equal(probe.restMs(), 200)
  nowMs += 150
  t.equal(probe.restMs(), 50)
})

t.test('sets keep-alive times, and believes what it reads back', async (t) => {
  const pair = await connectPair(t)
  const probe = createFfiProbe(loadLibc())
  const fd = fdOf(pair.server)
  t.equal(probe.readKeepAlive(fd), null, 'off')
  t.ok(probe.setKeepAlive(fd, { idleMs: 30_000, intervalMs: 5000, count: 4 }))
  t.equal(probe.readKeepAlive(fd), null, 'setting the times does not switch it on')
  pair.server.setKeepAlive(true)
  t.same(probe.readKeepAlive(fd), { idleMs: 30_000, intervalMs: 5000, count: 4 })
  t.ok(probe.setKeepAlive(fd, { idleMs: 100, intervalMs: 1001, count: 2 }))
  t.same(probe.readKeepAlive(fd), { idleMs: 1000, intervalMs: 2000, count: 2 }, 'whole seconds, rounded up')
  t.notOk(probe.setKeepAlive(fd, { idleMs: 30_000, intervalMs: 5000, count: 1000 }), 'the kernel refuses')
  t.notOk(probe.setKeepAlive(-1, { idleMs: 30_000, intervalMs: 5000, count: 4 }))
  t.equal(probe.readKeepAlive(-1), null)
})

t.test('a setting that does not hold is no success', async (t) => {
  const pair = await connectPair(t)
  const probe = createFfiProbe(libcWith({ setsockopt: () => 0 }))
  t.notOk(probe.setKeepAlive(fdOf(pair.server), { idleMs: 30_000, intervalMs: 5000, count: 4 }))
  t.notOk(probe.setUserTimeout(fdOf(pair.server), 3000))
})

t.test('sets TCP_USER_TIMEOUT', async (t) => {
  const pair = await connectPair(t)
  const probe = createFfiProbe(loadLibc())
  t.ok(probe.setUserTimeout(fdOf(pair.server), 3000))
  t.notOk(probe.setUserTimeout(-1, 3000))
})

t.test('the self-check passes here, again and again, and opens nothing for good', async (t) => {
  const real = loadLibc()
  const opened: number[] = []
  const libc: Libc = {
    ...real,
    socket: (...args) => remember(real.socket(...args)),
    accept: (...args) => remember(real.accept(...args)),
    close(fd) {
      opened.splice(opened.indexOf(fd), 1)
      return real.close(fd)
    },
  }
  function remember(fd: number): number {
    opened.push(fd)
    return fd
  }
  for (let times = 0; times < 20; times += 1) t.equal(whyFfiFails(libc), null)
  t.same(opened, [])
})

t.test('the self-check names what fails, and closes what it opened', async (t) => {
  const real = loadLibc()
  let open = 0
  const counting: Libc = {
    ...real,
    socket: (...args) => {
      open += 1
      return real.socket(...args)
    },
    accept: (...args) => {
      open += 1
      return real.accept(...args)
    },
    close: (fd) => {
      open -= 1
      return real.close(fd)
    },
  }
  const flaws: Array<[Partial<Libc>, RegExp]> = [
    [{ bind: () => -1 }, /self-check failed: bind failed with errno \d+/],
    [{ poll: () => 0 }, /no connect/],
    [{ getsockopt: () => 0 }, /TCP_INFO says nothing instead of ESTABLISHED/],
    [{ shutdown: () => 0 }, /no POLLRDHUP/],
    [{ ioctl: () => -1 }, /ioctl failed/],
    [
      {
        connect() {
          throw new TypeError('Unexpected argument')
        },
      },
      /Unexpected argument/,
    ],
  ]
  for (const [flaw, expected] of flaws) {
    t.match(whyFfiFails({ ...counting, ...flaw }), expected)
    t.equal(open, 0)
  }
})
