/** The handler as a guest: in Express 5 and 4, behind other middleware, in plain servers, over HTTP/2. */
import { once } from 'node:events'
import { type Server, createServer } from 'node:http'
import http2 from 'node:http2'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import express5 from 'express'
import t from 'tap'
import { createReportHandler } from '../../src/server/handler.js'
import { createFakeSource } from './fake-source.js'
import { listenUntilTestEnds, openEvents, readUntil, request, serve } from './raw-request.js'
import { shortFolder } from '../support/short-folder.js'

// The alias has no types; what is used here is the same in both.
const express4 = createRequire(import.meta.url)('express4') as typeof express5

for (const [name, express] of [
  ['Express 5', express5],
  ['Express 4', express4],
] as const)
  t.test(`mounted in ${name}, with and without a slash at the end`, async (t) => {
    const source = createFakeSource()
    const app = express()
    app.use((_request, response, next) => {
      response.setHeader('access-control-allow-origin', '*')
      next()
    })
    app.use('/ops/leaks', createReportHandler(source))
    app.get('/', (_request, response) => {
      response.send('home')
    })
    const port = await listenUntilTestEnds(t, createServer(app))
    for (const path of ['/ops/leaks', '/ops/leaks/', '/ops/leaks?limit=3', '/ops/leaks/?limit=3']) {
      const { status, headers, body } = await request(port, `GET ${path}`, { accept: 'text/html' })
      t.equal(status, 200, path)
      t.equal(headers.get('content-type'), 'text/html; charset=utf-8')
      t.notMatch(body, /(?:href|src|action)="\//, 'no link that leaves the mount')
    }
    t.match((await request(port, 'GET /ops/leaks/metrics')).body, 'socket_leak_guard_tracked_sockets 1284')
    t.equal((await request(port, 'GET /ops/leaks/nothing')).status, 404)
    t.equal((await request(port, 'POST /ops/leaks')).status, 405)
    t.equal((await request(port, 'GET /')).body, 'home')
    const crossOrigin = await request(port, 'GET /ops/leaks', { origin: 'http://evil.example' })
    t.equal(crossOrigin.status, 403, 'where the application allows every origin')
    const client = openEvents(port, '/ops/leaks/events')
    await readUntil(client, { text: '' }, 'retry: 5000')
    client.destroy()
    await source.subscribed(0)
  })

t.test('in a plain server under a prefix', async (t) => {
  const port = await serve(t, createReportHandler(createFakeSource(), { basePath: '/leaks/' }))
  for (const path of ['/leaks', '/leaks/', '/leaks?all=1', '/leaks/metrics'])
    t.equal((await request(port, `GET ${path}`)).status, 200, path)
  for (const path of ['/', '/metrics', '/leaksome', '/leaksmetrics', '/other/leaks'])
    t.equal((await request(port, `GET ${path}`)).status, 404, path)
})

t.test('over HTTP/2', async (t) => {
  const source = createFakeSource()
  const server = http2.createServer(createReportHandler(source) as unknown as () => void)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const session = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  t.teardown(() => {
    session.destroy()
    server.close()
  })
  async function get(
    path: string,
    headers: Record<string, string> = {},
  ): Promise<{ status: unknown; body: string }> {
    const stream = session.request({ ':path': path, ...headers })
    stream.setEncoding('utf8')
    const [head] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders & { ':status': number }]
    let body = ''
    for await (const part of stream) body += part
    return { status: head[':status'], body }
  }
  t.match(await get('/metrics'), { status: 200, body: 'tracked_sockets 1284' })
  t.match(await get('/', { ':authority': 'evil.example' }), { status: 403 })
  t.match(await get('/', { ':method': 'HEAD' }), { status: 200, body: '' })
  const events = session.request({ ':path': '/events' })
  await once(events, 'data')
  await source.subscribed(1)
  events.close()
  await source.subscribed(0)
})

t.test('a unix socket of the application counts as this machine', async (t) => {
  const path = join(shortFolder(t), 'app.sock')
  const server: Server = createServer(createReportHandler(createFakeSource()))
  server.listen(path)
  await once(server, 'listening')
  t.teardown(() => server.close())
  t.equal((await request(path, 'GET /', { host: 'anything' })).status, 200)
  t.equal((await request(path, 'GET /', { forwarded: 'for=192.0.2.1' })).status, 403)
})
