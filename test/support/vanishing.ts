/** What the two hosts of test/integration/vanished-host.test.ts play with each other, and how each side plays it. */
import type { Duplex } from 'node:stream'
import type { Socket } from 'node:net'

export const KINDS = ['server', 'upgraded', 'tls-server', 'client', 'tls-client'] as const
export type Kind = (typeof KINDS)[number]

export const SCENES = [
  'eof-ignored',
  'eof-unread',
  'fin-unseen',
  'window-closed',
  'fin-wait',
  'write-stalled',
  'closed-unread',
  'idle',
  'idle-probed',
] as const
export type SceneName = (typeof SCENES)[number]

const MORE_THAN_ALL_BUFFERS = Buffer.alloc(16_000_000)

/** Of the host with the guard. Nobody listens for errors. */
export function play(socket: Socket, scene: SceneName): void {
  switch (scene) {
    case 'eof-unread':
    case 'fin-unseen':
    case 'window-closed':
      socket.pause()
      return
    case 'fin-wait':
      socket.resume().end()
      return
    case 'write-stalled':
      socket.resume().end(MORE_THAN_ALL_BUFFERS)
      return
    case 'closed-unread':
      socket.pause().end('go')
      return
    default:
      socket.resume()
  }
}

/** Of the host that vanishes. */
export function playAgainst(socket: Duplex, scene: SceneName): void {
  socket.on('error', () => {})
  switch (scene) {
    case 'eof-ignored':
      socket.resume().end()
      return
    case 'eof-unread':
      socket.resume().end('a few bytes')
      return
    case 'fin-unseen':
      socket.resume().end(Buffer.alloc(150_000))
      return
    case 'window-closed':
      socket.resume().write(MORE_THAN_ALL_BUFFERS)
      return
    case 'write-stalled':
      socket.pause()
      return
    case 'closed-unread':
      if (socket.readableEnded) socket.end('a few bytes')
      else socket.resume().once('end', () => socket.end('a few bytes'))
      return
    default:
      socket.resume()
  }
}
