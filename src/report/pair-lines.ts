import { formatEndpoint } from '../core/endpoint.js'
import { formatBytes, formatDuration } from '../core/format.js'
import type { PairReport, PairSide, PartnerReport } from '../core/report.js'
import type { Tie } from '../core/vocabulary.js'

/** @param isShared the partner serves others too, so there is nothing to do about it */
export function pairUp(a: PairSide, b: PairSide, by: Tie, isShared = false): PairReport {
  const sides: readonly [PairSide, PairSide] =
    a.direction === 'outbound' && b.direction === 'inbound' ? [b, a] : [a, b]
  return { by, sides, line: describePair(sides, by, isShared) }
}

export function siteOfPair({ sides: [a, b] }: Pick<PairReport, 'sides'>): string {
  return (isNamed(a.site) || !isNamed(b.site) ? a : b).site
}

function describePair(sides: readonly [PairSide, PairSide], by: Tie, isShared: boolean): string {
  const gone = sides.find(({ state }) => state === 'closed') ?? sides.find(({ state }) => state === 'ended')
  const first = gone ?? sides[0]
  const second = first === sides[0] ? sides[1] : sides[0]
  const what = `${nameSide(first)} ${describeState(first)}, ${nameSide(second, false)} ${describeState(second, gone !== undefined)}`
  const where = `${siteOfPair({ sides })}, tied by ${by === 'pipe' ? 'a pipe' : 'the request that it serves'}`
  return `${what} (${where}).${gone === undefined || isShared ? '' : ` ${remedyForPair(first, by)}`}`
}

function nameSide({ direction, remote }: PairSide, isFirst = true): string {
  const role = direction === 'inbound' ? 'client' : 'upstream'
  const name = remote === null ? `the ${role}` : `${role} ${formatEndpoint(remote)}`
  return isFirst ? name.slice(0, 1).toUpperCase() + name.slice(1) : name
}

function describeState(side: PairSide, isSurvivor = false): string {
  const { state, condition, sinceMs, bytesPerSecond, idleMs } = side
  const since = sinceMs === null ? '' : ` ${formatDuration(sinceMs)} ago`
  if (state === 'closed') return `left${since}`
  if (state === 'ended') return `ended its side${since}`
  if (condition !== null && condition !== 'abandoned')
    return `is stuck${since === '' ? '' : ` since ${formatDuration(sinceMs!)}`} (${condition})`
  const still = isSurvivor ? 'still ' : ''
  if (bytesPerSecond !== null && bytesPerSecond > 0) return `${still}streams ${formatBytes(bytesPerSecond)}/s`
  const idle =
    idleMs === null || bytesPerSecond === null ? '' : `, without a byte for ${formatDuration(idleMs)}`
  return `is ${still}open${idle}`
}

export function describePartner({ direction, remote, site, state, sinceMs }: PartnerReport): string {
  const address = remote === null ? '' : ` ${formatEndpoint(remote)}`
  const who =
    direction === 'inbound'
      ? `the client${address} that it served`
      : `the upstream${address} that it waits for`
  const since = sinceMs === null ? '' : ` ${formatDuration(sinceMs)} ago`
  const place = isNamed(site) ? ` (${site})` : ''
  return `${who}${place} ${state === 'closed' ? 'left' : 'ended its side'}${since}`
}

export function isNamed(site: string): boolean {
  return !/^(?:listener |to |outgoing$|unknown )/.test(site)
}

/** These have no response to listen to. */
const HANDED_OVER = /^(?:upgrade|CONNECT) /

export function remedyForPair({ direction, site }: Pick<PairSide, 'direction' | 'site'>, by: Tie): string {
  if (by === 'context' && HANDED_OVER.test(site))
    return direction === 'inbound'
      ? "Destroy the upstream on the client's 'close'."
      : "Destroy the client on the upstream's 'close'."
  if (by === 'context')
    return "Abort the outgoing request when the response closes (res.on('close', ...), an AbortSignal)."
  return direction === 'inbound'
    ? "Destroy both ends: use stream.pipeline(), or destroy the upstream on the client's 'close'."
    : "Destroy both ends: use stream.pipeline(), or destroy the client's response on the upstream's 'close'."
}
