import { chmodSync, lstatSync, unlinkSync } from 'node:fs'
import { Socket } from 'node:net'
import type { ReportSockets } from './report-sockets.js'

export interface SocketFile {
  readonly path: string
  readonly dev: number
  readonly ino: number
  readonly removeAtExit: () => void
}

const CONNECT_MS = 2_000

/** Connecting needs write permission (unix(7)). The umask would affect files of other threads. */
export function keepSocketFile(path: string): SocketFile {
  chmodSync(path, 0o600)
  const { dev, ino } = lstatSync(path)
  const file: SocketFile = { path, dev, ino, removeAtExit: () => unlinkIfOurs(file) }
  // A path with %p is not used again, so nobody would find it stale.
  process.on('exit', file.removeAtExit)
  return file
}

/** libuv unlinks the file too (uv__pipe_close()), so the path may belong to another server now. */
export function removeSocketFile(file: SocketFile): void {
  process.off('exit', file.removeAtExit)
  unlinkIfOurs(file)
}

export async function isStaleSocketFile(path: string, sockets: ReportSockets): Promise<boolean> {
  try {
    const before = lstatSync(path)
    if (!before.isSocket() || !(await isRefused(path, sockets))) return false
    const { dev, ino } = lstatSync(path)
    if (dev !== before.dev || ino !== before.ino) return false
    unlinkSync(path)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
  }
}

function unlinkIfOurs({ path, dev, ino }: SocketFile): void {
  try {
    const now = lstatSync(path)
    if (now.dev === dev && now.ino === ino) unlinkSync(path)
  } catch {
    // Already gone.
  }
}

function isRefused(path: string, sockets: ReportSockets): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = new Socket()
    // Before connecting, which makes trackers adopt the socket.
    sockets.add(socket)
    function settle(answer: boolean): void {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => settle(false))
    socket.once('error', (error: NodeJS.ErrnoException) => settle(error.code === 'ECONNREFUSED'))
    socket.setTimeout(CONNECT_MS, () => settle(false))
    socket.connect(path)
  })
}
