/** `scan` on a process that knows nothing of it: what is stuck, by state, place and bytes. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import t from 'tap'
import { decodeAddress } from '../../cli/proc/tables.js'
import { CLI } from '../support/package-root.js'
import { cleanEnvironment, runNode } from '../support/run-node.js'
import { until } from '../support/until.js'

t.setTimeout(60_000)

/** What a connection's first byte asks for. */
const VICTIM = `
const net = require('node:net')
const deeds = {
  keep: (socket) => socket.resume(),
  end: (socket) => socket.resume().end(),
  pause: (socket) => socket._handle.readStop(),
  flood: (socket) => { socket.resume().write(Buffer.alloc(16e6)) },
  stream: (socket) => { socket.resume(); setInterval(() => socket.write('x'), 100) },
}
const server = net.createServer({ allowHalfOpen: true }, (socket) => {
  socket.on('error', () => {})
  socket.once('data', (data) => { socket.write('.'); deeds[data](socket) })
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))`

interface Scan {
  readonly totals: { readonly stuck: number; readonly tcp: number }
  readonly groups: readonly {
    readonly trouble: string
    readonly where: string
    readonly count: number
    readonly idleMs: number | null
    readonly unreadBytes: number
    readonly unsentBytes: number
  }[]
}

t.test('lists what is stuck, and leaves out what moves', async (t) => {
  const victim = spawn(process.execPath, ['--eval', VICTIM], { env: cleanEnvironment() })
  t.teardown(() => victim.kill('SIGKILL'))
  const [line] = (await once(victim.stdout, 'data')) as [Buffer]
  const port = Number(line)
  const clients: net.Socket[] = []
  t.teardown(() => clients.forEach((client) => client.destroy()))
  const open = async (deed: string): Promise<net.Socket> => {
    const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {})
    clients.push(client)
    client.write(deed)
    await once(client, 'data')
    return client
  }
  for (let i = 0; i < 2; i += 1) (await open('keep')).end()
  ;(await open('end')).resume()
  ;(await open('pause')).write(Buffer.alloc(1000))
  ;(await open('flood')).pause()
  const reset = await open('pause')
  await new Promise<void>((resolve) => reset.write('unread', () => resolve()))
  reset.resetAndDestroy()
  ;(await open('stream')).resume().end()
  await open('keep')

  const scan = (...flags: string[]): ReturnType<typeof runNode> =>
    runNode([CLI, 'scan', '--for', '0.5', ...flags, String(victim.pid)], { isBare: true })
  const hasSs = spawnSync('ss', ['-V']).status === 0
  let found: Scan | null = null
  await until(async () => {
    found = JSON.parse((await scan('--json')).stdout) as Scan
    return found.groups.length === 5 && found.totals.stuck === (hasSs ? 6 : 7)
  }, 'all of it is stuck')
  const { groups, totals } = found! as Scan
  const here = `:${port} <- 127.0.0.1`
  const of = (trouble: string): Scan['groups'][number] | undefined =>
    groups.find((group) => group.trouble === trouble)
  t.match(of('CLOSE_WAIT'), { where: here, count: hasSs ? 2 : 3, unreadBytes: 0, unsentBytes: 0 })
  t.match(of('FIN_WAIT2'), { where: here, count: 1 })
  t.match(of('unread'), { where: here, count: 1, unreadBytes: 1000 })
  t.match(of('unsent'), { where: here, count: 1 })
  t.ok(of('unsent')!.unsentBytes > 10_000)
  t.match(of('dead'), { where: 'unknown', count: 1, idleMs: null })
  t.equal(of('FIN_WAIT2')!.idleMs !== null, hasSs)
  t.equal(totals.stuck, hasSs ? 6 : 7)

  const { code, stdout } = await scan('--max-leaked', '5')
  t.equal(code, 1, 'more than 5')
  t.match(stdout, /^STATE +WHERE +COUNT +IDLE +UNREAD +UNSENT$/m)
  t.match(stdout, /^CLOSE_WAIT: the peer has ended, and the process has not/m)
  t.equal(victim.exitCode ?? victim.signalCode, null)
})

t.test('refuses clearly', async (t) => {
  for (const [pid, exitCode, message] of [
    ['99999999', 3, 'there is no process 99999999'],
    ['app', 2, 'PID must be one number, got "app"'],
  ] as const) {
    const { code, stderr } = await runNode([CLI, 'scan', pid], { isBare: true })
    t.equal(code, exitCode)
    t.match(stderr, message)
  }
})

t.test('reads addresses as the kernel writes them', async (t) => {
  t.equal(decodeAddress('0100007F'), '127.0.0.1')
  t.equal(decodeAddress('00000000000000000000000001000000'), '::1')
  t.equal(decodeAddress('0000000000000000FFFF00000100007F'), '127.0.0.1', 'mapped')
  t.equal(decodeAddress('B80D0120000000000000000001000000'), '2001:db8::1')
})
