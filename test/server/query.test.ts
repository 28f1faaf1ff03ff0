import fc from 'fast-check'
import t from 'tap'
import { VERDICTS } from '../../src/core/vocabulary.js'
import { describeBadParameter, isBadParameter, parseReportQuery } from '../../src/server/query.js'

t.test('what may be asked', async (t) => {
  t.same(parseReportQuery(''), { snapshot: {}, format: null })
  t.same(parseReportQuery('all=1&limit=20&after=0&fd=27&format=text'), {
    snapshot: { all: true, limit: 20, after: 0, fd: 27 },
    format: 'text',
  })
  for (const all of ['all', 'all=', 'all=1', 'all=true'])
    t.same(parseReportQuery(all), { snapshot: { all: true }, format: null })
  for (const all of ['all=0', 'all=false'])
    t.same(parseReportQuery(all), { snapshot: { all: false }, format: null })
  t.same(
    parseReportQuery(
      'site=GET+%2Fa&peer=10.0.0.5&condition=fin-wait&verdict=leaked&direction=inbound&minAgeMs=60000',
    ),
    {
      snapshot: {
        site: 'GET /a',
        peer: '10.0.0.5',
        condition: 'fin-wait',
        verdict: 'leaked',
        direction: 'inbound',
        minAgeMs: 60_000,
      },
      format: null,
    },
  )
  t.same(parseReportQuery('id=7&history=1'), { snapshot: { id: 7, history: true }, format: null })
  t.same(parseReportQuery('site=&peer=&condition=&verdict=&direction=&minAgeMs='), {
    snapshot: {},
    format: null,
  })
  t.same(parseReportQuery('limit=10000'), { snapshot: { limit: 10_000 }, format: null })
  t.same(parseReportQuery('_=123&toString=1&collect[]=x'), { snapshot: {}, format: null })
})

t.test('what may not, with the name, the expectation and the value', async (t) => {
  const table: Array<[string, string]> = [
    ['all=yes', 'all must be given once as 1, true, 0 or false, got "yes"'],
    ['all=toString', 'all must be given once as 1, true, 0 or false, got "toString"'],
    ['limit=0', 'limit must be given once as an integer from 1 to 10000, got "0"'],
    ['limit=10001', 'limit must be given once as an integer from 1 to 10000, got "10001"'],
    ['fd=-1', 'fd must be given once as the descriptor of a socket, an integer from 0 upwards, got "-1"'],
    ['limit=', 'limit must be given once as an integer from 1 to 10000, got ""'],
    ['limit=1e3', 'limit must be given once as an integer from 1 to 10000, got "1e3"'],
    ['site=a&site=b', 'site must be given once, with at most 1000 characters, got "a" and "b"'],
    [
      `peer=${'x'.repeat(1001)}`,
      `peer must be given once, with at most 1000 characters, got "${'x'.repeat(59)}…"`,
    ],
    ['direction=up', 'direction must be given once as one of inbound, outbound, got "up"'],
    ['verdict=constructor', `verdict must be given once as one of ${VERDICTS.join(', ')}, got "constructor"`],
    ['limit=5&limit=6', 'limit must be given once as an integer from 1 to 10000, got "5" and "6"'],
    ['after=-1', 'after must be given once as the id of a socket, an integer from 0 upwards, got "-1"'],
    [
      'after=99999999999999999',
      'after must be given once as the id of a socket, an integer from 0 upwards, got "99999999999999999"',
    ],
    ['format=xml', 'format must be given once as one of json, html, text, prometheus, got "xml"'],
    ['format=%0a%1b', 'format must be given once as one of json, html, text, prometheus, got "\\n\\u001b"'],
    [
      `after=${'9'.repeat(500)}`,
      `after must be given once as the id of a socket, an integer from 0 upwards, got "${'9'.repeat(59)}…"`,
    ],
  ]
  for (const [search, message] of table) {
    const query = parseReportQuery(search)
    t.equal(isBadParameter(query) && describeBadParameter(query), message)
  }
})

t.test('no query string breaks it', async (t) => {
  const piece = fc.constantFrom('all', 'limit', 'after', 'format', '=', '&', '%', '1', '-', '%ff', '+', ';')
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.array(piece).map((pieces) => pieces.join('')),
      ),
      (search) => {
        const query = parseReportQuery(search)
        return isBadParameter(query) || query.snapshot !== undefined
      },
    ),
  )
  t.pass()
})
