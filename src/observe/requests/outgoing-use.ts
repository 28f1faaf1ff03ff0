import type { RequestInfo } from '../../core/report.js'
import { readField, readText } from '../../core/foreign.js'
import { withoutQuery } from './attribution.js'
import { valuesOf } from '../context/source.js'
import { isUnderWay } from './outgoing-requests.js'
import { bytesMoved, clientRequestOf, isHeldByAgent, isTls } from '../socket-fields.js'
import type { Capture } from '../stacks/stacks.js'
import type { TrackedSocket } from '../tracked-socket.js'

const LONGEST_NAME = 1000

/** What an outgoing connection does at this moment, and for whom. */
export interface OutgoingUse {
  readonly request: RequestInfo | null
  readonly context: Readonly<Record<string, string>> | null
  /** Which stack led here: that of the opening, of an assignment by an agent, or one of its own. */
  readonly stack: Capture | 'opening' | 'assignment' | null
}

/** Nobody's for the moment: the next user of a pooled connection must not be blamed for the last one's. */
const IDLE: OutgoingUse = { request: null, context: null, stack: null }

export function outgoingUseOf(record: TrackedSocket): OutgoingUse {
  const { socket, origin } = record
  if (origin?.exchanges != null) {
    const exchange = origin.exchanges.find(isUnderWay)
    if (exchange === undefined) return IDLE
    const { request, context, stack } = exchange
    const named = nameRequest(request, originOf(request))
    return { request: named, context: valuesOf(context), stack }
  }
  const context = origin === null ? null : valuesOf(origin.context)
  const message = clientRequestOf(socket) as ClientRequestLike | null
  if (message !== null) {
    const target = `${isTls(socket) ? 'https' : 'http'}://${hostOf(message)}`
    return { request: nameRequest(message, target), context, stack: 'assignment' }
  }
  if (isHeldByAgent(socket)) return IDLE
  // Upgraded or taken over.
  if (origin?.isAssigned === true) return { request: null, context, stack: 'assignment' }
  // Never anything but a plain connection.
  return { request: null, context: isUsedByOthers(record) ? null : context, stack: 'opening' }
}

/**
 * A connection that moves bytes after the request that opened it has its answer: a database's, in a pool, and those may be
 * anybody's. The queries of others wait in the driver, so nothing that touches the socket tells whose they are.
 */
function isUsedByOthers({ socket, origin }: TrackedSocket): boolean {
  const before = origin?.movedWhenAnswered ?? -1
  return before !== -1 && bytesMoved(socket) !== before
}

/** Does it carry a request of `node:http`, undici or `fetch()` right now? */
export function isInHttpUse({ socket, origin }: TrackedSocket): boolean {
  return origin?.exchanges?.some(isUnderWay) === true || clientRequestOf(socket) !== null
}

interface ClientRequestLike {
  readonly method?: unknown
  readonly path?: unknown
  readonly host?: unknown
  getHeader?(name: string): unknown
}

/** The name that the application asked for: the header has the port too, unless it is the scheme's own. */
function hostOf(message: ClientRequestLike): string {
  try {
    const header = message.getHeader?.('host')
    if (typeof header === 'string') return header
  } catch {
    // Then the name that the socket was opened for.
  }
  return readText(message, 'host') ?? ''
}

/** undici takes a URL as well. */
function originOf(request: object): string {
  const origin = readField(request, 'origin')
  return origin instanceof URL ? origin.origin : (readText(request, 'origin') ?? '')
}

function nameRequest(request: object, origin: string): RequestInfo | null {
  const method = readText(request, 'method')
  const path = readText(request, 'path')
  if (method === null || path === null) return null
  return {
    method: method.slice(0, LONGEST_NAME),
    path: withoutUser(withoutQuery(path)).slice(0, LONGEST_NAME),
    origin: withoutUser(origin).slice(0, LONGEST_NAME),
  }
}

/** `http://user:secret@host/`, as a proxy may be asked: who asks is nobody's business. */
function withoutUser(target: string): string {
  return target.replace(/^([a-z][a-z\d+.-]*:\/\/)[^/@]*@/i, '$1')
}
