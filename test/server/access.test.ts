import type { IncomingMessage } from 'node:http'
import t from 'tap'
import { SocketLeakGuardError } from '../../src/base/errors.js'
import { createAccessCheck } from '../../src/server/access.js'

interface Asker {
  readonly from?: string | undefined
  readonly server?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

function asked({ from, server, headers = {} }: Asker): IncomingMessage {
  return { headers, socket: { remoteAddress: from, server } } as unknown as IncomingMessage
}

t.test('without a token only this machine is answered, by a loopback name', async (t) => {
  const check = createAccessCheck({})
  const local = { from: '127.0.0.1', headers: { host: 'localhost:3000' } }
  const pipe = { server: { address: () => '/run/app.sock' } }
  const table: Array<[string, Asker, RegExp | null]> = [
    ['loopback', local, null],
    ['another loopback address', { ...local, from: '127.8.9.10' }, null],
    ['IPv6', { from: '::1', headers: { host: '[::1]:3000' } }, null],
    ['IPv4 mapped into IPv6', { ...local, from: '::ffff:127.0.0.1' }, null],
    ['a host without a port', { ...local, headers: { host: 'LOCALHOST' } }, null],
    ['a host below localhost', { ...local, headers: { host: 'app.localhost:80' } }, null],
    ['HTTP/2', { from: '::1', headers: { ':authority': 'localhost:3000' } }, null],
    ['a unix socket', pipe, null],
    ['a unix socket with any host', { ...pipe, headers: { host: 'whatever' } }, null],
    [
      'our own page',
      { ...local, headers: { host: 'localhost:3000', origin: 'http://localhost:3000' } },
      null,
    ],
    ['another machine', { ...local, from: '192.0.2.1' }, /came from another machine/],
    ['another machine over IPv6', { ...local, from: '2001:db8::1' }, /came from another machine/],
    ['a mapped address that is not loopback', { ...local, from: '::ffff:192.0.2.1' }, /another machine/],
    ['no remote address at all', { ...local, from: undefined }, /another machine/],
    [
      'a wrapped stream on a TCP server',
      { ...local, from: undefined, server: { address: () => ({}) } },
      /another/,
    ],
    [
      'a name that resolves to us',
      { ...local, headers: { host: 'evil.example:3000' } },
      /Host header is "evil.example:3000"/,
    ],
    [
      'a name that looks like loopback',
      { ...local, headers: { host: '127.0.0.1.evil.example' } },
      /Host header/,
    ],
    ['a name that ends like localhost', { ...local, headers: { host: 'evillocalhost' } }, /Host header/],
    ['an address of the network', { ...local, headers: { host: '192.168.1.2:3000' } }, /Host header/],
    ['a broken host', { ...local, headers: { host: '[::1' } }, /Host header/],
    [
      'user information in the host',
      { ...local, headers: { host: 'localhost:80@evil.example' } },
      /Host header/,
    ],
    ['no host', { ...local, headers: {} }, /Host header is missing/],
    [
      'a proxy',
      { ...local, headers: { host: 'localhost', 'x-forwarded-for': '192.0.2.1' } },
      /header x-forwarded-for/,
    ],
    ['a proxy over a unix socket', { ...pipe, headers: { via: '1.1 proxy' } }, /header via/],
    [
      'another origin',
      { ...local, headers: { host: 'localhost:3000', origin: 'http://evil.example' } },
      /Origin header/,
    ],
    [
      'another port',
      { ...local, headers: { host: 'localhost:3000', origin: 'http://localhost:4000' } },
      /Origin header/,
    ],
    [
      'an opaque origin',
      { ...local, headers: { host: 'localhost:3000', origin: 'null' } },
      /Origin header is "null"/,
    ],
  ]
  for (const [name, asker, expected] of table) {
    const refusal = check(asked(asker))
    if (expected === null) t.equal(refusal, null, name)
    else {
      t.equal(refusal?.status, 403, name)
      t.match(refusal?.message, expected, name)
      t.match(refusal?.message, 'set a token (option reportToken)')
    }
  }
})

t.test('a hostile header is quoted harmlessly', async (t) => {
  const refusal = createAccessCheck({})(
    asked({ from: '::1', headers: { host: `evil\x1b[2J${'x'.repeat(500)}` } }),
  )
  t.match(refusal?.message, 'evil\\x1b[2Jxxx')
  t.ok((refusal?.message.length ?? 0) < 500)
})

t.test('with a token nothing else counts', async (t) => {
  const check = createAccessCheck({ token: 's3cret' })
  const far = (authorization?: string) =>
    asked({
      from: '192.0.2.1',
      headers: {
        host: 'app.example',
        'x-forwarded-for': '192.0.2.1',
        ...(authorization !== undefined && { authorization }),
      },
    })
  t.equal(check(far('Bearer s3cret')), null)
  t.equal(check(far('bearer   s3cret')), null)
  for (const wrong of [
    undefined,
    '',
    's3cret',
    'Bearer',
    'Bearer ',
    'Bearer s3cre',
    'Bearer s3crets',
    'Bearer S3CRET',
    'Basic s3cret',
    'Bearer s3cret x',
  ])
    t.equal(check(far(wrong))?.status, 401, String(wrong))
  t.equal(
    check(asked({ from: '127.0.0.1', headers: { host: 'localhost' } }))?.status,
    401,
    'not even from here',
  )
})

t.test('a token that no header can carry is an error, and not repeated in it', async (t) => {
  for (const token of ['', 'two words', 'späße', 'line\nbreak', 42, {}]) {
    const error = t.throws(() =>
      createAccessCheck({ token: token as string }),
    ) as unknown as SocketLeakGuardError
    t.equal(error.code, 'SLG_ERR_INVALID_OPTION')
    t.match(error.message, /^token must be a string of visible ASCII characters/)
    t.notMatch(error.message, /two|späße|break/)
  }
})
