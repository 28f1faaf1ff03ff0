/**
 * What an outgoing connection does at this moment, and for whom. A pool gives the same socket to one piece of work after the
 * other, so the work in which it was opened says nothing about the work that leaks it.
 */
import { readField, readText } from '../core/foreign.js'
import type { RequestInfo } from '../core/report.js'
import { bytesMoved, clientRequestOf, isHeldByAgent, isTls } from '../socket/fields.js'
import { isHeldByUndici, undiciRequestOn } from '../socket/undici.js'
import type { SocketRecord } from '../socket/record.js'
import type { Context } from './context/source.js'
import { Work } from './context/work.js'
import { withoutQuery, withoutUser } from './request-name.js'
import type { Capture } from './stacks/recorder.js'

const LONGEST_NAME = 1000

/** In whose work a connection was opened, or a request was made. */
export interface Maker {
  readonly context: Context | null
  readonly stack: Capture | null
}

/** In whose work a connection was opened. */
export class Opener {
  readonly context: Context
  /** Bytes that had moved when the request was over; -1 while it is not, or where nobody saw it. */
  movedWhenOver = -1
  /** All that were opened for the same connection, while its request is not over. */
  siblings: Set<SocketRecord> | null = null

  constructor(context: Context) {
    this.context = context
  }
}

/** Who made the requests that are under way: kept beside them, for as long as they live. */
export type Makers = Pick<WeakMap<object, Maker>, 'get'>

export interface OutgoingUse {
  /** The request that it carries, of `node:http` or undici. */
  readonly message: object | null
  readonly request: RequestInfo | null
  readonly context: Context | null
  /** Which stack led here: that of the opening, or that of the request. */
  readonly stack: Capture | 'created' | null
}

/** Nobody's for the moment: the next user of a pooled connection must not be blamed for the last one's. */
const IDLE: OutgoingUse = { message: null, request: null, context: null, stack: null }

export function outgoingUseOf(record: SocketRecord, makers: Makers): OutgoingUse {
  const { socket } = record
  const message = clientRequestOf(socket)
  if (message !== null) {
    // On its first request, whoever opened the connection made the request.
    const isFirst = readField(message, 'reusedSocket') === false
    const origin = `${isTls(socket) ? 'https' : 'http'}://${hostOf(message)}`
    return useOf(message, origin, makers, isFirst ? openerOf(record) : null)
  }
  const fetched = undiciRequestOn(socket)
  if (fetched !== null) return useOf(fetched, originOf(fetched), makers, null)
  if (isHeldByAgent(socket) || isHeldByUndici(socket)) return IDLE
  return { message: null, request: null, context: openerOf(record), stack: 'created' }
}

function useOf(message: object, origin: string, makers: Makers, opener: Context | null): OutgoingUse {
  const maker = makers.get(message)
  const request = nameOutgoing(message, origin)
  if (maker === undefined)
    return { message, request, context: opener, stack: opener === null ? null : 'created' }
  return { message, request, ...maker }
}

function nameOutgoing(message: object, origin: string): RequestInfo | null {
  const method = readText(message, 'method')
  const path = readText(message, 'path')
  if (method === null || path === null) return null
  return {
    method: method.slice(0, LONGEST_NAME),
    path: withoutQuery(path).slice(0, LONGEST_NAME),
    origin: withoutUser(origin).slice(0, LONGEST_NAME),
  }
}

/** The name that the application asked for: the header has the port too, unless it is the scheme's own. */
function hostOf(message: object): string {
  try {
    const header = (message as { getHeader?(name: string): unknown }).getHeader?.('host')
    if (typeof header === 'string') return header
  } catch {
    // Its own host does as well.
  }
  return readText(message, 'host') ?? ''
}

/** undici takes a URL as well. */
function originOf(request: object): string {
  const origin = readField(request, 'origin')
  return origin instanceof URL ? origin.origin : (readText(request, 'origin') ?? '')
}

/**
 * A connection that moves bytes after the request that opened it is over may be a database's, in a pool, and those bytes
 * anybody's. The queries of others wait in the driver, so nothing that touches the socket tells whose they are.
 */
function openerOf({ socket, opener }: SocketRecord): Context | null {
  if (!(opener instanceof Opener)) return null
  const { context, movedWhenOver } = opener
  const isUnderWay = movedWhenOver === -1 && !(context instanceof Work && context.isOver())
  return isUnderWay || bytesMoved(socket) === Math.max(0, movedWhenOver) ? context : null
}

/** Does it carry a request of `node:http`, undici or `fetch()` right now? */
export function isInHttpUse({ socket }: SocketRecord): boolean {
  return clientRequestOf(socket) !== null || undiciRequestOn(socket) !== null
}
