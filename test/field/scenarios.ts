/**
 * Leaks as applications have them, each with its truth: what a reader of the report must be led to. The places in the code
 * are the lines that end in `// leaks: <id>`, written down with the applications.
 */
import { createHash } from 'node:crypto'
import type { Direction } from '../../src/core/vocabulary.js'
import type { PeerConnection } from '../support/peer.js'
import { subscribeTo } from './apps/websockets.js'
import type { Stage, Upstream } from './stage.js'

/** By which the leaking socket is found: its id, or for an outgoing one the port of its peer. */
export type Suspect = { readonly id: number } | { readonly remotePort: number }

export interface Scenario {
  readonly id: string
  readonly leaks: Direction
  /** Right names, the best first: the route, the path of the request, `upgrade /path`, `CONNECT host`. */
  readonly names: readonly string[]
  /** Of a leaking outgoing request, what is asked of the upstream: the report may say so, but that names no code. */
  readonly outgoing?: string
  /** Nothing ends and nothing waits: a handler that never answers, on a connection that is open. */
  readonly isOpen?: true
  /** The id that marks its lines. @default the scenario's own */
  readonly marks?: string
  run(stage: Stage): Promise<Suspect>
}

const MUCH = 12_000_000

function request(line: string, headers: readonly string[] = []): string {
  return [`${line} HTTP/1.1`, 'host: localhost', ...headers, '', ''].join('\r\n')
}

const upgrade = (path: string, protocol: string): string =>
  request(`GET ${path}`, ['connection: upgrade', `upgrade: ${protocol}`])

const webSocket = (path: string): string =>
  request(`GET ${path}`, [
    'connection: upgrade',
    'upgrade: websocket',
    'sec-websocket-version: 13',
    'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
  ])

/** More than anybody's buffers hold, and never all of it. */
function upload(line: string): string {
  return request(line, [`content-length: ${MUCH}`, 'content-type: application/octet-stream'])
}

/** @returns once the upstream was asked for this */
async function asked({ connection }: Upstream, path: string): Promise<PeerConnection> {
  await connection.saw('data', ({ text }) => text?.includes(path) === true)
  return connection
}

async function beginAnswer(upstream: Upstream, path: string): Promise<PeerConnection> {
  const connection = await asked(upstream, path)
  const head = `HTTP/1.1 200 OK\r\ncontent-length: ${2 * MUCH}\r\n\r\n`
  return connection.do({ do: 'write', text: `${head}it begins` })
}

async function answerMuch(upstream: Upstream, path: string): Promise<PeerConnection> {
  return (await beginAnswer(upstream, path)).do({ do: 'write', bytes: MUCH })
}

/** The client goes while the answer comes. */
async function leaveAmid(client: PeerConnection, upstream: PeerConnection): Promise<void> {
  await client.saw('data', isText('it begins'))
  client.do({ do: 'reset' })
  await client.saw('close')
  upstream.do({ do: 'write', bytes: MUCH })
}

async function answerShortly(upstream: Upstream, path: string): Promise<void> {
  const connection = await asked(upstream, path)
  connection.do({ do: 'write', text: 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok' })
}

const isText =
  (text: string) =>
  (event: { readonly text?: string }): boolean =>
    event.text?.includes(text) === true

export const SCENARIOS: readonly Scenario[] = [
  {
    id: 'gateway-orders',
    leaks: 'outbound',
    names: ['GET /orders/*', 'GET /orders/17', 'GET /orders'],
    outgoing: 'GET /17',
    async run({ send, upstreams: { orders } }) {
      await send('gateway', request('GET /orders/17'), { paused: true })
      await answerMuch(orders, '/17')
      return { remotePort: orders.port }
    },
  },
  {
    id: 'gateway-files',
    leaks: 'outbound',
    names: ['GET /buckets/:bucket/:name', 'GET /buckets/b1/photo.jpg'],
    outgoing: 'GET /buckets/b1/photo.jpg',
    async run({ send, upstreams: { files } }) {
      const client = await send('gateway', request('GET /buckets/b1/photo.jpg'))
      await leaveAmid(client, await beginAnswer(files, '/photo.jpg'))
      return { remotePort: files.port }
    },
  },
  {
    id: 'gateway-pages',
    leaks: 'outbound',
    names: ['GET /pages/:slug', 'GET /pages/home'],
    outgoing: 'GET /render/home',
    async run({ send, upstreams: { pages } }) {
      await send('gateway', request('GET /pages/home'), { paused: true })
      await answerMuch(pages, '/render/home')
      return { remotePort: pages.port }
    },
  },
  {
    id: 'gateway-events',
    leaks: 'inbound',
    names: ['GET /events'],
    async run({ send, servedBy, upstreams: { events } }) {
      const client = await send('gateway', request('GET /events'), { paused: true })
      const upstream = await answerMuch(events, '/stream')
      await upstream.saw('written')
      upstream.do({ do: 'end' })
      return servedBy(client)
    },
  },
  {
    id: 'legacy-cart',
    isOpen: true,
    leaks: 'inbound',
    names: ['GET /carts/:id/items', 'GET /carts/3/items'],
    async run({ send, servedBy, upstreams: { cart } }) {
      const client = await send('legacy', request('GET /carts/3/items'))
      const upstream = await beginAnswer(cart, '/3/items')
      await client.saw('data', isText('it begins'))
      upstream.do({ do: 'reset' })
      return servedBy(client)
    },
  },
  {
    id: 'legacy-shop',
    leaks: 'outbound',
    names: ['GET /shop/*', 'GET /shop/shoes/12'],
    outgoing: 'GET /shop/shoes/12',
    async run({ send, upstreams: { shop } }) {
      const client = await send('legacy', request('GET /shop/shoes/12'))
      await leaveAmid(client, await beginAnswer(shop, '/shoes/12'))
      return { remotePort: shop.port }
    },
  },
  {
    id: 'upload-avatar',
    leaks: 'inbound',
    names: ['POST /users/:id/avatar', 'POST /users/7/avatar'],
    async run({ send, servedBy }) {
      const client = await send('uploads', upload('POST /users/7/avatar'))
      return servedBy(client.do({ do: 'write', bytes: 400_000 }))
    },
  },
  {
    id: 'upload-behind-session',
    leaks: 'inbound',
    // Middleware holds it up: no router has chosen a route.
    names: ['PUT /admin/*', 'PUT /admin/backups/monday', 'PUT /admin/backups/:name'],
    async run({ send, servedBy }) {
      const client = await send('uploads', upload('PUT /admin/backups/monday'))
      return servedBy(client.do({ do: 'write', bytes: 400_000 }))
    },
  },
  {
    id: 'upload-scan',
    leaks: 'inbound',
    names: ['POST /documents/:id/scan', 'POST /documents/9/scan'],
    async run({ send, servedBy }) {
      const client = await send('uploads', upload('POST /documents/9/scan'))
      return servedBy(client.do({ do: 'write', bytes: 4_000_000 }))
    },
  },
  {
    id: 'upload-after-health',
    leaks: 'inbound',
    names: ['POST /imports/:kind', 'POST /imports/users'],
    async run({ send, servedBy }) {
      const client = await send('uploads', request('GET /health'))
      await client.saw('data', isText('ok'))
      client.do({ do: 'write', text: upload('POST /imports/users') })
      return servedBy(client.do({ do: 'write', bytes: 400_000 }))
    },
  },
  {
    id: 'upload-tls',
    marks: 'upload-after-health',
    leaks: 'inbound',
    names: ['POST /imports/:kind', 'POST /imports/users'],
    async run({ send, servedBy }) {
      const client = await send('secureUploads', upload('POST /imports/users'), { tls: true })
      return servedBy(client.do({ do: 'write', bytes: 400_000 }))
    },
  },
  {
    id: 'export-unread',
    leaks: 'inbound',
    names: ['GET /exports/:kind', 'GET /exports/all'],
    async run({ send, servedBy }) {
      const client = await send('uploads', request('GET /exports/all'), { paused: true })
      return servedBy(client.do({ do: 'end' }))
    },
  },
  {
    id: 'export-pipelined',
    marks: 'export-unread',
    leaks: 'inbound',
    names: ['GET /exports/:kind', 'GET /exports/first'],
    async run({ send, servedBy }) {
      const pipelined = request('GET /exports/first') + request('GET /health')
      return servedBy(await send('uploads', pipelined, { paused: true }))
    },
  },
  {
    id: 'fetch-weather',
    leaks: 'outbound',
    names: ['GET /weather/:city', 'GET /weather/oslo'],
    outgoing: 'GET /forecast/oslo',
    async run({ send, upstreams: { weather } }) {
      await send('dashboard', request('GET /weather/oslo'))
      await answerMuch(weather, '/forecast/oslo')
      return { remotePort: weather.port }
    },
  },
  {
    id: 'axios-avatar',
    leaks: 'outbound',
    names: ['GET /avatars/:id', 'GET /avatars/5'],
    outgoing: 'GET /img/5',
    async run({ send, upstreams: { avatars } }) {
      await send('dashboard', request('GET /avatars/5'))
      await answerMuch(avatars, '/img/5')
      return { remotePort: avatars.port }
    },
  },
  {
    id: 'billing-invoice',
    leaks: 'outbound',
    names: ['GET /invoices/:id', 'GET /invoices/8'],
    outgoing: 'GET /v1/invoices/8',
    async run({ send, upstreams: { billing } }) {
      await send('dashboard', request('GET /invoices/8'))
      await answerMuch(billing, '/invoices/8')
      return { remotePort: billing.port }
    },
  },
  {
    id: 'queue-mail',
    leaks: 'outbound',
    names: [],
    outgoing: 'POST /send/welcome',
    async run({ send, upstreams: { mail } }) {
      await send('dashboard', request('POST /mails', ['content-length: 0']))
      await answerMuch(mail, '/send/welcome')
      return { remotePort: mail.port }
    },
  },
  {
    id: 'https-status',
    leaks: 'outbound',
    names: ['GET /status/:site', 'GET /status/main'],
    outgoing: 'GET /sites/main',
    async run({ send, upstreams: { secure } }) {
      await send('dashboard', request('GET /status/main'))
      await answerMuch(secure, '/sites/main')
      return { remotePort: secure.port }
    },
  },
  {
    id: 'database-connection',
    leaks: 'outbound',
    names: ['GET /report/:year', 'GET /report/2016'],
    async run({ send, upstreams: { database } }) {
      const first = await send('pooled', request('GET /login'))
      const connection = await asked(database, 'select session')
      connection.do({ do: 'write', text: 'a session' })
      await first.saw('data', isText('a session'))
      await send('pooled', request('GET /report/2016'))
      await asked(database, 'everything of 2016')
      connection.do({ do: 'write', bytes: MUCH })
      return { remotePort: database.port }
    },
  },
  {
    id: 'database-queued',
    marks: 'database-connection',
    leaks: 'outbound',
    names: ['GET /report/:year', 'GET /report/2017'],
    async run({ send, upstreams: { queuedDatabase: database } }) {
      const first = await send('queued', request('GET /login'))
      const connection = await asked(database, 'select session')
      const waiting = await send('queued', request('GET /report/2017'))
      // Over a connection that is served after the one above: by then that query waits.
      const later = await send('queued', request('GET /nothing'))
      await later.saw('data')
      connection.do({ do: 'write', text: 'a session' })
      await first.saw('data', isText('a session'))
      await asked(database, 'everything of 2017')
      connection.do({ do: 'write', bytes: MUCH })
      await waiting.saw('connected')
      return { remotePort: database.port }
    },
  },
  {
    id: 'agent-download',
    leaks: 'outbound',
    names: ['GET /download/:file', 'GET /download/a.zip'],
    outgoing: 'GET /files/a.zip',
    async run({ send, upstreams: { agent } }) {
      const first = await send('pooled', request('GET /ping'))
      await answerShortly(agent, '/ping')
      await first.saw('data', isText('pong'))
      await send('pooled', request('GET /download/a.zip'))
      await answerMuch(agent, '/files/a.zip')
      return { remotePort: agent.port }
    },
  },
  {
    id: 'fetch-catalog',
    leaks: 'outbound',
    names: ['GET /catalog/:page', 'GET /catalog/3'],
    outgoing: 'GET /pages/3',
    async run({ send, upstreams: { fetch } }) {
      const first = await send('pooled', request('GET /quick'))
      await answerShortly(fetch, '/quick')
      await first.saw('data', isText('ok'))
      await send('pooled', request('GET /catalog/3'))
      await answerMuch(fetch, '/pages/3')
      return { remotePort: fetch.port }
    },
  },
  {
    id: 'forward-client-reset',
    leaks: 'outbound',
    names: [],
    async run({ send, upstreams: { forward } }) {
      const client = await send('forwarder', 'hello')
      const upstream = await asked(forward, 'hello')
      await leaveAmid(client, upstream.do({ do: 'write', text: 'it begins' }))
      return { remotePort: forward.port }
    },
  },
  {
    id: 'forward-upstream-reset',
    leaks: 'inbound',
    names: [],
    async run({ send, servedBy, upstreams: { forwardBack } }) {
      const client = await send('forwarderBack', 'hello')
      const upstream = await asked(forwardBack, 'hello')
      client.do({ do: 'write', bytes: MUCH })
      upstream.do({ do: 'reset' })
      return servedBy(client)
    },
  },
  {
    id: 'connect-client-reset',
    leaks: 'outbound',
    names: ['CONNECT example.org:443'],
    async run({ send, upstreams: { connect } }) {
      const client = await send('forwardProxy', request('CONNECT example.org:443'))
      await client.saw('data')
      client.do({ do: 'write', text: 'hello' })
      const upstream = await asked(connect, 'hello')
      await leaveAmid(client, upstream.do({ do: 'write', text: 'it begins' }))
      return { remotePort: connect.port }
    },
  },
  {
    id: 'connect-upstream-reset',
    leaks: 'inbound',
    names: ['CONNECT example.com:443'],
    async run({ send, servedBy, upstreams: { connectBack } }) {
      const client = await send('forwardProxyBack', request('CONNECT example.com:443'))
      await client.saw('data')
      client.do({ do: 'write', text: 'hello' })
      const upstream = await asked(connectBack, 'hello')
      client.do({ do: 'write', bytes: MUCH })
      upstream.do({ do: 'reset' })
      return servedBy(client)
    },
  },
  {
    id: 'upgrade-forgotten',
    leaks: 'inbound',
    names: ['upgrade /somewhere'],
    async run({ send, servedBy }) {
      const client = await send('realtime', upgrade('/somewhere', 'feed'))
      return servedBy(client.do({ do: 'end', text: 'x'.repeat(100) }))
    },
  },
  {
    id: 'upgrade-refused',
    leaks: 'inbound',
    names: ['upgrade /private'],
    async run({ send, servedBy }) {
      const client = await send('realtime', upgrade('/private', 'feed') + 'and a few words')
      await client.saw('end')
      return servedBy(client.do({ do: 'end', text: 'more' }))
    },
  },
  {
    id: 'upgrade-feed',
    leaks: 'inbound',
    names: ['upgrade /feeds/3'],
    async run({ send, servedBy }) {
      const client = await send('realtime', upgrade('/feeds/3', 'feed'))
      await client.saw('data')
      return servedBy(client.do({ do: 'end', text: 'that was it' }))
    },
  },
  {
    id: 'upgrade-ticker',
    leaks: 'inbound',
    names: ['upgrade /prices'],
    async run({ send, servedBy }) {
      const client = await send('realtime', upgrade('/prices', 'feed'))
      await client.saw('data', isText('tick'))
      return servedBy(client.do({ do: 'end' }))
    },
  },
  {
    id: 'ws-paused',
    leaks: 'inbound',
    names: ['upgrade /rooms/7'],
    async run({ send, servedBy }) {
      const client = await send('rooms', webSocket('/rooms/7'))
      await client.saw('data')
      // Masked, as a client's frames are, with a mask of zeros (RFC 6455, section 5.2).
      client.do({ do: 'write', text: '\x81\x82\0\0\0\0hi' })
      return servedBy(client.do({ do: 'write', bytes: 400_000 }))
    },
  },
  {
    id: 'ws-slow-reader',
    leaks: 'inbound',
    names: ['upgrade /metrics'],
    async run({ send, servedBy }) {
      return servedBy(await send('rooms', webSocket('/metrics'), { paused: true }))
    },
  },
  {
    id: 'ws-client',
    leaks: 'outbound',
    names: [],
    outgoing: 'GET /quotes',
    async run({ upstreams: { quotes } }) {
      subscribeTo(quotes.port)
      const { text } = await quotes.connection.saw('data')
      const key = /^sec-websocket-key: (.*)$/im.exec(text!)![1]!.trim()
      // RFC 6455, section 1.3.
      const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
      const head = ['HTTP/1.1 101 Switching Protocols', 'connection: upgrade', 'upgrade: websocket']
      quotes.connection.do({
        do: 'write',
        text: [...head, `sec-websocket-accept: ${accept}`, '', ''].join('\r\n'),
      })
      quotes.connection.do({ do: 'write', bytes: MUCH })
      return { remotePort: quotes.port }
    },
  },
  {
    id: 'net-greeter',
    leaks: 'inbound',
    names: [],
    async run({ send, servedBy }) {
      const client = await send('greeter', 'HELO')
      return servedBy(client.do({ do: 'end', text: 'x'.repeat(1000) }))
    },
  },
  {
    id: 'net-daytime',
    leaks: 'inbound',
    names: [],
    async run({ send, servedBy }) {
      const client = await send('daytime', 'what time is it?')
      await client.saw('end')
      return servedBy(client.do({ do: 'end', text: 'thanks' }))
    },
  },
  {
    id: 'half-open-device',
    leaks: 'inbound',
    names: [],
    async run({ send, servedBy }) {
      const client = await send('devices', 'measure\n')
      await client.saw('data')
      return servedBy(client.do({ do: 'end' }))
    },
  },
  {
    id: 'net-ticker',
    leaks: 'inbound',
    names: [],
    async run({ send, servedBy }) {
      const client = await send('prices', 'subscribe\n')
      await client.saw('data')
      return servedBy(client.do({ do: 'end' }))
    },
  },
  {
    id: 'tls-greeter',
    leaks: 'inbound',
    names: [],
    async run({ send, servedBy }) {
      const client = await send('secureGreeter', 'HELO', { tls: true })
      await client.saw('data')
      return servedBy(client.do({ do: 'write', bytes: 400_000 }))
    },
  },
  {
    id: 'fastify-item',
    leaks: 'outbound',
    names: ['GET /items/:id', 'GET /items/4'],
    outgoing: 'GET /raw/4',
    async run({ send, upstreams: { items } }) {
      await send('fastify', request('GET /items/4'))
      await answerMuch(items, '/raw/4')
      return { remotePort: items.port }
    },
  },
  {
    id: 'fastify-photo',
    leaks: 'inbound',
    names: ['POST /items/:id/photo', 'POST /items/4/photo'],
    async run({ send, servedBy }) {
      const client = await send('fastify', upload('POST /items/4/photo'))
      return servedBy(client.do({ do: 'write', bytes: 400_000 }))
    },
  },
  {
    id: 'koa-book',
    leaks: 'outbound',
    names: ['GET /books/:isbn', 'GET /books/123'],
    outgoing: 'GET /isbn/123',
    async run({ send, upstreams: { books } }) {
      await send('koa', request('GET /books/123'))
      await answerMuch(books, '/isbn/123')
      return { remotePort: books.port }
    },
  },
  {
    id: 'koa-scan',
    leaks: 'inbound',
    names: ['PUT /books/:isbn/scan', 'PUT /books/123/scan'],
    async run({ send, servedBy }) {
      const client = await send('koa', upload('PUT /books/123/scan'))
      return servedBy(client.do({ do: 'write', bytes: 400_000 }))
    },
  },
]
