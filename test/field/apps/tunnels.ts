/** Bytes from here to there: a TCP forwarder and a forward proxy with CONNECT. */
import http, { type Server } from 'node:http'
import net from 'node:net'

export function startForwarder(port: number): net.Server {
  const server = net.createServer((client) => {
    const upstream = net.connect(port, '127.0.0.1') // leaks: forward-client-reset forward-upstream-reset
    client.pipe(upstream).pipe(client) // leaks: forward-client-reset forward-upstream-reset
    client.on('error', () => {})
    upstream.on('error', () => {})
  })
  return server.listen(0, '127.0.0.1')
}

export function startForwardProxy(port: number): Server {
  const server = http.createServer((_req, res) => {
    res.writeHead(405).end()
  })
  server.on('connect', (_req, clientSocket, head) => {
    const target = net.connect(port, '127.0.0.1', () => {
      // leaks: connect-client-reset
      clientSocket.write('HTTP/1.1 200 Connection Established\r\n\r\n') // leaks: connect-upstream-reset
      target.write(head) // leaks: connect-client-reset
      target.pipe(clientSocket) // leaks: connect-client-reset connect-upstream-reset
      clientSocket.pipe(target) // leaks: connect-client-reset connect-upstream-reset
    })
    target.on('error', () => {})
    clientSocket.on('error', () => {})
  })
  return server.listen(0, '127.0.0.1')
}
