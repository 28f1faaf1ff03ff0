/** A test that fails for the sockets it leaves behind. Here without a test runner; `check()` works in any of them. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { trackLeaks } from 'socket-leak-guard/testing'

/** A server in a process of its own: it tells the time and hangs up. It prints its port. */
const server = spawn(process.execPath, [
  '-e',
  `const server = require('node:net').createServer((socket) => socket.end(new Date().toISOString()))
   server.listen(0, '127.0.0.1', () => console.log(server.address().port))
   process.stdin.resume().on('end', process.exit)`,
])
const [port] = (await once(server.stdout, 'data')) as [Buffer]

async function askAndListen(): Promise<void> {
  const socket = net.connect({ port: Number(port), host: '127.0.0.1' })
  await once(socket, 'data')
}

async function askAndForget(): Promise<void> {
  const socket = net.connect({ port: Number(port), host: '127.0.0.1' })
  await once(socket, 'connect')
  forgotten.push(socket)
}
const forgotten: net.Socket[] = []

for (const test of [askAndListen, askAndForget]) {
  // In a runner: beforeEach(() => { check = trackLeaks({ open: 'fail' }) }) and afterEach(() => check()).
  const check = trackLeaks({ open: 'fail' })
  await test()
  try {
    await check()
    console.log(`${test.name}: passed`)
  } catch (error) {
    console.log(`${test.name}: failed, ${(error as Error).message}`)
  }
}

for (const socket of forgotten) socket.destroy()
server.kill()
