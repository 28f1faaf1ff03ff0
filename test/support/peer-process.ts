/**
 * The other end of the wire, in a process of its own: it does what it is told over IPC and says what it sees.
 * Not a test file: forked by `peer.ts`.
 */
import { createRequire } from 'node:module'
import net from 'node:net'
import tls from 'node:tls'
import { CERTIFICATE } from './certificate.js'
import type { PeerCommand, PeerEvent } from './peer.js'

const sockets = new Map<number, net.Socket>()
const servers = new Map<number, net.Server>()

function tell(event: PeerEvent): void {
  process.send?.(event)
}

function watch(id: number, socket: net.Socket): void {
  sockets.set(id, socket)
  let received = 0
  socket.on('data', (chunk: Buffer) => {
    received += chunk.length
    tell({ id, event: 'data', bytes: received, text: chunk.subarray(0, 2000).toString('latin1') })
  })
  socket.on('end', () => tell({ id, event: 'end' }))
  socket.on('error', (error: NodeJS.ErrnoException) =>
    tell({ id, event: 'error', code: error.code ?? error.message }),
  )
  socket.on('close', () => tell({ id, event: 'close' }))
}

/** How long the kernel keeps this connection in FIN_WAIT2 once the process is gone (TCP_LINGER2, tcp(7)). */
function setLinger2(socket: net.Socket, seconds: number): void {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi')
  const setsockopt = koffi.load(null).func('int setsockopt(int, int, int, const int *, uint32_t)')
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle
  if (setsockopt(fd, 6, 8, [seconds], 4) !== 0) throw new Error('setsockopt(TCP_LINGER2) failed')
}

/** `resetAndDestroy()` refuses TLS. */
function reset(socket: net.Socket): void {
  if (!(socket instanceof tls.TLSSocket)) {
    socket.resetAndDestroy()
    return
  }
  const tcp = (socket as unknown as { _handle: { _parent: { close: unknown; reset(): void } } | null })
    ._handle?._parent
  if (tcp !== undefined) tcp.close = () => tcp.reset()
  socket.destroy()
}

/** Of a text each character is a byte. */
function bytesOf({ text, bytes = 0 }: { readonly text?: string; readonly bytes?: number }): Buffer {
  return text === undefined ? Buffer.alloc(bytes, 0x78) : Buffer.from(text, 'latin1')
}

function obey(command: PeerCommand): void {
  const { id } = command
  const socket = sockets.get(id)
  switch (command.do) {
    case 'connect': {
      const options = { port: command.port, host: command.host ?? '127.0.0.1', allowHalfOpen: true }
      const made =
        command.tls === true ? tls.connect({ ...options, rejectUnauthorized: false }) : net.connect(options)
      watch(id, made)
      if (command.paused === true) made.pause()
      made.once(command.tls === true ? 'secureConnect' : 'connect', () => {
        if (command.linger2 !== undefined) setLinger2(made, command.linger2)
        tell({ id, event: 'connected', port: made.localPort ?? 0 })
      })
      return
    }
    case 'listen': {
      const onAccepted = (accepted: net.Socket): void => {
        watch(id, accepted)
        if (command.paused === true) accepted.pause()
        tell({ id, event: 'connected', port: accepted.remotePort ?? 0 })
      }
      const server =
        command.tls === true
          ? tls.createServer(CERTIFICATE, onAccepted)
          : net.createServer({ allowHalfOpen: true }, onAccepted)
      servers.set(id, server)
      server.listen(0, '127.0.0.1', () =>
        tell({ id, event: 'listening', port: (server.address() as net.AddressInfo).port }),
      )
      return
    }
    case 'write':
      socket?.write(bytesOf(command), () => tell({ id, event: 'written' }))
      return
    case 'end':
      if (command.text === undefined) socket?.end()
      else socket?.end(command.text)
      return
    case 'reset':
      if (socket !== undefined) reset(socket)
      return
    case 'destroy':
      socket?.destroy()
      return
    case 'pause':
      socket?.pause()
      return
    case 'resume':
      socket?.resume()
      return
    case 'settle':
      // libuv shuts down and writes within a turn of its loop.
      setImmediate(() => setImmediate(() => tell({ id, event: 'settled' })))
      return
  }
}

process.on('message', obey)
process.on('disconnect', () => process.exit())
