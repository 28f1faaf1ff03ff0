/** `torture` against servers that leak, that don't, that stream, and that die of it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import t, { type Test } from 'tap'
import { WebSocketServer } from 'ws'
import { CERTIFICATE } from '../support/certificate.js'
import { CLI } from '../support/package-root.js'
import { cleanEnvironment, runNode } from '../support/run-node.js'

t.setTimeout(60_000)

interface Told {
  readonly code: number | null
  readonly stderr: string
  readonly leaked: number
  readonly died: string | null
  /** By scene. */
  readonly verdicts: Readonly<Record<string, string>>
}

async function torture(url: string, ...flags: string[]): Promise<Told> {
  const { code, stdout, stderr } = await runNode([CLI, 'torture', url, '--json', '--grace', '1', ...flags], {
    isBare: true,
  })
  const told = JSON.parse(stdout || '{"outcomes":[]}') as Told & {
    outcomes: { scene: string; verdict: string }[]
  }
  const verdicts = Object.fromEntries(told.outcomes.map(({ scene, verdict }) => [scene, verdict]))
  return { ...told, code, stderr, verdicts }
}

async function listen(t: Test, server: net.Server): Promise<number> {
  const sockets = new Set<net.Socket>()
  server.on('connection', (socket: net.Socket) => sockets.add(socket.on('error', () => {})))
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as net.AddressInfo).port
}

t.test('a server that forgets what it upgraded', async (t) => {
  const server = http.createServer((_request, response) => response.end('fine'))
  server.on('upgrade', (_request, socket) => {
    socket.on('error', () => {})
    socket.write('HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    // Nobody reads, so nobody hears of a FIN or RST.
    socket.pause()
    ;(socket as unknown as { _handle: { readStop(): void } })._handle.readStop()
  })
  const url = `http://127.0.0.1:${await listen(t, server)}/`
  const blind = await torture(url)
  t.equal(blind.code, 1)
  t.equal(blind.leaked, 3)
  t.match(blind.verdicts, {
    'FIN before a byte': 'closed',
    'FIN after 150 KB of a longer body': 'closed',
    'half-close after the request, reading on': 'closed',
    'FIN, and the answer is read late': 'closed',
    'upgrade, and FIN before its answer': 'leaked',
    'upgrade, and FIN': 'leaked',
    'upgrade, and RST': 'unknown',
    'WebSocket: Close, then silence': 'leaked',
    'h2: FIN after a request': 'skipped',
    'TLS: FIN inside the handshake': 'skipped',
  })
  const seeing = await torture(url, '--only', 'RST', '--pid', String(process.pid))
  t.same(seeing.verdicts, {
    'RST while the answer is not read': 'closed',
    'RST inside the body of a request': 'closed',
    'upgrade, and RST': 'leaked',
  })
  t.equal((await torture(url, '--only', 'upgrade', '--max-leaked', '2')).code, 0)
})

t.test('servers that close, over TCP and TLS, HTTP/1.1, WebSocket and h2', async (t) => {
  const plain = http.createServer((_request, response) => response.end('fine'))
  new WebSocketServer({ server: plain })
  const secure = http2.createSecureServer({ ...CERTIFICATE, allowHTTP1: true }, (_request, response) => {
    response.end('fine')
  })
  const flags = ['--grace', '10', '--pid', String(process.pid)]
  const outcomes = await Promise.all([
    torture(`ws://127.0.0.1:${await listen(t, plain)}/`, ...flags),
    torture(`https://localhost:${await listen(t, secure)}/`, ...flags),
  ])
  for (const { code, verdicts } of outcomes) {
    t.equal(code, 0)
    t.same(
      Object.values(verdicts).filter((verdict) => verdict !== 'closed' && verdict !== 'skipped'),
      [],
    )
  }
  const [ws, h2] = outcomes
  t.equal(ws.verdicts['WebSocket: Close, then silence'], 'closed')
  t.equal(h2.verdicts['h2: FIN with a window of 0'], 'closed')
  t.equal(h2.verdicts['TLS: FIN inside the handshake'], 'closed')
})

t.test('a process that has not accepted it has not let go of it', async (t) => {
  const server = http.createServer((request, response) => {
    // One answers and closes before the peer leaves, and one waits.
    if (request.resume().method === 'GET') response.writeHead(200, { connection: 'close' }).end('fine')
  })
  const url = `http://127.0.0.1:${await listen(t, server)}/`
  const other = spawn('sleep', ['60'])
  t.teardown(() => other.kill())
  const verdicts = {
    'RST while the answer is not read': 'closed',
    'RST inside the body of a request': 'unknown',
  }
  t.match(await torture(url, '--only', 'RST', '--pid', String(other.pid)), { code: 0, verdicts })
  verdicts['RST inside the body of a request'] = 'closed'
  t.match(await torture(url, '--only', 'RST', '--pid', String(process.pid)), { code: 0, verdicts })

  // As Python's http.server leaves a body that it refuses.
  const resetting = net.createServer((socket) => socket.once('data', () => socket.resetAndDestroy()))
  const address = `http://127.0.0.1:${await listen(t, resetting)}/`
  t.match(await torture(address, '--only', 'RST inside', '--pid', String(other.pid)), {
    verdicts: { 'RST inside the body of a request': 'closed' },
  })
})

t.test('a half-closed peer may be sent more', async (t) => {
  const server = http.createServer((_request, response) => {
    const timer = setInterval(() => response.write('.'), 100)
    response.once('close', () => clearInterval(timer))
  })
  Object.assign(server, { httpAllowHalfOpen: true })
  const url = `http://127.0.0.1:${await listen(t, server)}/`
  const { code, verdicts } = await torture(url, '--only', 'reading on')
  t.same(verdicts, { 'half-close after the request, reading on': 'streams' })
  t.equal(code, 0)
})

t.test('a server that dies of it', async (t) => {
  const program = `
    const server = require('node:http').createServer((request, response) => response.end())
    server.on('upgrade', (request, socket) => socket.write('HTTP/1.1 101 Switching\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n'))
    server.listen(0, '127.0.0.1', () => console.log(server.address().port))`
  const server = spawn(process.execPath, ['--eval', program], { env: cleanEnvironment() })
  t.teardown(() => server.kill('SIGKILL'))
  const [line] = (await once(server.stdout, 'data')) as [Buffer]
  const { code, died, stderr } = await torture(
    `http://127.0.0.1:${Number(line)}/`,
    '--only',
    'upgrade, and RST',
  )
  t.equal(code, 1)
  t.match(died, 'ECONNREFUSED')
  t.match(stderr, 'accepts no more connections')
})

t.test('only this machine, unless it is told otherwise', async (t) => {
  const { code, stderr } = await torture('http://192.0.2.1/')
  t.equal(code, 2)
  t.match(stderr, '192.0.2.1 is not this machine: give --allow-remote if the server is yours')
  t.match(await torture('file:///etc'), { code: 2, stderr: 'URL was expected' })
  t.match(await torture('http://127.0.0.1:1/'), { code: 3, stderr: 'no server at 127.0.0.1:1' })
})
