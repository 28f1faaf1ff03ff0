import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createSocket } from 'node:dgram'
import { createServer, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { countOrphans } from '../../src/kernel/count-orphans.js'
import { createOrphanWatch } from '../../src/kernel/orphans.js'
import { until } from '../support/until.js'
import { connectPair, fdOf } from './connected-pair.js'
import { TCP_HEADER, UNIX_HEADER } from './fake-proc.js'

function count(known: () => Iterable<number>, directory?: string) {
  const steps = countOrphans(known, directory)
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
  }
}

/** The descriptors that are sockets. */
function socketDescriptors(): number[] {
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:')
      } catch {
        return false // the descriptor that listed
      }
    })
}

t.test('orphans are the sockets that nobody accounts for, listeners excepted', async (t) => {
  const known = socketDescriptors()
  t.match(
    count(() => known),
    { tcp: 0, unix: 0, other: 0, listeners: 0, socketDescriptors: known.length },
  )

  const path = join(tmpdir(), `slg-orphans-${process.pid}.sock`)
  const unixServer = createServer().listen(path)
  await new Promise((resolve) => unixServer.once('listening', resolve))
  const unixClient = connect(path)
  await new Promise((resolve) => unixClient.once('connect', resolve))
  const pair = await connectPair(t, { pauseOnConnect: true }, '::')
  const ended = await connectPair(t, { pauseOnConnect: true }, '::1')
  const dead = await connectPair(t, { pauseOnConnect: true })
  const udp = createSocket('udp4').bind(0, '127.0.0.1')
  await new Promise((resolve) => udp.once('listening', resolve))
  ended.client.write('unread')
  ended.client.end()
  await new Promise((resolve) => ended.client.once('finish', resolve))
  dead.client.resetAndDestroy()
  await new Promise((resolve) => dead.client.once('close', resolve))

  const all = () => count(() => [...known, fdOf(pair.client)])
  await until(() => all().states.FIN_WAIT2 === 1, 'the end is acknowledged')
  t.same(all(), {
    tcp: 3,
    states: { ESTABLISHED: 1, CLOSE_WAIT: 1, FIN_WAIT2: 1 },
    closeWait: [
      {
        fd: fdOf(ended.server),
        local: { address: '::1', port: ended.server.localPort! },
        remote: { address: '::1', port: ended.server.remotePort! },
        unreadBytes: 6,
        unsentBytes: 0,
      },
    ],
    unix: 2,
    other: 2, // the UDP socket, and a connection that the kernel has closed, which is in no table
    listeners: 4,
    socketDescriptors: known.length + 12,
  })
  udp.close()
  unixClient.destroy()
  unixServer.close()
})

t.test('when every socket is known no table is read', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'slg-proc-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  symlinkSync('/proc/self/fd', join(directory, 'fd'))
  const pair = await connectPair(t)
  const known = socketDescriptors()
  t.match(
    count(() => known, directory),
    { tcp: 0, unix: 0, other: 0, listeners: 0 },
  )
  t.throws(
    () => count(() => known.filter((fd) => fd !== fdOf(pair.client)), directory),
    { code: 'ENOENT' },
    'the directory has no net/tcp',
  )
})

t.test('a socket that was closed since it was listed is no orphan', async (t) => {
  const pair = await connectPair(t)
  const others = socketDescriptors().filter((fd) => fd !== fdOf(pair.server))
  t.match(
    count(() => others),
    { tcp: 1, other: 0 },
  )
  function closeAndTell() {
    pair.server.destroy() // closes the descriptor at once
    return others
  }
  t.match(count(closeAndTell), { tcp: 0, other: 0 })
})

t.test('thousands of orphans are looked at in steps, each time', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'slg-proc-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  mkdirSync(join(directory, 'fd'))
  mkdirSync(join(directory, 'net'))
  for (let fd = 0; fd < 1280; fd += 1) symlinkSync(`socket:[${fd + 1}]`, join(directory, 'fd', `${fd}`))
  writeFileSync(join(directory, 'net', 'tcp'), TCP_HEADER)
  writeFileSync(join(directory, 'net', 'unix'), UNIX_HEADER)
  let steps = 0
  for (const search = countOrphans(() => [], directory); ; steps += 1) {
    const { done, value } = search.next()
    if (done !== true) continue
    t.match(value, { other: 1280, socketDescriptors: 1280 })
    break
  }
  t.ok(steps >= 2 * 20, `${steps} steps of 64 links`)
  t.end()
})

t.test('a search that is given up leaves no descriptor behind', async (t) => {
  const many = Array.from({ length: 100 }, () => openSync('/dev/null', 'r'))
  const before = readdirSync('/proc/self/fd').length
  const steps = countOrphans(() => [])
  t.equal(steps.next().done, false)
  t.equal(readdirSync('/proc/self/fd').length, before + 1)
  steps.return({} as never)
  t.equal(readdirSync('/proc/self/fd').length, before)
  for (const fd of many) closeSync(fd)
})

t.test('few descriptors are looked at on the spot, and not again for a while', async (t) => {
  let looks = 0
  const watch = createOrphanWatch(
    () => {
      looks += 1
      return []
    },
    () => 50,
  )
  t.equal(watch.report(), null)
  watch.refresh()
  watch.refresh()
  t.equal(looks, 1)
  t.match(watch.report(), { ageMs: Number, listeners: Number })
})

t.test('where nothing can be counted nothing is reported', async (t) => {
  const watch = createOrphanWatch(
    () => [],
    () => null,
  )
  watch.refresh()
  t.equal(watch.report(), null)
})
