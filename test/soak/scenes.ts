/** What both sides of a connection do in the long run: most are healthy, in every way that could look like a leak; some leak. */
import type { Socket } from 'node:net'
import type { Condition } from '../../src/index.js'

export const HEALTHY = ['echo', 'half-closed', 'slow-reader', 'waiting'] as const
export type HealthyScene = (typeof HEALTHY)[number]

/** Each leads to the condition of its name, or to a neighbour. */
export const LEAKS = [
  'eof-ignored',
  'eof-unread',
  'fin-unseen',
  'window-closed',
  'reset-unseen',
  'fin-wait',
  'write-stalled',
  'closed-unread',
  'abandoned',
  'self-connected',
] as const satisfies readonly Condition[]
export type LeakScene = (typeof LEAKS)[number]

export type SceneName = HealthyScene | LeakScene

export const TICK_MS = 200
const LARGE = Buffer.alloc(8_000_000)
const READ_SLOWLY = Buffer.alloc(200_000)

/** The guarded side. @returns what it does at every tick, if anything */
export function serve(scene: SceneName, socket: Socket): (() => void) | undefined {
  switch (scene) {
    case 'echo':
      socket.on('data', (chunk) => socket.write(chunk))
      return
    case 'half-closed':
      socket.resume()
      return () => socket.write('tick')
    case 'slow-reader':
      socket.on('data', () => socket.pause())
      return () => socket.resume()
    case 'waiting':
      socket.resume().end('your turn')
      return
    case 'eof-unread':
      socket.pause()
      return
    case 'write-stalled':
      socket.resume().end(LARGE)
      return
    case 'closed-unread':
      socket.end('bye')
      return
    case 'fin-wait':
      socket.resume().end()
      return
    case 'fin-unseen':
      // Its server pauses on connect.
      return
    case 'window-closed':
      // Nobody ever asks.
      return
    case 'abandoned':
      return
    default:
      socket.resume()
      return
  }
}

/** The peer's side. @returns what it does at every tick, if anything */
export function visit(scene: SceneName, socket: Socket): (() => void) | undefined {
  switch (scene) {
    case 'half-closed':
    case 'eof-ignored':
      socket.resume().end()
      return
    case 'waiting':
      socket.resume()
      return () => socket.write('tick')
    case 'eof-unread':
    case 'fin-unseen':
      socket.resume().end('a few bytes')
      return
    case 'window-closed':
      socket.resume().write(LARGE)
      return
    case 'reset-unseen':
      // Once the end has been read: else the reset would reach the application.
      socket.resume().end()
      setTimeout(() => socket.resetAndDestroy(), 2 * TICK_MS)
      return
    case 'write-stalled':
      socket.pause()
      return
    case 'closed-unread':
      socket.resume().once('end', () => socket.end('a few bytes'))
      return
    case 'abandoned':
      socket.write('GET /feed HTTP/1.1\r\nHost: a\r\n\r\n')
      socket.once('data', () => setTimeout(() => socket.destroy(), TICK_MS))
      return
    default:
      socket.resume()
      return
  }
}

/** What a healthy peer of this kind sends when it is asked whether its connection still works. */
export function ping(scene: HealthyScene): Buffer | null {
  if (scene === 'echo') return Buffer.from('ping')
  return scene === 'slow-reader' ? READ_SLOWLY : null
}
