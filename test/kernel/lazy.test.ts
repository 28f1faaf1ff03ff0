/** Until there is a suspect the kernel is nobody's business: no native code is loaded, no file of /proc is read. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { PACKAGE_ROOT } from '../support/package-root.js'

const PROGRAM = `
import fs from 'node:fs'
import Module, { syncBuiltinESMExports } from 'node:module'
import net from 'node:net'
import { once } from 'node:events'

let seen = []
let onSeen = () => {}
function see(what) {
  seen.push(what)
  onSeen()
}
for (const name of ['openSync', 'opendirSync', 'readFileSync', 'readlinkSync', 'statSync']) {
  const real = fs[name]
  fs[name] = (path, ...rest) => {
    if (String(path).startsWith('/proc')) see(name + ' ' + path)
    return real(path, ...rest)
  }
}
const { _load } = Module
Module._load = (id, ...rest) => {
  if (id === 'koffi') see('koffi')
  return _load(id, ...rest)
}
syncBuiltinESMExports()

const { install } = await import(process.env.INDEX)
install({ kernel: process.env.KERNEL, sweepMs: 20, pressure: null })
const server = net.createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket, { end: false })).listen(0)
await once(server, 'listening')
const client = net.connect({ port: server.address().port, allowHalfOpen: true })
for (let i = 0; i < 5; i += 1) {
  client.write('ping')
  await once(client, 'data')
}
const healthy = seen
seen = []
const suspected = new Promise((resolve) => (onSeen = resolve))
client.end()
await suspected
console.log(JSON.stringify({ healthy, suspected: seen }))
process.exit()
`

for (const [kernel, first] of [
  ['auto', 'koffi'],
  ['ffi', 'koffi'],
  ['proc', 'openSync /proc/self/net/tcp'],
] as const) {
  t.test(`kernel: '${kernel}'`, async (t) => {
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', PROGRAM], {
      encoding: 'utf8',
      env: { ...process.env, INDEX: join(PACKAGE_ROOT, 'build/src/index.js'), KERNEL: kernel },
      timeout: 30_000,
    })
    t.equal(stderr, '')
    t.same(JSON.parse(stdout), { healthy: [], suspected: [first] })
  })
}
