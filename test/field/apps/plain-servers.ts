/** Servers without HTTP: one that greets and never listens, one that keeps its half open, one with TLS, one that ticks. */
import net from 'node:net'
import tls from 'node:tls'
import { handleDevice } from './device.js'
import { Ticker } from './ticker.js'

export function startGreeter(): net.Server {
  return net
    .createServer((socket) => {
      socket.write('220 ready when you are\r\n') // leaks: net-greeter
      socket.on('error', () => {})
    })
    .listen(0, '127.0.0.1')
}

/** Sends what it has and hangs up, without a look at what was asked. */
export function startDaytime(): net.Server {
  return net
    .createServer((socket) => {
      socket.on('error', () => {})
      socket.end(new Date().toISOString()) // leaks: net-daytime
    })
    .listen(0, '127.0.0.1')
}

export function startDevices(): net.Server {
  return net.createServer({ allowHalfOpen: true }, handleDevice).listen(0, '127.0.0.1')
}

export function startPrices(): net.Server {
  const ticker = new Ticker()
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    socket.resume()
    ticker.add(socket)
  })
  return server.listen(0, '127.0.0.1')
}

export function startSecureGreeter(certificate: { key: Buffer; cert: Buffer }): tls.Server {
  const server = tls.createServer(certificate, (socket) => {
    socket.on('error', () => {})
    socket.write('220 ready in private\r\n') // leaks: tls-greeter
  })
  return server.listen(0, '127.0.0.1')
}
