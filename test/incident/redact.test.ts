/** What a redacted file still says, and what not. */
import fc from 'fast-check'
import t from 'tap'
import type { PairSide, SocketReport } from '../../src/core/report.js'
import { createRedaction } from '../../src/incident/redact.js'
import { diagnose } from '../../src/report/diagnose.js'
import { pairUp } from '../../src/report/pair-lines.js'
import { sampleSocket } from '../report/sample-reports.js'

const text = (diagnosis: string): string => createRedaction()({ diagnosis }).diagnosis

t.test('each address and host is one name throughout, and loopback stays', async (t) => {
  t.equal(text('from 10.0.0.7:50122, and 10.0.0.8.'), 'from ip-1:50122, and ip-2.')
  t.equal(text('10.0.0.7 -> [2001:db8::1]:443: 10.0.0.7'), 'ip-1 -> [ip-2]:443: ip-1')
  t.equal(text('to db.internal:5432, via db.internal:*'), 'to host-1:5432, via host-1:*')
  t.equal(text('GET https://api.example/v1/users/7 (node:http):'), 'GET https://host-1/path-1 (node:http):')
  for (const kept of [
    '127.0.0.1:3000, ::1, [::1]:80 and localhost:3000 are here',
    'at 12:30:15, 1.5 KB, node v20.19.0, src/chat.js:48, on :3000',
    "Call socket.end() on 'end' in the upgrade handler.",
  ])
    t.equal(text(kept), kept)
  const ends = createRedaction()([
    { address: '::ffff:10.0.0.7', port: 1 },
    { address: '10.0.0.7', port: 2 },
    { address: 'db', port: 3 },
    { address: '/run/my app.sock', port: null },
  ])
  t.same(
    ends.map(({ address }) => address),
    ['ip-1', 'ip-1', 'host-1', '/path-1'],
  )
})

t.test('sites keep their form', async (t) => {
  const redact = createRedaction()
  const table: [string, string][] = [
    ['GET /users/:id', 'GET /path-1'],
    ['upgrade /chat', 'upgrade /path-2'],
    ['GET /users/:id → db.internal:5432', 'GET /path-1 → host-1:5432'],
    ['CONNECT git.example:443', 'CONNECT host-2:443'],
    ['GET http://git.example/users/:id', 'GET http://host-2/path-1'],
    ['to 10.0.0.5:443', 'to ip-1:443'],
    ['listener /run/app.sock', 'listener /path-3'],
    ['job nightly', 'site-1'],
    ['ACME nightly', 'site-2'],
    ['M-SEARCH /users/:id', 'M-SEARCH /path-1'],
    ['/srv/app/server.js:12', '/path-4'],
    ...['listener :3000', 'listener :*', 'outgoing', 'src/chat.js:48', 'GET /', 'other'].map(
      (kept): [string, string] => [kept, kept],
    ),
  ]
  for (const [site, shown] of table) t.equal(redact({ site }).site, shown, site)
})

t.test('short names are found where the report says them, and nowhere else', async (t) => {
  const socket = sampleSocket(7, {
    direction: 'outbound',
    remote: { address: 'the', port: 443 },
    owner: { site: 's', label: '1', request: null, context: { user: '1', word: 'application' }, stack: null },
  })
  const said = diagnose(socket)
  t.match(said, '"1" of s to the:443')
  const shown = createRedaction()({ ...socket, diagnosis: said })
  t.equal(shown.diagnosis, said.replace('"1" of s to the:443', '"label-1" of site-1 to host-1:443'))
  t.same(shown.owner.context, { user: 'value-1', word: 'value-2' })
})

t.test('code keeps its place, and not its text', async (t) => {
  const redact = createRedaction()
  const stack = ['src/chat.js:48 - socket.write(`secret`)', '/srv/app/other.js:3:7', 'node:net:1']
  t.same(redact({ stack }), { stack: ['src/chat.js:48', '/path-1', 'node:net:1'] })
  const site = 'https://cdn.acme.example/x.js:4'
  t.same(redact({ site, stack: ['webpack://acme-billing/./src/x.js:3'] }), {
    site: 'https://host-1/path-2',
    stack: ['webpack://host-2/path-3'],
  })
})

t.test('nothing of what the application names is left, in no text made of it', async () => {
  const CANARY = 'zq9'
  const odd = fc
    .array(
      fc.constantFrom('a', 'Q', '7', ' ', '.', ':', '-', '"', "'", '(', ')', '[', ',', ';', '→', 'é', '$&'),
      {
        maxLength: 8,
      },
    )
    .map((parts) => parts.join(''))
  const word = fc.tuple(odd, odd).map(([before, after]) => before + CANARY + after)
  const name = fc.stringMatching(/^[a-z0-9-]{0,5}(?:\.[a-z]{2,3})?$/).map((rest) => `${CANARY}${rest}`)
  const path = word.map((rest) => `/${rest}`)
  const remote = fc.oneof(
    fc.tuple(name, fc.nat({ max: 65_535 })).map(([address, port]) => ({ address, port })),
    path.map((address) => ({ address, port: null })),
  )
  const site = fc.oneof(
    word,
    path.map((of) => `GET ${of}`),
    path.map((of) => `upgrade ${of}`),
    name.map((host) => `CONNECT ${host}:443`),
    fc.tuple(path, name).map(([of, host]) => `GET ${of} → ${host}:443`),
  )
  const owner = fc.record({
    site,
    label: word,
    request: fc.record(
      { method: fc.constant('GET'), path, origin: name.map((host) => `https://${host}:8443`) },
      { requiredKeys: ['method', 'path'] },
    ),
    context: word.map((value) => ({ tenant: value, upgrade: 'unanswered' })),
    stack: fc.constant(null),
  })
  const direction = fc.constantFrom('inbound', 'outbound')
  const who = { id: fc.nat(), direction, remote, site }
  const partner = fc.record({
    ...who,
    by: fc.constant('pipe'),
    state: fc.constantFrom('open', 'ended', 'closed'),
    sinceMs: fc.constant(5000),
  })
  const side = fc.record({
    ...who,
    state: fc.constantFrom('open', 'ended'),
    condition: fc.constant(null),
    sinceMs: fc.constant(5000),
    bytesPerSecond: fc.constant(null),
    idleMs: fc.constant(null),
  }) as fc.Arbitrary<PairSide>
  const socket = fc
    .record({
      direction,
      remote,
      owner,
      partner,
      condition: fc.constantFrom('eof-ignored', 'abandoned', null),
    })
    .map((parts) => sampleSocket(7, parts as Partial<SocketReport>))
  fc.assert(
    fc.property(socket, side, side, (one, a, b) => {
      const shown = createRedaction()({
        sockets: [{ ...one, diagnosis: diagnose(one) }],
        pairs: [pairUp(a, b, 'pipe')],
      })
      return !JSON.stringify(shown).includes(CANARY)
    }),
    { numRuns: 500 },
  )
})
