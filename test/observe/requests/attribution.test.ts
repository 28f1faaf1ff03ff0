import fc from 'fast-check'
import t from 'tap'
import {
  Attribution,
  releaseRequest,
  requestInfoOf,
  routePatternOf,
  withoutQuery,
  type RequestLike,
} from '../../../src/observe/requests/attribution.js'

function serving(request: RequestLike | null): Attribution {
  const attribution = new Attribution()
  attribution.request = request
  return attribution
}

/** As it is while the request is served, and after it was let go of. */
function bothOf(request: RequestLike): readonly [string, Attribution][] {
  const released = serving(request)
  releaseRequest(released)
  return [
    ['being served', serving(request)],
    ['released', released],
  ]
}

t.test('nobody said anything', async (t) => {
  const attribution = serving(null)
  t.equal(requestInfoOf(attribution), null)
  t.equal(routePatternOf(attribution), '')
  releaseRequest(attribution)
  t.equal(requestInfoOf(attribution), null, 'letting go of nothing keeps nothing')
})

t.test('the request is named, and the name outlives the request', async (t) => {
  const table: readonly [request: RequestLike, method: string, path: string, route: string][] = [
    [{ method: 'GET', url: '/' }, 'GET', '/', ''],
    [{ method: 'GET', url: '/chat' }, 'GET', '/chat', ''],
    [{ method: 'POST' }, 'POST', '', ''],
    [{ method: 'CONNECT', url: 'example.org:443' }, 'CONNECT', 'example.org:443', ''],
    [{ method: 'GET', url: '/7', originalUrl: '/users/7' }, 'GET', '/users/7', ''],
    [{ method: 'GET', url: '/7', originalUrl: 42 }, 'GET', '/7', ''],
    [{ method: 'GET', url: '/users/7', route: { path: '/users/:id' } }, 'GET', '/users/7', '/users/:id'],
    [
      { method: 'GET', url: '/7', originalUrl: '/users/7', baseUrl: '/users', route: { path: '/:id' } },
      'GET',
      '/users/7',
      '/users/:id',
    ],
    [
      { method: 'GET', url: '/', originalUrl: '/users', baseUrl: '/users', route: { path: '/' } },
      'GET',
      '/users',
      '/users',
    ],
    [{ method: 'GET', url: '/', baseUrl: '', route: { path: '/' } }, 'GET', '/', '/'],
    [{ method: 'GET', url: '/a', baseUrl: 3, route: { path: '/a' } }, 'GET', '/a', '/a'],
    [{ method: 'GET', url: '/a', route: { path: /^\/a/ } }, 'GET', '/a', ''],
    [{ method: 'GET', url: '/a', route: {} }, 'GET', '/a', ''],
  ]
  for (const [request, method, path, route] of table) {
    for (const [when, attribution] of bothOf(request)) {
      const name = `${when}: ${method} ${path}`
      t.same(requestInfoOf(attribution), { method, path }, name)
      t.equal(routePatternOf(attribution), route, name)
    }
  }
})

t.test('a released request can be collected', async (t) => {
  const attribution = serving({ method: 'GET', url: '/chat' })
  releaseRequest(attribution)
  t.equal(attribution.request, null)
})

t.test('the last request counts: the next one takes over', async (t) => {
  const attribution = serving({ method: 'GET', url: '/first', route: { path: '/first' } })
  releaseRequest(attribution)
  attribution.request = { method: 'PUT', url: '/second' }
  t.same(requestInfoOf(attribution), { method: 'PUT', path: '/second' })
  t.equal(routePatternOf(attribution), '')
})

t.test('a query is cut off', async (t) => {
  t.equal(withoutQuery('/chat?token=secret'), '/chat')
  t.equal(withoutQuery('http://example.org/a?b=c'), 'http://example.org/a')
  t.equal(withoutQuery('/chat#fragment?x'), '/chat')
  t.equal(withoutQuery('?only'), '')
  t.equal(withoutQuery('/plain'), '/plain')
})

t.test('credentials in a target are cut out', async (t) => {
  t.equal(withoutQuery('http://user:secret@example.org/a'), 'http://example.org/a')
  t.equal(withoutQuery('HTTPS://user:se@cret@example.org/a@b?c'), 'HTTPS://example.org/a@b')
  t.equal(withoutQuery('/users/a@example.org'), '/users/a@example.org')
  t.equal(withoutQuery('/proxy/http://a@b/'), '/proxy/http://a@b/')
  t.equal(withoutQuery('example.org:443'), 'example.org:443')
})

t.test('no query is ever shown', async () => {
  const target = fc.tuple(
    fc.constantFrom('/', '/a/b', 'http://h/p', ''),
    fc.constantFrom('?', '#'),
    fc.string(),
  )
  fc.assert(
    fc.property(target, fc.boolean(), ([before, mark, after], usesOriginal) => {
      const secret = `SECRET${after}`
      const url = before + mark + secret
      const request = usesOriginal ? { method: 'GET', url: '/x', originalUrl: url } : { method: 'GET', url }
      return bothOf(request).every(
        ([, attribution]) =>
          !JSON.stringify([requestInfoOf(attribution), routePatternOf(attribution)]).includes('SECRET'),
      )
    }),
  )
})
