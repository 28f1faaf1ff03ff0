import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import t from 'tap'
import { createReportHandler } from '../../src/server/handler.js'
import { createFakeSource, sampleEvent } from './fake-source.js'
import { openEvents, parseResponse, readUntil, request, serve } from './raw-request.js'

t.test('one message per verdict change, for every reader', async (t) => {
  const source = createFakeSource()
  const port = await serve(t, createReportHandler(source))
  const clients = [openEvents(port), openEvents(port)]
  const received = clients.map(() => ({ text: '' }))
  await Promise.all(clients.map((client, i) => readUntil(client, received[i]!, 'retry: 5000\n\n')))
  source.emit(sampleEvent('suspect', 7, 'Line\nbreak.'))
  source.emit(sampleEvent('leaked', 8, 'GET /chat?token=s3cret is stuck.'))
  const texts = await Promise.all(clients.map((client, i) => readUntil(client, received[i]!, '"id":8')))
  for (const text of texts) {
    const { status, headers } = parseResponse(text)
    t.equal(status, 200)
    t.equal(headers.get('content-type'), 'text/event-stream; charset=utf-8')
    t.equal(headers.get('cache-control'), 'no-store, no-transform')
    t.equal(headers.get('x-content-type-options'), 'nosniff')
    const messages = [...text.matchAll(/event: (\w+)\ndata: (.*)\n\n/g)]
    t.same(
      messages.map(([, type, data = '']) => [type, JSON.parse(data).type, JSON.parse(data).socket.id]),
      [
        ['suspect', 'suspect', 7],
        ['leaked', 'leaked', 8],
      ],
    )
    t.notMatch(text, 's3cret')
  }
  for (const client of clients) client.destroy()
  await source.subscribed(0)
})

t.test('one subscription, and only while somebody reads', async (t) => {
  const source = createFakeSource()
  const port = await serve(t, createReportHandler(source))
  for (let round = 0; round < 2; round += 1) {
    const first = openEvents(port)
    await once(first, 'data')
    const second = openEvents(port)
    await once(second, 'data')
    await source.subscribed(1)
    first.destroy()
    // A FIN alone is enough: nobody answers to it but the server.
    second.end()
    await source.subscribed(0)
  }
  t.pass()
})

t.test('the heartbeat is a comment', async (t) => {
  const source = createFakeSource()
  const port = await serve(t, createReportHandler(source, { events: { heartbeatMs: 10 } }))
  const client = openEvents(port)
  const received = { text: '' }
  await readUntil(client, received, ': still here\n\n')
  client.destroy()
  await source.subscribed(0)
  t.pass()
})

t.test('too many readers', async (t) => {
  const source = createFakeSource()
  const port = await serve(t, createReportHandler(source, { events: { maxClients: 2 } }))
  const clients = [openEvents(port), openEvents(port)]
  await Promise.all(clients.map((client) => once(client, 'data')))
  const refused = await request(port, 'GET /events')
  t.equal(refused.status, 503)
  t.equal(refused.headers.get('retry-after'), '30')
  t.equal((await request(port, 'GET /')).status, 200, 'the report is still there')
  clients[0]?.destroy()
  // The place is free when the server has seen the close, which nothing announces to another connection.
  let third: Socket
  let head: string
  do {
    third = openEvents(port)
    ;[head] = (await once(third, 'data')) as [string]
    if (head.includes(' 503 ')) third.destroy()
  } while (third.destroyed)
  t.match(head, /^HTTP\/1\.1 200 /)
  third.destroy()
  clients[1]?.destroy()
  await source.subscribed(0)
})

t.test('a reader that stops reading is dropped, by what waits for it', async (t) => {
  const source = createFakeSource()
  const port = await serve(t, createReportHandler(source, { events: { maxWaitingBytes: 100_000 } }))
  const client = openEvents(port)
  await once(client, 'data')
  client.pause()
  const closed = source.subscribed(0)
  const event = sampleEvent('leaked', 1, 'x'.repeat(1_000_000))
  let isOpen = true
  closed.then(() => {
    isOpen = false
  }, t.fail)
  // The kernel takes some megabytes before anything waits.
  let sent = 0
  while (isOpen && sent < 100) {
    source.emit(event)
    sent += 1
    await new Promise(setImmediate)
  }
  await closed
  t.ok(sent < 100, `dropped after ${sent} MB`)
  client.destroy()
})

t.test('a reader that stops reading is dropped at the second heartbeat, however little waits', async (t) => {
  const source = createFakeSource()
  const events = { heartbeatMs: 20, maxWaitingBytes: Infinity }
  const port = await serve(t, createReportHandler(source, { events }))
  const client = openEvents(port)
  await once(client, 'data')
  client.pause()
  source.emit(sampleEvent('leaked', 1, 'x'.repeat(50_000_000)))
  await source.subscribed(0)
  client.destroy()
  t.pass()
})

t.test('a reader of a big burst that goes on reading is not dropped', async (t) => {
  const source = createFakeSource()
  const port = await serve(t, createReportHandler(source))
  const client = openEvents(port)
  const received = { text: '' }
  await readUntil(client, received, 'retry')
  for (let id = 1; id <= 100; id += 1) source.emit(sampleEvent('leaked', id, 'x'.repeat(1000)))
  await readUntil(client, received, '"id":100,')
  client.destroy()
  await source.subscribed(0)
  t.pass()
})

t.test('close() ends every stream and may be followed by new ones', async (t) => {
  const source = createFakeSource()
  const handler = createReportHandler(source)
  const port = await serve(t, handler)
  const client = openEvents(port)
  const received = { text: '' }
  await readUntil(client, received, 'retry')
  handler.close()
  await source.subscribed(0)
  t.match(await readUntil(client, received, '\r\n0\r\n\r\n'), 'retry', 'ended in good order')
  client.destroy()
  const next = openEvents(port)
  await once(next, 'data')
  await source.subscribed(1)
  next.destroy()
  await source.subscribed(0)
})

t.test('HEAD tells the headers and takes no place', async (t) => {
  const source = createFakeSource()
  const port = await serve(t, createReportHandler(source, { events: { maxClients: 1 } }))
  for (let i = 0; i < 3; i += 1) {
    const { status, headers, body } = await request(port, 'HEAD /events')
    t.equal(status, 200)
    t.equal(headers.get('content-type'), 'text/event-stream; charset=utf-8')
    t.equal(body, '')
  }
  await source.subscribed(0)
})

t.test('a subscription that fails is a plain 500', async (t) => {
  const source = createFakeSource()
  source.subscribe = () => {
    throw new Error('uninstalled')
  }
  const port = await serve(t, createReportHandler(source))
  t.equal((await request(port, 'GET /events')).status, 500)
})

t.test('an event finds a response that a middleware has ended, or whose write() throws', async (t) => {
  const source = createFakeSource()
  const handler = createReportHandler(source)
  const responses: ServerResponse[] = []
  const port = await serve(t, (request, response) => {
    responses.push(response)
    handler(request, response)
  })
  const [first, second, third] = [openEvents(port), openEvents(port), openEvents(port)]
  await Promise.all([first, second, third].map((client) => once(client, 'data')))
  responses[0]?.on('error', t.fail).end()
  if (responses[1])
    responses[1].write = () => {
      throw new Error('from a middleware')
    }
  t.doesNotThrow(() => source.emit(sampleEvent('leaked', 1)))
  t.equal(responses[1]?.destroyed, true)
  await new Promise(setImmediate)
  for (const client of [first, second, third]) client.destroy()
  await source.subscribed(0)
})

t.test('the event stream does not keep the process alive', async (t) => {
  const source = createFakeSource()
  const port = await serve(t, createReportHandler(source))
  const before = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const client = openEvents(port)
  await once(client, 'data')
  const after = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  t.ok(after <= before, 'no timer that is ref’d')
  client.destroy()
  await source.subscribed(0)
})
