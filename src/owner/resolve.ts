/** The one place that decides who owns a socket. Runs once for each look and changes nothing. */
import { readField, readText } from '../core/foreign.js'
import { addressOf } from '../socket/addresses.js'
import type { Owner, RequestInfo } from '../core/report.js'
import type { Kind } from '../core/vocabulary.js'
import { isServedByHttp, isTcp, isTls, listeningDescriptorOf, requestOn } from '../socket/fields.js'
import { headersOf, isHttp2, requestOfStream, type Http2Streams } from '../socket/http2.js'
import type { RequestName, SocketRecord } from '../socket/record.js'
import { tlsOver } from '../socket/tls-over.js'
import { isAcceptedForTls, isUnanswered, webSocketOn } from '../socket/usage.js'
import { valuesOf } from './context/source.js'
import { Work } from './context/work.js'
import { isInHttpUse, outgoingUseOf, type Makers } from './outgoing.js'
import type { PeerPorts } from './peer-ports.js'
import { nameRequest, siteOfRequest, siteOfUpgrade, withoutUser, type ToldRoutes } from './request-name.js'
import { foldName } from './site.js'
import type { StackOf, StackReading } from './stacks/recorder.js'

export interface OwnerSources {
  readonly routes: ToldRoutes
  readonly makers: Makers
  readonly ports: PeerPorts
  readonly streams: Http2Streams
  labelOf(record: SocketRecord): string | null
  readonly readStacks: ((record: SocketRecord, which: StackOf) => StackReading) | null
}

const NO_CONTEXT: Readonly<Record<string, string>> = Object.freeze({})
const NO_STACKS: StackReading = { stack: null, site: null }

/** `served`: the site of an accepted connection piped to or from this outgoing one, or `null`. */
export function resolveOwner(
  record: SocketRecord,
  sources: OwnerSources,
  served: () => string | null,
): Owner {
  return record.direction === 'inbound' ? ownInbound(record, sources) : ownOutbound(record, sources, served)
}

export function kindOf(record: SocketRecord): Kind {
  const { socket, direction, hint, addresses } = record
  if (hint !== null && hint.kind !== null) return hint.kind
  if (isHttp2(socket)) return 'h2'
  if (direction === 'outbound' && webSocketOn(socket) !== null) return 'websocket'
  if (direction === 'outbound' ? isInHttpUse(record) : isServedByHttp(socket)) return 'http'
  if (isTls(socket) || isAcceptedForTls(socket) || tlsOver(socket) !== null) return 'tls'
  return isTcp(socket) || addresses !== null ? 'tcp' : 'pipe'
}

function ownInbound(record: SocketRecord, sources: OwnerSources): Owner {
  const request = requestHolding(record, sources)
  const isWaiting = record.hint !== null && isUnanswered(record.socket, record.hint)
  const stacks =
    sources.readStacks?.(record, request === null || isWaiting ? 'accepted' : 'touched') ?? NO_STACKS
  return {
    site: siteOfInbound(record, request, stacks.site, sources.ports),
    label: sources.labelOf(record),
    request: request === null ? null : infoOf(request),
    context: contextOf(record),
    ...shown(stacks),
  }
}

/** The site alone, for counts; `null` where it takes all of `resolveOwner()`. */
export function siteOfAccepted(record: SocketRecord, sources: OwnerSources): string | null {
  if (record.direction !== 'inbound' || sources.readStacks !== null) return null
  return siteOfInbound(record, requestHolding(record, sources), null, sources.ports)
}

function requestHolding(
  { socket, hint }: SocketRecord,
  { routes, streams }: OwnerSources,
): RequestName | null {
  if (hint !== null && hint.request !== null) return hint.request
  const stream = streams.chief(socket)
  const request = stream === null ? requestOn(socket) : requestOfStream(stream)
  return request === null ? null : nameRequest(request, routes)
}

function siteOfInbound(
  record: SocketRecord,
  request: RequestName | null,
  place: string | null,
  ports: PeerPorts,
): string {
  if (request === null) return place ?? nameListener(record, ports)
  const kind = record.hint?.kind
  return kind === 'upgrade' || kind === 'websocket' ? siteOfUpgrade(request) : siteOfRequest(request)
}

function ownOutbound(record: SocketRecord, sources: OwnerSources, served: () => string | null): Owner {
  const use = outgoingUseOf(record, sources.makers)
  const stacks = sources.readStacks?.(record, use.stack) ?? NO_STACKS
  const context = { ...valuesOf(use.context), ...contextOf(record) }
  const request = record.hint?.request ?? null
  const worker = use.context instanceof Work ? use.context.site() : foldName(context['request'] ?? '')
  const opener =
    request === null ? worker || served() || tunnelOf(use.request) || stacks.site : siteOfRequest(request)
  const remote = addressOf(record, 'remote')
  const peer = remote === null ? null : sources.ports.name(remote)
  return {
    site: siteOfOutbound(opener, peer),
    label: sources.labelOf(record),
    request: request === null ? (requestOverHttp2(record, sources) ?? use.request) : infoOf(request),
    context,
    ...shown(stacks),
  }
}

function requestOverHttp2({ socket }: SocketRecord, { streams, routes }: OwnerSources): RequestInfo | null {
  const stream = streams.chief(socket)
  const request = stream === null ? null : nameRequest(stream, routes)
  if (stream === null || request === null) return null
  const headers = headersOf(stream) ?? {}
  const origin = `${readText(headers, ':scheme') ?? ''}://${readText(headers, ':authority') ?? ''}`
  return { ...infoOf(request), origin: withoutUser(origin) }
}

function tunnelOf(request: RequestInfo | null): string | null {
  return request?.method === 'CONNECT' ? `CONNECT ${request.path}` : null
}

function siteOfOutbound(opener: string | null, peer: string | null): string {
  if (opener === null) return peer === null ? 'outgoing' : `to ${peer}`
  return peer === null ? opener : `${opener} → ${peer}`
}

export function placeOf(record: SocketRecord, { ports, readStacks }: OwnerSources): string {
  const isInbound = record.direction === 'inbound'
  const site = readStacks?.(record, isInbound ? 'accepted' : 'created').site ?? null
  if (isInbound) return siteOfInbound(record, null, site, ports)
  const remote = addressOf(record, 'remote')
  return siteOfOutbound(site, remote === null ? null : ports.name(remote))
}

export function nameListener(record: SocketRecord, ports: PeerPorts): string {
  const local = addressOf(record, 'local')
  if (local !== null) return local.port === null ? `listener ${local.address}` : ports.listener(local.port)
  // It listens on an inherited descriptor, as under systemd.
  const fd = listeningDescriptorOf(record.socket)
  return fd === -1 ? 'unknown listener' : `listener fd ${fd}`
}

function infoOf({ method, path }: RequestName): RequestInfo {
  return { method, path }
}

function shown({ stack, accesses }: StackReading): Pick<Owner, 'stack' | 'accesses'> {
  return accesses === undefined ? { stack } : { stack, accesses }
}

function contextOf({ hint, socket, direction }: SocketRecord): Readonly<Record<string, string>> {
  const kind = hint?.kind
  if (hint !== null && (kind === 'upgrade' || kind === 'connect') && isUnanswered(socket, hint))
    return { [kind]: 'unanswered' }
  const webSocket = hint?.webSocket ?? (direction === 'outbound' ? webSocketOn(socket) : null)
  if (webSocket === null) return NO_CONTEXT
  const state = readField(webSocket, 'readyState')
  if (typeof state !== 'number') return { webSocket: 'unreadable' }
  if (state === 1) return { webSocket: readField(webSocket, 'isPaused') === true ? 'paused' : 'open' }
  return { webSocket: state === 2 ? 'closing' : 'closed' }
}
