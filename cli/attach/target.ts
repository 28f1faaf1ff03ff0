/** Is it safe to send SIGUSR1? It ends a process that is not Node. Reads /proc alone. */
import { closeSync, openSync, readFileSync, readlinkSync, readSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { Failure } from '../command.js'

/** In the executable of every Node since 19.7 (src/node_sea.cc). */
const MARK_OF_NODE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'
const CHUNK_BYTES = 1 << 20
const SIGUSR1_BIT = 1n << 9n

/** Throws a `Failure` that says why not. `file` is what the process must be able to read. */
export function checkTarget(pid: number, file: string): void {
  const status = statusOf(pid)
  const uid = fieldOf(status, 'Uid').split(/\s+/)[1]
  if (fieldOf(status, 'Tgid') !== String(pid)) throw new Failure(`${pid} is a thread, not a process`)
  if (/^[ZX]/.test(fieldOf(status, 'State'))) throw new Failure(`process ${pid} has ended`)
  const own = process.geteuid?.()
  if (own !== 0 && String(own) !== uid) {
    throw new Failure(
      `process ${pid} belongs to another user (uid ${uid}): run this as that user, or as root`,
    )
  }
  if (!isNode(pid))
    throw new Failure(`process ${pid} is not Node (${exeOf(pid)}); "scan ${pid}" looks at any process`)
  refuseOtherContainer(pid, file)
}

/** Why the signal that opens the inspector can't be sent; call right before it is sent. */
export function checkSignal(pid: number): void {
  if (caught(pid)) return
  throw new Failure(
    `process ${pid} does not listen to SIGUSR1, which would end it: its inspector is disabled ` +
      '(--disable-sigusr1), or it is still starting. Start it with --inspect, or with socket-leak-guard/register',
  )
}

function caught(pid: number): boolean {
  return (BigInt(`0x${fieldOf(statusOf(pid), 'SigCgt')}`) & SIGUSR1_BIT) !== 0n
}

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'latin1')
  } catch {
    throw new Failure(`there is no process ${pid}`)
  }
}

function fieldOf(status: string, name: string): string {
  return new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1]?.trim() ?? ''
}

function exeOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/exe`)
  } catch {
    throw new Failure(`process ${pid} can't be looked into: run this as its user, or as root`)
  }
}

function isNode(pid: number): boolean {
  exeOf(pid)
  // Debian's node is a small program around libnode.so.
  return (
    /\/libnode\.so/.test(readFileSync(`/proc/${pid}/maps`, 'latin1')) ||
    contains(`/proc/${pid}/exe`, MARK_OF_NODE)
  )
}

function contains(path: string, mark: string): boolean {
  const fd = openSync(path, 'r')
  try {
    const chunk = Buffer.alloc(CHUNK_BYTES + mark.length)
    for (let kept = 0; ;) {
      const read = readSync(fd, chunk, kept, CHUNK_BYTES, null)
      if (chunk.subarray(0, kept + read).includes(mark)) return true
      if (read === 0) return false
      const rest = chunk.subarray(Math.max(0, kept + read - mark.length), kept + read)
      kept = rest.copy(chunk)
    }
  } finally {
    closeSync(fd)
  }
}

function refuseOtherContainer(pid: number, file: string): void {
  const advice = 'install and run socket-leak-guard inside (docker exec, nsenter)'
  if (readlinkSync(`/proc/${pid}/ns/net`) !== readlinkSync('/proc/self/ns/net')) {
    throw new Failure(
      `process ${pid} is in another network namespace, where its inspector listens: ${advice}`,
    )
  }
  try {
    const [theirs, ours] = [statSync(`/proc/${pid}/root${file}`), statSync(file)]
    if (theirs.ino === ours.ino && theirs.dev === ours.dev) return
  } catch {}
  throw new Failure(`process ${pid} does not see ${file}: ${advice}`)
}

/** The port that it would open, as far as its command line and environment tell. */
export function inspectorPortOf(pid: number): number {
  const given = ['cmdline', 'environ'].map((name) => readFileSync(`/proc/${pid}/${name}`, 'utf8')).join('\0')
  const port = /--(?:inspect-port|debug-port|inspect(?:-brk|-wait)?)[= \0](?:[^\s\0:]*:)?(\d+)/.exec(
    given,
  )?.[1]
  return port === undefined ? 9229 : Number(port)
}

export async function isPortTaken(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(true))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(false)))
  })
}
