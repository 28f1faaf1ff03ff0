/** What has no port, or none yet, is named by what is known of it: a path, or where it wants to go. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { install, type Guard } from '../../src/index.js'
import { targetOf } from '../../src/socket/target.js'
import { entryWhere } from '../support/report.js'
import { until } from '../support/until.js'

const TARGETS: readonly (readonly [args: unknown[], address: string, port: number | null])[] = [
  [[80], 'localhost', 80],
  [['80', '10.0.0.5', () => {}], '10.0.0.5', 80],
  [[{ port: 80, host: 'db.internal' }], 'db.internal', 80],
  [[[{ port: 80 }, null]], 'localhost', 80],
  [[{ path: '/run/app.sock', port: 80 }], '/run/app.sock', null],
  [['/run/app.sock'], '/run/app.sock', null],
  [['\0abstract'], '@abstract', null],
]

t.test('where connect() is asked to go', async (t) => {
  for (const [args, address, port] of TARGETS) t.same(targetOf(args), { address, port })
  for (const args of [[], [{}], [null], [{ port: 'x' }]]) t.equal(targetOf(args), null)
})

async function pair(t: Test, path: string): Promise<void> {
  const server = net.createServer({ pauseOnConnect: true }, (socket) => {
    socket.on('error', () => {})
    t.teardown(() => socket.destroy())
  })
  t.teardown(() => server.close())
  await once(server.listen(path), 'listening')
  const client = net.connect({ path, allowHalfOpen: true }).on('error', () => {})
  t.teardown(() => client.destroy())
  await once(client, 'connect')
  client.end('hello')
}

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'places-'))
  t.teardown(() => rmSync(path, { recursive: true }))
  return path
}

const entries = (guard: Guard) => guard.sweep({ all: true }).sockets

t.test('a pipe by the path of its listener', async (t) => {
  using guard = install({ kernel: 'off', graceMs: 60_000 })
  const path = join(folder(t), 'app.sock')
  await pair(t, path)
  const accepted = await entryWhere(guard, ({ direction }) => direction === 'inbound', 'it is accepted')
  t.match(accepted, {
    kind: 'pipe',
    local: { address: path, port: null },
    owner: { site: `listener ${path}` },
  })
  t.match(accepted.diagnosis, `Pipe of listener ${path}: `)
  const opened = entries(guard).find(({ direction }) => direction === 'outbound')
  t.match(opened, { kind: 'pipe', remote: { address: path, port: null }, owner: { site: `to ${path}` } })
  t.match(opened!.diagnosis, `Outgoing pipe to ${path}: `)
})

t.test('an abstract name', { skip: process.platform !== 'linux' && 'only Linux has them' }, async (t) => {
  using guard = install({ kernel: 'off', graceMs: 60_000 })
  const name = `slg-${process.pid}`
  await pair(t, `\0${name}`)
  await entryWhere(guard, ({ owner }) => owner.site === `listener @${name}`, 'the accepted one')
  t.match(
    entries(guard).find(({ direction }) => direction === 'outbound'),
    { owner: { site: `to @${name}` } },
  )
})

t.test('the end of a peer that nobody reads is found on a pipe as well', async (t) => {
  using guard = install({ kernel: 'auto', graceMs: 60_000 })
  if (guard.snapshot().kernel.probe !== 'ffi') return t.comment('only ffi can ask a pipe')
  await pair(t, join(folder(t), 'app.sock'))
  const isUnseen = (): boolean =>
    guard
      .sweep({ all: true, unsettled: true })
      .sockets.some(
        ({ kind, condition, seenBy }) => kind === 'pipe' && condition === 'fin-unseen' && seenBy === 'kernel',
      )
  await until(isUnseen, 'the kernel tells of it')
})

t.test('a connection that nobody answers by where it wants to go', async (t) => {
  using guard = install({ kernel: 'off', graceMs: 60_000 })
  // 192.0.2.0/24 is for documentation (RFC 5737); nothing has to be sent there for this.
  const socket = net.connect({ port: 443, host: '192.0.2.1' }).on('error', () => {})
  t.teardown(() => socket.destroy())
  const entry = guard.adapter.describe(socket)
  t.match(entry, { phase: 'connecting', remote: { address: '192.0.2.1', port: 443 } })
  t.equal(entry?.owner.site, 'to 192.0.2.1:443')
})
