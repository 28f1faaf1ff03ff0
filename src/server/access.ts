// Who may read a report: the holder of the token, or without a token this machine. Then the connection must come over
// loopback or a unix socket, and:
// - the Host header must name loopback, because another site's name may resolve to 127.0.0.1 (DNS rebinding)
// - an Origin header must be ours, even under a CORS middleware
// - no proxy may show in the headers. Without headers it looks like a local client, so a mounted report needs more.
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Server } from 'node:net'
import { SocketLeakGuardError, describeValue } from '../base/errors.js'
import { makePrintable } from '../report/printable.js'
import { isLoopbackAddress } from './address.js'

export interface Refusal {
  readonly status: 401 | 403
  readonly message: string
}

export type AccessCheck = (request: IncomingMessage) => Refusal | null

const NO_TOKEN: Refusal = {
  status: 401,
  message: 'This report needs a bearer token: send the header "authorization: Bearer <token>".',
}
const NOT_ALLOWED: Refusal = { status: 403, message: 'This application does not let you read its report.' }
const PROXY_HEADERS = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'via'] as const

export interface AccessRules {
  readonly token?: string | null | undefined
  readonly allow?: ((request: IncomingMessage) => boolean) | undefined
}

export function createAccessCheck({ token = null, allow }: AccessRules): AccessCheck {
  const checkToken = token === null ? null : createTokenCheck(token)
  if (allow === undefined) return checkToken ?? checkLocality
  return (request) => checkToken?.(request) ?? (allow(request) ? null : NOT_ALLOWED)
}

function createTokenCheck(token: string): AccessCheck {
  if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token)) {
    // The message may end in a log.
    const got =
      typeof token === 'string' ? `${token === '' ? 'an empty' : 'another'} string` : describeValue(token)
    throw new SocketLeakGuardError(
      'SLG_ERR_INVALID_OPTION',
      `token must be a string of visible ASCII characters without spaces, got ${got}`,
    )
  }
  const expected = digest(token)
  return function checkToken(request) {
    const presented = /^bearer +([\x21-\x7e]+) *$/i.exec(request.headers.authorization ?? '')?.[1]
    // Equal digest lengths, so that the comparison does not tell the token's.
    return presented !== undefined && timingSafeEqual(digest(presented), expected) ? null : NO_TOKEN
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

function checkLocality(request: IncomingMessage): Refusal | null {
  const { headers } = request
  const isPipe = isOnPipe(request)
  if (!isPipe && !isLoopbackAddress(request.socket.remoteAddress))
    return refuse('it came from another machine')
  const proxyHeader = PROXY_HEADERS.find((name) => headers[name] !== undefined)
  if (proxyHeader !== undefined) return refuse(`it came through a proxy (header ${proxyHeader})`)
  const host = headers.host ?? headers[':authority']?.toString()
  if (!isPipe && !isLoopbackHost(host)) return refuse(`its Host header is ${quote(host)}`)
  if (headers.origin !== undefined && hostOf(headers.origin) !== host?.toLowerCase())
    return refuse(`its Origin header is ${quote(headers.origin)}`)
  return null
}

function refuse(reason: string): Refusal {
  return {
    status: 403,
    message:
      `Without a token this report is only for this machine, by a loopback address or name. This request is refused: ${reason}. ` +
      'To read it from elsewhere, set a token (option reportToken).',
  }
}

function quote(value: string | undefined): string {
  return value === undefined ? 'missing' : `"${makePrintable(value, 100)}"`
}

// A wrapped stream or a reset connection has no remote address either, so the server's address must be a path.
// `socket.server`: lib/net.js onconnection(), lib/_http_server.js connectionListenerInternal() (Node 20 to 26).
function isOnPipe(request: IncomingMessage): boolean {
  const { server } = request.socket as { server?: Server | null }
  return request.socket.remoteAddress === undefined && typeof server?.address?.() === 'string'
}

/** `localhost`, a name below it (RFC 6761, section 6.3), or a loopback address, with or without a port. */
function isLoopbackHost(host: string | undefined): boolean {
  const name = /^(\[[^\]]*\]|[^:]*)(?::\d*)?$/.exec(host ?? '')?.[1]?.toLowerCase()
  if (name === undefined) return false
  if (name === 'localhost' || name.endsWith('.localhost')) return true
  return isLoopbackAddress(name.startsWith('[') ? name.slice(1, -1) : name)
}

function hostOf(origin: string): string | null {
  return URL.canParse(origin) ? new URL(origin).host : null
}
