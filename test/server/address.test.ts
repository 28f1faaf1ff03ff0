import { join, resolve } from 'node:path'
import t from 'tap'
import type { SocketLeakGuardError } from '../../src/base/errors.js'
import { formatReportAddress, parseReportAddress, requiresToken } from '../../src/server/address.js'

t.test('addresses, and whether other machines reach them', async (t) => {
  const table: Array<[text: string, host: string, port: number, needsToken: boolean]> = [
    ['127.0.0.1:9465', '127.0.0.1', 9465, false],
    ['127.1.2.3:1', '127.1.2.3', 1, false],
    ['[::1]:9465', '::1', 9465, false],
    ['[0:0:0:0:0:0:0:1]:9465', '0:0:0:0:0:0:0:1', 9465, false],
    ['[::ffff:127.0.0.1]:9465', '::ffff:127.0.0.1', 9465, false],
    ['localhost:9465', '127.0.0.1', 9465, false],
    ['LocalHost:9465', '127.0.0.1', 9465, false],
    ['9465', '127.0.0.1', 9465, false],
    ['0', '127.0.0.1', 0, false],
    ['0.0.0.0:9465', '0.0.0.0', 9465, true],
    ['[::]:9465', '::', 9465, true],
    ['192.0.2.1:65535', '192.0.2.1', 65_535, true],
    ['[2001:db8::1]:80', '2001:db8::1', 80, true],
    ['[fe80::1%eth0]:80', 'fe80::1%eth0', 80, true],
    ['[::ffff:192.0.2.1]:80', '::ffff:192.0.2.1', 80, true],
    ['app.internal:9465', 'app.internal', 9465, true],
    ['localhost.evil.example:80', 'localhost.evil.example', 80, true],
  ]
  for (const [text, host, port, needsToken] of table) {
    const address = parseReportAddress(text)
    t.same(address, { kind: 'tcp', host, port }, text)
    t.equal(requiresToken(address), needsToken, text)
  }
})

t.test('unix sockets', async (t) => {
  t.same(parseReportAddress('unix:/run/app.sock'), { kind: 'unix', path: '/run/app.sock' })
  t.same(parseReportAddress('unix:/run/app-%p-%p.sock'), {
    kind: 'unix',
    path: `/run/app-${process.pid}-${process.pid}.sock`,
  })
  t.same(parseReportAddress('unix:/run/%p-%t.sock'), { kind: 'unix', path: `/run/${process.pid}-0.sock` })
  t.same(parseReportAddress('unix:app.sock'), { kind: 'unix', path: resolve('app.sock') }, 'made absolute')
  t.equal(requiresToken(parseReportAddress('unix:/run/app.sock')), false)
})

t.test('an address is written as it is read', async (t) => {
  for (const text of ['127.0.0.1:9465', '[::1]:9465', 'app.internal:80', 'unix:/run/app.sock'])
    t.equal(formatReportAddress(parseReportAddress(text)), text)
})

t.test('what is no address', async (t) => {
  const bad = [
    '',
    ':9465',
    '*:9465',
    'localhost',
    '127.0.0.1',
    '127.0.0.1:',
    '127.0.0.1:x',
    '127.0.0.1:65536',
    '65536',
    '99999999999',
    '-1',
    ' 9465',
    '127.0.0.256:80',
    '127.1:80',
    '::1:9465',
    '[::1]',
    '[127.0.0.1]:80',
    '[localhost]:80',
    'http://127.0.0.1:9465',
    '127.0.0.1:9465/metrics',
    'user@host:80',
    'host name:80',
    'unix:',
    'unix:/run/\0.sock',
  ]
  for (const text of bad) {
    const error = t.throws(() => parseReportAddress(text), text) as unknown as SocketLeakGuardError
    t.equal(error.code, 'SLG_ERR_INVALID_OPTION')
    t.match(error.message, /^report must be an address such as "127\.0\.0\.1:9465".* got "/)
  }
  for (const value of [9465, null, undefined, {}, true])
    t.throws(() => parseReportAddress(value as string), { code: 'SLG_ERR_INVALID_OPTION' })
  t.throws(() => parseReportAddress(`unix:${join('/run', 'x'.repeat(120))}`), {
    message: /^report must name a unix socket whose absolute path has at most 10[37] bytes, got 125 bytes$/,
  })
})
