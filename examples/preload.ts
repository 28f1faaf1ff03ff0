/** An application is guarded without a change to its code: `node --require socket-leak-guard/register app.js`. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import http, { type IncomingMessage } from 'node:http'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Report } from 'socket-leak-guard'

const folder = mkdtempSync(join(tmpdir(), 'socket-leak-guard-'))
const socketPath = join(folder, 'report.sock')

const app = spawn(process.execPath, ['--require', 'socket-leak-guard/register', 'preload-app.js'], {
  cwd: import.meta.dirname,
  env: {
    ...process.env,
    SOCKET_LEAK_GUARD_GRACE_MS: '2000',
    SOCKET_LEAK_GUARD_REPORT: `unix:${socketPath}`,
  },
  stdio: ['ignore', 'pipe', 'inherit'],
})
const [port] = (await once(app.stdout, 'data')) as [Buffer]

// The handler of the application forgets to end its side.
const client = net.connect({ port: Number(port), host: '127.0.0.1' })
client.on('error', () => {}).end('hello')

// The endpoint is loaded beside the application, and listens a moment later.
while (!existsSync(socketPath)) await sleep(50)
while ((JSON.parse(await readReport('json')) as Report).totals.leaked === 0) await sleep(500)
console.log(await readReport('text'))

app.kill()
await once(app, 'exit')
rmSync(folder, { recursive: true })

/** As `curl --unix-socket report.sock 'http://localhost/?format=text'` does it. */
async function readReport(format: 'json' | 'text'): Promise<string> {
  const request = http.get({ socketPath, path: `/?format=${format}` })
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return (await response.setEncoding('utf8').toArray()).join('')
}
