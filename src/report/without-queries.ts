/** A query may hold a token. Sensors cut it off already; a renderer cuts once more, should a sensor have forgotten. */
import type { PairReport, GuardEvent, Report, SocketReport } from '../core/report.js'

export function withoutQueries(report: Report): Report {
  return {
    ...report,
    sites: report.sites.map(siteWithoutQuery),
    pairs: report.pairs.map(pairWithoutQuery),
    healedSites: report.healedSites.map(siteWithoutQuery),
    sockets: report.sockets.map(socketWithoutQuery),
  }
}

export function eventWithoutQueries(event: GuardEvent): GuardEvent {
  return { ...event, socket: socketWithoutQuery(event.socket) }
}

function siteWithoutQuery<T extends { readonly site: string }>(named: T): T {
  return { ...named, site: cutQueries(named.site) }
}

function pairWithoutQuery(pair: PairReport): PairReport {
  const [first, second] = pair.sides
  return { ...pair, sides: [siteWithoutQuery(first), siteWithoutQuery(second)], line: cutQueries(pair.line) }
}

export function socketWithoutQuery(socket: SocketReport): SocketReport {
  const { owner } = socket
  const request = owner.request && { ...owner.request, path: cutPath(owner.request.path) }
  return {
    ...socket,
    partner: socket.partner && siteWithoutQuery(socket.partner),
    owner: { ...owner, site: cutQueries(owner.site), request },
    diagnosis: cutQueries(socket.diagnosis),
  }
}

function cutPath(path: string): string {
  return path.replace(/[?#].*$/s, '')
}

/** In running text a query ends at the next space: a request target can't hold one (RFC 9112, section 3.2). */
function cutQueries(text: string): string {
  return text.includes('?') ? text.replace(/\?[^ ]+/g, '') : text
}
