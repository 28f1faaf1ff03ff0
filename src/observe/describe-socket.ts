/** From a record to its entry in the report. Runs only when somebody asks, or when a verdict changes. */
import { readField } from '../core/foreign.js'
import { diagnose } from '../core/diagnose.js'
import { formatEndpoint } from '../core/endpoint.js'
import { isNamed } from '../core/pairs.js'
import type { PartnerName, PartnerReport, Evidence, Owner, SocketReport } from '../core/report.js'
import { judgePeer } from '../core/peer.js'
import { phaseOf, type Facts } from '../core/facts.js'
import type { Kind, Sensor } from '../core/vocabulary.js'
import { Attribution, requestInfoOf, routePatternOf, type WebSocketLike } from './requests/attribution.js'
import { completeOwner } from './describe-origin.js'
import { believedOf } from './kernel/view.js'
import { isInHttpUse } from './requests/outgoing-use.js'
import { abandonmentOf, leftOf } from './pairs/left.js'
import { firstPartnerOf, isThereFor } from './pairs/ties.js'
import { isKeepAliveOn, isTcp, isTls, readEnds, readFacts, requestBeingAnswered } from './socket-fields.js'
import type { SocketEnds, TrackedSocket } from './tracked-socket.js'

const NO_CONTEXT: Readonly<Record<string, string>> = Object.freeze({})

/** @param unsettled name a condition even while it is too young for a verdict */
export function describeSocket(record: TrackedSocket, nowMs: number, unsettled = false): SocketReport {
  const { socket, case: kase } = record
  const disconnected = kase !== null && kase.deadTurn !== -1
  const kernel = believedOf(record, disconnected)
  const facts = readFacts(socket, record.selfConnected === true, disconnected, kernel, abandonmentOf(record))
  const ends = endsOf(record)
  const kind = kindOf(record)
  const idleMs = Math.round(nowMs - (kase === null ? record.firstSeenMs : kase.progressMs))
  const undiagnosed = {
    id: record.id,
    direction: record.direction,
    kind,
    local: ends.local,
    remote: ends.remote,
    phase: phaseOf(facts),
    condition: kase?.verdict === 'none' && !unsettled ? null : (kase?.condition ?? null),
    verdict: record.isExempt ? ('exempt' as const) : (kase?.verdict ?? 'none'),
    kernelState: disconnected ? ('CLOSE' as const) : (kernel?.state ?? null),
    seenBy: kase?.seenBy ?? ('stream' as Sensor),
    sinceMs: Math.round(nowMs - (kase === null ? record.firstSeenMs : kase.sinceMs)),
    idleMs,
    unreadBytes: facts.unreadBytes + (kernel?.unreadBytes ?? 0),
    unsentBytes: facts.unsentBytes + (kernel?.unsentBytes ?? 0),
    owner: completeOwner(record, ownerOf(record, kind, ends), ends, siteServed(record)),
    evidence: evidenceOf(record, facts, idleMs),
    partner: partnerOf(record, nowMs),
  }
  return { ...undiagnosed, diagnosis: diagnose(undiagnosed) }
}

/** Who it is, for its partner: a few words that outlive it. */
export function identifySocket(record: TrackedSocket): PartnerName {
  const { id, direction } = record
  const ends = endsOf(record)
  const { site } = completeOwner(record, ownerOf(record, kindOf(record), ends), ends, siteServed(record))
  return { id, direction, remote: ends.remote, site }
}

/** Which request or upgrade an outgoing connection is piped to or from; nobody's name for what many share. */
function siteServed(record: TrackedSocket): string | null {
  if (record.direction === 'inbound') return null
  const left = leftOf(record)
  if (left !== null) return left.who.direction === 'inbound' && isNamed(left.who.site) ? left.who.site : null
  const partner = firstPartnerOf(record)
  if (partner === null || partner.record.direction !== 'inbound') return null
  const { own, isEnded } = partner
  if (partner.by === 'pipe' && !isThereFor(partner.record, { record, end: own, isEnded })) return null
  const { site } = identifySocket(partner.record)
  return isNamed(site) ? site : null
}

function partnerOf(record: TrackedSocket, nowMs: number): PartnerReport | null {
  const left = leftOf(record)
  if (left !== null) {
    const { who, by, partner, sinceMs } = left
    return { ...who, by, state: partner === null ? 'closed' : 'ended', sinceMs: Math.round(nowMs - sinceMs) }
  }
  const partner = firstPartnerOf(record)
  if (partner === null) return null
  const { peerEndedMs } = partner.record
  const ended = peerEndedMs === 0 ? null : Math.round(nowMs - peerEndedMs)
  return {
    ...identifySocket(partner.record),
    by: partner.by,
    state: ended === null ? 'open' : 'ended',
    sinceMs: ended,
  }
}

/** Both ends, remembered for as long as something is odd: a dead connection has none any more. */
export function endsOf(record: TrackedSocket): SocketEnds {
  if (record.ends !== null) return record.ends
  const ends = readEnds(record.socket)
  if (record.case !== null && ends.remote !== null) record.ends = ends
  return ends
}

function kindOf(record: TrackedSocket): Kind {
  const told = record.attribution?.kind
  if (told !== null && told !== undefined) return told
  if (record.direction === 'outbound' && isInHttpUse(record)) return 'http'
  if (isTls(record.socket)) return 'tls'
  return isTcp(record.socket) || record.ends !== null ? 'tcp' : 'pipe'
}

function ownerOf(record: TrackedSocket, kind: Kind, ends: SocketEnds): Owner {
  const { attribution } = record
  const serving = servingOf(record)
  return {
    site: siteOf(record, serving, kind, ends),
    label: attribution?.label ?? null,
    request: serving === null ? null : requestInfoOf(serving),
    context: attribution === null ? NO_CONTEXT : contextOf(attribution),
    stack: null,
  }
}

/**
 * The request that holds the connection. Of pipelined ones the first in line keeps the others waiting; only one whose body
 * has not come whole holds it by itself.
 */
function servingOf({ socket, attribution }: TrackedSocket): Attribution | null {
  const latest = attribution?.request ?? null
  const first = latest === null ? null : requestBeingAnswered(socket)
  if (first === null || first === latest || (latest !== null && readField(latest, 'complete') === false))
    return attribution
  const serving = new Attribution()
  serving.request = first
  return serving
}

/** Of a WebSocket, what only ws knows: that the application has paused it, for one. */
function contextOf({ webSocket }: Attribution): Readonly<Record<string, string>> {
  return webSocket === null ? NO_CONTEXT : { webSocket: stateOf(webSocket) }
}

function stateOf(webSocket: WebSocketLike): string {
  const readyState = readField(webSocket, 'readyState')
  if (typeof readyState !== 'number') return 'unreadable'
  if (readyState === 1) return readField(webSocket, 'isPaused') === true ? 'paused' : 'open'
  return readyState === 2 ? 'closing' : 'closed'
}

/** Where leaks of this kind are grouped: route, upgrade path, remote host, listening port. */
function siteOf(
  record: TrackedSocket,
  serving: Attribution | null,
  kind: Kind,
  { local, remote }: SocketEnds,
): string {
  const request = serving === null ? null : requestInfoOf(serving)
  if (request !== null) {
    if (kind === 'upgrade' || kind === 'websocket') return `upgrade ${request.path}`
    if (kind === 'connect') return `CONNECT ${request.path}`
    const route = routePatternOf(serving!)
    return `${request.method} ${route === '' ? request.path : route}`
  }
  if (record.direction === 'outbound') return remote === null ? 'outgoing' : `to ${formatEndpoint(remote)}`
  return local === null ? 'unknown listener' : `listener :${local.port}`
}

function keepAliveOf({ socket, probes }: TrackedSocket): Evidence['keepAlive'] {
  if (isKeepAliveOn(socket)) return 'application'
  return probes === null ? 'off' : 'guard'
}

function evidenceOf(record: TrackedSocket, { disconnected, kernel }: Facts, idleMs: number): Evidence {
  const keepAlive = keepAliveOf(record)
  return {
    ...judgePeer({ disconnected: disconnected === true, kernel, idleMs, keepAlive }),
    lastDataReceivedMs: kernel?.lastDataReceivedMs ?? null,
    lastDataSentMs: kernel?.lastDataSentMs ?? null,
    lastAckReceivedMs: kernel?.lastAckReceivedMs ?? null,
    retransmits: kernel?.retransmits ?? null,
    probes: kernel?.probes ?? null,
    rttMs: kernel?.rttMs ?? null,
    keepAlive,
  }
}
