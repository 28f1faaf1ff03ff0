import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type EndpointHandler, type ReportEndpoint, listenForReports } from '../../src/server/endpoint.js'
import { parseReportAddress } from '../../src/server/address.js'
import { type ReportHandlerOptions, createReportHandler } from '../../src/server/handler.js'
import { checkReportAddress } from '../../src/server/open-endpoint.js'
import { ReportSockets } from '../../src/server/report-sockets.js'
import { until } from '../support/until.js'
import { createFakeSource } from './fake-source.js'
import { exchange, openEvents, readUntil, request } from './raw-request.js'
import { shortFolder } from '../support/short-folder.js'

function listen(
  t: Test,
  address: string,
  handler: EndpointHandler = createReportHandler(createFakeSource()),
  sockets = new ReportSockets(),
): ReportEndpoint {
  const endpoint = listenForReports(parseReportAddress(address), handler, sockets)
  t.teardown(() => endpoint.close())
  return endpoint
}

function withToken(options: ReportHandlerOptions = { token: 's3cret' }): EndpointHandler {
  return createReportHandler(createFakeSource(), options)
}

async function portOf({ ready }: ReportEndpoint): Promise<number> {
  const { url } = await ready
  return Number(new URL(url).port)
}

/** A server of somebody else. */
async function occupy(t: Test, path: string | number): Promise<Server> {
  const server = createServer()
  if (typeof path === 'number') server.listen(path, '127.0.0.1')
  else server.listen(path)
  await once(server, 'listening')
  t.teardown(() => server.close())
  return server
}

t.test('it serves where it is told to', async (t) => {
  const endpoint = listen(t, '127.0.0.1:0')
  const { url } = await endpoint.ready
  t.match(url, /^http:\/\/127\.0\.0\.1:\d+\/$/)
  const { status, body } = await request(await portOf(endpoint), 'GET /metrics')
  t.equal(status, 200)
  t.match(body, 'socket_leak_guard_tracked_sockets 1284')
  await endpoint.close()
  await endpoint.close()
  await t.rejects(request(Number(new URL(url).port), 'GET /'), { code: 'ECONNREFUSED' })
})

t.test('an address that others reach needs a token', async (t) => {
  for (const address of ['0.0.0.0:0', '[::]:0', 'app.internal:0'])
    t.throws(() => checkReportAddress(address, null), {
      code: 'SLG_ERR_REPORT_NEEDS_TOKEN',
      message: `report must be a loopback address or a unix socket unless reportToken is set, got "${address}"`,
    })
  const port = await portOf(listen(t, '0.0.0.0:0', withToken()))
  t.equal((await request(port, 'GET /')).status, 401)
  t.equal((await request(port, 'GET /', { authorization: 'Bearer s3cret' })).status, 200)
})

t.test('a port that is taken rejects, and nothing else happens', async (t) => {
  const server = await occupy(t, 0)
  const { port } = server.address() as AddressInfo
  const unhandled: unknown[] = []
  const onUnhandled = (reason: unknown) => unhandled.push(reason)
  process.on('unhandledRejection', onUnhandled)
  const endpoint = listen(t, `127.0.0.1:${port}`)
  // Unhandled rejections are found out after the microtasks of a turn.
  for (let i = 0; i < 5; i += 1) await new Promise(setImmediate)
  process.off('unhandledRejection', onUnhandled)
  t.same(unhandled, [])
  await t.rejects(endpoint.ready, {
    code: 'SLG_ERR_REPORT_LISTEN',
    message: `report can't listen on "127.0.0.1:${port}": EADDRINUSE`,
    cause: { code: 'EADDRINUSE' },
  })
  await endpoint.close()
})

t.test('an address that is not ours rejects', async (t) => {
  // RFC 5737: nobody's.
  const endpoint = listen(t, '192.0.2.1:0', withToken())
  await t.rejects(endpoint.ready, { code: 'SLG_ERR_REPORT_LISTEN', message: /EADDRNOTAVAIL/ })
})

t.test('closing it before it listens', async (t) => {
  for (const host of ['127.0.0.1', 'localhost']) {
    // A name is looked up first; this one is in every hosts file.
    const endpoint = listenForReports({ kind: 'tcp', host, port: 0 }, withToken(), new ReportSockets())
    await endpoint.close()
    await t.rejects(request(await portOf(endpoint), 'GET /'), { code: 'ECONNREFUSED' }, host)
  }
})

t.test('its sockets can be told from the application’s', async (t) => {
  const sockets = new ReportSockets()
  const port = await portOf(listen(t, '127.0.0.1:0', undefined, sockets))
  const client = connect(port, '127.0.0.1')
  client.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await once(client, 'data')
  const [accepted, ...more] = sockets.open()
  t.same(more, [])
  t.equal(accepted?.localPort, port)
  t.ok(sockets.has(accepted!))
  t.notOk(sockets.has(client))
  t.equal(([...sockets.servers][0]?.address() as AddressInfo).port, port)
  client.destroy()
})

t.test('what is no HTTP is answered and closed', async (t) => {
  const port = await portOf(listen(t, '127.0.0.1:0'))
  const to = { port, host: '127.0.0.1' }
  t.match(await exchange(to, 'NONSENSE\r\n\r\n'), /^HTTP\/1\.1 400 /)
  t.match(await exchange(to, 'GET / HTTP/1.1\r\n\r\n'), /^HTTP\/1\.1 400 /, 'no Host header')
  t.match(await exchange(to, 'GET / HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 403 /, 'none needed in 1.0, but by us')
  const smuggled =
    'GET / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n'
  t.match(await exchange(to, smuggled), /^HTTP\/1\.1 400 /)
  const big = `GET / HTTP/1.1\r\nhost: localhost\r\nx-big: ${'x'.repeat(20_000)}\r\n\r\n`
  t.match(await exchange(to, big), /^HTTP\/1\.1 431 /)
  t.match(await exchange(to, 'CONNECT example.com:443 HTTP/1.1\r\nhost: localhost\r\n\r\n'), /^$/)
  const upgrade =
    'GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\r\n'
  t.match(await exchange(to, upgrade), /^HTTP\/1\.1 200 /)
  t.equal((await request(port, 'GET /')).status, 200, 'and it still serves')
})

t.test('it holds a bounded number of connections', async (t) => {
  const port = await portOf(listen(t, '127.0.0.1:0'))
  const clients: Socket[] = []
  let refused = 0
  for (let i = 0; i < 70; i += 1) {
    const client = connect(port, '127.0.0.1')
    client.on('error', () => {})
    client.on('close', () => {
      refused += 1
    })
    client.resume()
    clients.push(client)
  }
  while (refused < 6) await new Promise(setImmediate)
  t.equal(refused, 6)
  for (const client of clients) client.destroy()
})

t.test('no connection may stand still for ever', async (t) => {
  const sockets = new ReportSockets()
  const port = await portOf(listen(t, '127.0.0.1:0', undefined, sockets))
  const client = connect(port, '127.0.0.1')
  await once(client, 'connect')
  await until(() => sockets.open().length === 1, 'it is accepted')
  const [accepted] = sockets.open()
  t.equal(accepted?.timeout, 40_000, 'two heartbeats of an event stream fit in')
  client.write('GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await once(client, 'data')
  await until(() => accepted!.timeout! > 40_000, 'it is kept for the next scrape')
  t.ok(accepted!.timeout! <= 125_000)
  client.destroy()
})

t.test('close() ends the streams of events', async (t) => {
  const source = createFakeSource()
  const endpoint = listen(t, '127.0.0.1:0', createReportHandler(source))
  const client = openEvents(await portOf(endpoint))
  await readUntil(client, { text: '' }, 'retry')
  const closed = once(client.resume(), 'close')
  await endpoint.close()
  await source.subscribed(0)
  await closed
  t.pass()
})

t.test('a unix socket', { skip: process.platform === 'win32' && 'no file there' }, async (t) => {
  const path = join(shortFolder(t), 'report.sock')
  const url = `unix:${path}`

  await t.test('is for its owner alone and goes with the endpoint', async (t) => {
    const endpoint = listen(t, url)
    t.same(await endpoint.ready, { url })
    t.equal(statSync(path).mode & 0o777, 0o600)
    t.equal((await request(path, 'GET /', { host: 'anything' })).status, 200)
    await endpoint.close()
    t.notOk(existsSync(path))
  })

  await t.test('that nobody listens behind is replaced', async (t) => {
    const child = spawnProgram(url)
    t.equal(await ask(child, 'ready\n'), url)
    child.kill('SIGKILL')
    await once(child, 'exit')
    t.ok(existsSync(path), 'left behind')
    const endpoint = listen(t, url)
    await endpoint.ready
    t.equal((await request(path, 'GET /')).status, 200)
    t.equal(statSync(path).mode & 0o777, 0o600)
  })

  await t.test('that somebody listens behind is left alone', async (t) => {
    const server = await occupy(t, path)
    const accepted = once(server, 'connection')
    const endpoint = listen(t, url)
    await t.rejects(endpoint.ready, {
      code: 'SLG_ERR_REPORT_LISTEN',
      message: `report can't listen on "${url}": EADDRINUSE`,
    })
    const [socket] = (await accepted) as [Socket]
    socket.destroy()
    await endpoint.close()
    t.ok(existsSync(path))
  })

  await t.test('whose path is an ordinary file leaves the file alone', async (t) => {
    writeFileSync(path, 'precious')
    await t.rejects(listen(t, url).ready, { code: 'SLG_ERR_REPORT_LISTEN', message: /EADDRINUSE/ })
    t.equal(statSync(path).size, 8)
  })

  await t.test('in a folder that is not there', async (t) => {
    await t.rejects(listen(t, `unix:${path}/x/report.sock`).ready, { code: 'SLG_ERR_REPORT_LISTEN' })
  })

  await t.test('that has been replaced by somebody else’s is not unlinked at exit', async (t) => {
    const own = join(shortFolder(t), 'own.sock')
    const child = spawnProgram(`unix:${own}`)
    await ask(child, 'ready\n')
    unlinkSync(own)
    await occupy(t, own)
    child.stdin?.end('exit\n')
    await once(child, 'exit')
    t.ok(existsSync(own))
  })
})

function spawnProgram(address: string, ...nodeOptions: readonly string[]): ChildProcess {
  const program = join(import.meta.dirname, 'endpoint-program.js')
  return spawn(process.execPath, [...nodeOptions, program, address], { stdio: ['pipe', 'pipe', 'inherit'] })
}

async function ask(child: ChildProcess, question: string): Promise<string> {
  child.stdin?.write(question)
  const [answer] = (await once(child.stdout!, 'data')) as [Buffer]
  return answer.toString().trim()
}

t.test('it does not keep the process alive, nor do those who read', async (t) => {
  const child = spawnProgram('127.0.0.1:0')
  const url = await ask(child, 'ready\n')
  const client = openEvents(Number(new URL(url).port))
  await readUntil(client, { text: '' }, 'retry')
  const idle = connect(Number(new URL(url).port), '127.0.0.1')
  idle.on('error', () => {})
  await once(idle, 'connect')
  child.stdin?.end()
  const [code] = await once(child, 'exit')
  t.equal(code, 0)
  client.destroy()
  idle.destroy()
})

t.test('how much head it takes does not depend on the application’s settings', async (t) => {
  const child = spawnProgram('127.0.0.1:0', '--max-http-header-size=1000000', '--insecure-http-parser')
  const port = Number(new URL(await ask(child, 'ready\n')).port)
  t.equal((await request(port, 'GET /', { 'x-big': 'x'.repeat(20_000) })).status, 431)
  t.equal(
    (await request(port, 'GET /', { 'content-length': '0', 'transfer-encoding': 'chunked' })).status,
    400,
  )
  child.stdin?.end()
  await once(child, 'exit')
})

t.test('a failure to listen that nobody handles does not end the process', async (t) => {
  const server = await occupy(t, 0)
  const child = spawnProgram(`127.0.0.1:${(server.address() as AddressInfo).port}`)
  t.match(await ask(child, 'ready\n'), /^SLG_ERR_REPORT_LISTEN: .* EADDRINUSE$/)
  child.stdin?.end()
  t.same(await once(child, 'exit'), [0, null])
})

t.test(
  'the socket file goes when the process exits',
  { skip: process.platform === 'win32' && 'no file' },
  async (t) => {
    const folder = shortFolder(t)
    for (const end of ['', 'exit\n']) {
      const child = spawnProgram(`unix:${folder}/%p.sock`)
      t.equal(await ask(child, 'ready\n'), `unix:${folder}/${child.pid}.sock`)
      t.ok(existsSync(`${folder}/${child.pid}.sock`))
      child.stdin?.end(end)
      await once(child, 'exit')
      t.notOk(
        existsSync(`${folder}/${child.pid}.sock`),
        end === '' ? 'at its natural end' : 'by process.exit()',
      )
    }
  },
)

t.test('cluster workers do not share it', async (t) => {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'endpoint-cluster.js')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  for await (const part of child.stdout) output += part
  const [first, second] = output.trim().split('\n')
  t.equal(first, 'listening')
  t.match(second, /^report can't listen on ".*": EADDRINUSE$/)
})
