/**
 * Run where the system has keep-alive times of its own, which are on the command line as JSON: without a view of the kernel the
 * guard puts those back that a socket has here by default.
 */
import { deepStrictEqual } from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { install } from '../../src/index.js'
import { selectKernelProbe } from '../../src/kernel/select.js'
import { descriptorOf } from '../../src/socket/fields.js'
import type { KeepAliveTimes } from '../../src/core/kernel-facts.js'

const expected = JSON.parse(process.argv[2]!) as KeepAliveTimes
const server = net.createServer((socket) => socket.resume()).listen(0, '127.0.0.1')
await once(server, 'listening')
const guard = install({ kernel: 'off', keepAlive: { when: 'always' } })
const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1')
await once(client, 'connect')

function timesOf(socket: net.Socket): KeepAliveTimes | null {
  return selectKernelProbe('ffi').readKeepAlive!(descriptorOf(socket), true)
}

deepStrictEqual(timesOf(client), expected)
guard.sweep()
deepStrictEqual(timesOf(client)?.idleMs, 30_000)
guard.uninstall()
// An older Node sets the other two to numbers of its own.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
const setsAll = major > 26 || (major === 26 && minor >= 4) || (major === 24 && minor >= 19)
const { idleMs, ...others } = timesOf(client)!
deepStrictEqual(idleMs, expected.idleMs)
if (setsAll) deepStrictEqual({ idleMs, ...others }, expected)
client.destroy()
server.close()
