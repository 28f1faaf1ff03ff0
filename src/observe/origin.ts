/** In whose work a socket was opened, used and touched. Only sockets of which somebody wants to know have one. */
import type { ServedRequest } from './context/served-request.js'
import type { Context } from './context/source.js'
import type { Flow } from './pairs/flow.js'
import type { Left } from './pairs/left.js'
import type { Accesses, Capture } from './stacks/stacks.js'
import type { TrackedSocket } from './tracked-socket.js'

/** The part of a request of undici that names it. */
export interface UndiciRequest {
  readonly method?: unknown
  readonly path?: unknown
  readonly origin?: unknown
  readonly completed?: unknown
  readonly aborted?: unknown
}

/** One request on a connection of undici. */
export interface Exchange {
  readonly request: UndiciRequest
  readonly context: Context | null
  readonly stack: Capture | null
}

export class Origin {
  /** That of the opening; with `node:http`, that of the last request, because a pooled socket changes hands. */
  context: Context | null = null
  /** Bytes that had moved when the request in which it was opened was answered; -1 before that, and without one. */
  movedWhenAnswered = -1
  /** The request being served on an accepted socket: to be let go of in time. */
  serving: ServedRequest | null = null
  /** Requests under way on a connection of undici, oldest first; `null` for any other socket. */
  exchanges: Exchange[] | null = null
  /** A request of `node:http` got it from an agent, so the stack of its creation may be another's. */
  isAssigned = false
  /** The other connection of its pair has gone. */
  left: Left | null = null
  /** How fast bytes move; `null` unless somebody wants to know. */
  flow: Flow | null = null
  /** `null` unless this socket's stacks are recorded. */
  accesses: Accesses | null = null
}

export function originOf(record: TrackedSocket): Origin {
  return (record.origin ??= new Origin())
}
