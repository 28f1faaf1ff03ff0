import t from 'tap'
import { foldName, foldPath } from '../../src/owner/site.js'

const PATHS: readonly (readonly [path: string, site: string])[] = [
  ['/item/1000/photo', '/item/:id/photo'],
  ['/feed/0', '/feed/:id'],
  ['/', '/'],
  ['', ''],
  ['/chat/', '/chat/'],
  ['/users/550e8400-e29b-41d4-a716-446655440000', '/users/:id'],
  ['/orders/507f1f77bcf86cd799439011/lines', '/orders/:id/lines'],
  ['/blobs/DEADBEEF01', '/blobs/:id'],
  ['/events/01ARZ3NDEKTSV4RRFFQ69G5FAV', '/events/:id'],
  ['/s/V1StGXR8_Z5jdHi6B-myT', '/s/:id'],
  ['/echo/000/abc1x2z8/websocket', '/echo/:id/:id/websocket'],
  ['/room-17', '/room-:id'],
  ['/room:17', '/room::id'],
  ['/room%3A17', '/room%3A:id'],
  ['/session-550e8400-e29b-41d4-a716-446655440000', '/session-:id'],
  ['/reports/2024-03-01.pdf', '/reports/:id.pdf'],
  ['/tiles/12/654/1583.png', '/tiles/:id/:id/:id.png'],
  // Words, also with a number in them.
  ['/item/new', '/item/new'],
  ['/api/v1/health', '/api/v1/health'],
  ['/oauth2/token', '/oauth2/token'],
  ['/deadbeef', '/deadbeef'],
  ['/decade/facade', '/decade/facade'],
  ['/users/:id', '/users/:id'],
  ['/base64/bootstrap5/windows1252', '/base64/bootstrap5/windows1252'],
  // Absolute targets, whose host is no path.
  ['http://10.0.0.5:8080/item/7', 'http://10.0.0.5:8080/item/:id'],
  ['*', '*'],
]

t.test('an id in a path is no site of its own', async (t) => {
  for (const [path, site] of PATHS) t.equal(foldPath(path), site, path)
  for (const [, site] of PATHS) t.equal(foldPath(site), site, `${site} stays`)
})

t.test('a name with a method before its path', async (t) => {
  t.equal(foldName('GET /item/7'), 'GET /item/:id')
  for (const other of ['', 'job 7', 'CONNECT 10.0.0.5:443', '/item/7']) t.equal(foldName(other), other)
})
