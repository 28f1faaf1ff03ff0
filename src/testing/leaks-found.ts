import { formatEndpoint } from '../core/endpoint.js'
import { formatDuration } from '../core/format.js'
import type { SocketReport } from '../core/report.js'
import { SocketLeakGuardError } from '../base/errors.js'
import type { Guard } from '../guard/guard.js'
import type { LeaksFoundError } from './index.js'

const LISTED_AT_MOST = 20
const FRAMES_AT_MOST = 4

const LOCATED_AT_MOST = 5

// What is reported no longer keeps the process alive, so that the runner can end. Runners print the code at `frames`.
export function leaksFound(sockets: readonly SocketReport[], guard: Guard, frames: string): LeaksFoundError {
  const title =
    sockets.length === 1 ? '1 socket was left behind:' : `${sockets.length} sockets were left behind:`
  const lines = sockets.slice(0, LISTED_AT_MOST).map((socket, i) => {
    const code = socket.owner.stack ?? (i < LOCATED_AT_MOST ? locate(guard, socket.id) : [])
    return `  - ${describeLeak(socket, code)}`
  })
  if (sockets.length > LISTED_AT_MOST) lines.push(`  - and ${sockets.length - LISTED_AT_MOST} more`)
  const error = new SocketLeakGuardError('SLG_ERR_LEAKS_FOUND', [title, ...lines].join('\n'))
  Object.defineProperty(error, 'sockets', { value: sockets })
  error.stack = `${error.name}: ${error.message}${frames}`
  for (const { id } of sockets) shielded(() => guard.adapter.socketOf(id)?.unref())
  return error as LeaksFoundError
}

export function framesAbove(called: () => Promise<void>): string {
  const place: { stack?: unknown } = {}
  // What the application's `Error.prepareStackTrace` makes of it, which may throw.
  const stack = shielded(() => {
    Error.captureStackTrace(place, called)
    return place.stack
  })
  const start = typeof stack === 'string' ? stack.indexOf('\n    at ') : -1
  return start === -1 ? '' : (stack as string).slice(start)
}

function describeLeak(socket: SocketReport, code: readonly string[]): string {
  const text = socket.condition === null ? describeOpen(socket) : socket.diagnosis
  const lines = code.slice(0, FRAMES_AT_MOST)
  return [text, ...lines.map((line) => `      ${line.trim()}`)].join('\n')
}

/** Without a stack, as of a socket that is older than the guard: the functions that hold it. */
function locate(guard: Guard, id: number): readonly string[] {
  return (
    shielded(() => guard.locate(id).code.map(({ how, name, place }) => `${how} -> ${name}: ${place}`)) ?? []
  )
}

/** The socket may be gone, or the guard of another version of this package. */
function shielded<T>(ask: () => T): T | null {
  try {
    return ask()
  } catch {
    return null
  }
}

function describeOpen({ direction, kind, owner, remote, sinceMs }: SocketReport): string {
  const label = owner.label === null ? '' : ` "${owner.label}"`
  const from = direction === 'outbound' || remote === null ? '' : ` from ${formatEndpoint(remote)}`
  return `${direction === 'inbound' ? 'Inbound' : 'Outgoing'} ${kind} socket${label}, ${owner.site}${from}: still open, first seen ${formatDuration(sinceMs)} ago`
}
