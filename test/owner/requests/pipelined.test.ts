/** Requests that came one after the other over one connection: the one that holds it is named. */
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import t, { type Test } from 'tap'
import { install, type Guard } from '../../../src/index.js'
import { listen } from '../../support/events.js'

const request = (line: string, length = 0): string =>
  `${line} HTTP/1.1\r\nhost: x\r\ncontent-length: ${length}\r\n\r\n`

/**
 * Says this over one connection to a server that answers `/quick` and nothing else, and waits for the last of the requests.
 *
 * @returns the port of the client
 */
async function say(t: Test, text: string, last: string): Promise<number> {
  let arrived = (): void => {}
  const arrival = new Promise<void>((resolve) => (arrived = resolve))
  const server = http.createServer(({ url }, response) => {
    if (url === '/quick') response.end('answered')
    if (url === last) arrived()
  })
  const client = net.connect(await listen(server), '127.0.0.1').resume()
  t.teardown(() => {
    client.destroy()
    server.close()
  })
  await once(client, 'connect')
  client.write(text)
  await arrival
  return client.localPort!
}

function named(guard: Guard, port: number): unknown {
  const { site, request: info } = guard
    .snapshot({ all: true })
    .sockets.find(({ direction, remote }) => direction === 'inbound' && remote?.port === port)!.owner
  return { site, path: info?.path }
}

t.test('the first that has no answer, though others have come and are answered', async (t) => {
  using guard = install({ context: 'off', sweepMs: 60_000 })
  const port = await say(t, request('GET /stuck') + request('GET /quick') + request('GET /third'), '/third')
  t.same(named(guard, port), { site: 'GET /stuck', path: '/stuck' })
})

t.test('the last, whose body nobody reads: that one stops the connection by itself', async (t) => {
  using guard = install({ context: 'off', sweepMs: 60_000 })
  const port = await say(
    t,
    request('GET /stuck') + request('POST /upload', 1_000_000) + 'x'.repeat(400_000),
    '/upload',
  )
  t.same(named(guard, port), { site: 'POST /upload', path: '/upload' })
})

t.test('the last, once those before it have their answers', async (t) => {
  using guard = install({ context: 'off', sweepMs: 60_000 })
  const port = await say(t, request('GET /quick') + request('GET /stuck'), '/stuck')
  t.same(named(guard, port), { site: 'GET /stuck', path: '/stuck' })
})
