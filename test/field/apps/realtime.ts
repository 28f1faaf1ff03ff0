/** What a chat server does with 'upgrade', by hand: tickers, feeds, refusals, and sockets that it has no use for. */
import http, { type Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { readFeed } from './feed.js'
import { Ticker } from './ticker.js'

const SWITCHING = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: feed\r\nConnection: Upgrade\r\n\r\n'

export function startRealtime(): Server {
  const ticker = new Ticker()
  const kept: Duplex[] = []
  const server = http.createServer((_req, res) => {
    res.end('hello')
  })
  server.on('upgrade', (req, socket) => {
    const { pathname } = new URL(req.url ?? '/', 'http://localhost')
    socket.on('error', () => {})
    if (pathname === '/private') {
      socket.end('HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n') // leaks: upgrade-refused
    } else if (pathname.startsWith('/feeds/')) {
      socket.write(SWITCHING) // leaks: upgrade-feed
      void readFeed(socket) // leaks: upgrade-feed
    } else if (pathname === '/prices') {
      socket.write(SWITCHING) // leaks: upgrade-ticker
      ticker.add(socket)
    } else {
      kept.push(socket)
    }
  })
  return server.listen(0, '127.0.0.1') // leaks: upgrade-forgotten
}
