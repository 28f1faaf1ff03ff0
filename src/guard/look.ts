import { diagnose } from '../report/diagnose.js'
import type { Socket } from 'node:net'
import { phaseOf, type Facts, type SessionFacts } from '../judge/facts.js'
import type { Trouble } from '../judge/lifecycle.js'
import { agoMs } from '../core/durations.js'
import type { Condition, Tie } from '../core/vocabulary.js'
import { isNamed } from '../report/pair-lines.js'
import type { KernelFacts } from '../core/kernel-facts.js'
import { judgePeer } from '../judge/peer.js'
import type {
  Evidence,
  Owner,
  PartnerName,
  PartnerReport,
  SocketReport,
  StreamsReport,
  Waits,
} from '../core/report.js'
import { nameRequest } from '../owner/request-name.js'
import { inodeOf } from '../kernel/descriptors.js'
import { namesOfHolders } from '../owner/holders.js'
import { kindOf, placeOf, resolveOwner, siteOfAccepted, type OwnerSources } from '../owner/resolve.js'
import type { Pairs } from '../pairs/pairs.js'
import type { Ties } from '../pairs/ties.js'
import { addressesOf } from '../socket/addresses.js'
import { bytesMoved, descriptorOf, isTcp, readFacts } from '../socket/fields.js'
import { isKeepAliveOn } from '../socket/keep-alive-setting.js'
import { describeClosing } from '../socket/closing.js'
import { heldBackBy, usageOf } from '../socket/usage.js'
import { idOf, requestOfStream, streamsOn, unreadOn, unsentOn } from '../socket/http2.js'
import { believedOf } from '../socket/kernel-view.js'
import { readRecord, type SocketRecord } from '../socket/record.js'
import { waitOf, type WaitClock } from '../socket/waits.js'

const MOST_STREAMS_SHOWN = 10

type Described = Omit<SocketReport, 'diagnosis'> & { diagnosis: string }

export class Look {
  readonly nowMs: number
  readonly pairs: Pairs
  readonly sources: OwnerSources
  readonly #waits: WaitClock
  readonly #resolved = new Map<SocketRecord, Owner>()
  #ties: Ties | null = null

  constructor(nowMs: number, sources: OwnerSources, pairs: Pairs, waits: WaitClock) {
    this.nowMs = nowMs
    this.sources = sources
    this.pairs = pairs
    this.#waits = waits
  }

  ties(): Ties {
    return (this.#ties ??= this.pairs.ties())
  }

  resolve(record: SocketRecord): Owner {
    let resolved = this.#resolved.get(record)
    if (resolved === undefined) {
      resolved = readRecord(record, (read) =>
        resolveOwner(read, this.sources, () => this.#siteServed(record)),
      )
      this.#resolved.set(record, resolved)
    }
    return resolved
  }

  site(record: SocketRecord): string {
    const site = readRecord(record, (read) => siteOfAccepted(read, this.sources))
    return site ?? this.resolve(record).site
  }

  siteInCensus(record: SocketRecord, hasWaited: boolean): string {
    const isNamed = record.direction === 'inbound' && (hasWaited || record.hint?.request != null)
    return isNamed ? this.resolve(record).site : readRecord(record, (read) => placeOf(read, this.sources))
  }

  identify(record: SocketRecord): PartnerName {
    const { id, direction } = record
    const { remote } = readRecord(record, addressesOf)
    return { id, direction, remote, site: this.resolve(record).site }
  }

  #factsOf(record: SocketRecord): Facts {
    const { socket, trouble } = record
    const disconnected = trouble !== null && trouble.deadTurn !== -1
    const kernel = believedOf(record, disconnected)
    const session = this.sources.streams.factsOf(socket)
    return readFacts(record, disconnected, kernel, this.pairs.abandonmentOf(record), session)
  }

  describe(record: SocketRecord, unsettled = false): SocketReport {
    return readRecord(record, (read) => this.#describe(read, unsettled))
  }

  #describe(record: SocketRecord, unsettled: boolean): SocketReport {
    const { nowMs } = this
    const { socket, trouble } = record
    const facts = this.#factsOf(record)
    const { kernel, session } = facts
    const disconnected = facts.disconnected === true
    const { local, remote } = addressesOf(record)
    const owner = this.resolve(record)
    const idleMs = agoMs(trouble?.progressMs ?? lastMovedMs(record, nowMs), nowMs)
    const described: Described = {
      id: record.id,
      direction: record.direction,
      kind: kindOf(record),
      local,
      remote,
      phase: phaseOf(facts),
      condition: conditionOf(trouble, unsettled),
      verdict: record.isExempt ? ('exempt' as const) : (trouble?.verdict ?? 'none'),
      kernelState: disconnected && isTcp(socket) ? ('CLOSE' as const) : (kernel?.state ?? null),
      seenBy: record.hint?.isUnderTls === true ? 'kernel' : (trouble?.seenBy ?? 'stream'),
      sinceMs: agoMs(trouble === null ? record.firstSeenMs : trouble.sinceMs, nowMs),
      idleMs,
      unreadBytes: facts.unreadBytes + (kernel?.unreadBytes ?? 0),
      unsentBytes: facts.unsentBytes + (kernel?.unsentBytes ?? 0),
      owner,
      ...(record.hint?.isBornBefore === true ? { bornBeforeGuard: true } : undefined),
      evidence: evidenceOf(record, facts, idleMs, this.#waitsOf(record)),
      partner: this.#partnerOf(record),
      streams: session === null ? null : this.#streamsOf(socket, session),
      diagnosis: '',
    }
    described.diagnosis = diagnose(described, usageOf(record))
    return described
  }

  #waitsOf(record: SocketRecord): Waits | null {
    const wait = waitOf(record, this.sources.streams)
    if (wait === null) return null
    return { for: wait.for, ms: this.#waits.msOf(wait, this.nowMs), unreadBytes: wait.unreadBytes }
  }

  /** The request, upgrade or listener whose connection an outgoing one is piped to or from; `null` for a shared one. */
  #siteServed(record: SocketRecord): string | null {
    const left = this.pairs.leftOf(record)
    if (left !== null) return left.who.direction === 'inbound' ? nameServed(left.who.site, left.by) : null
    const ties = this.ties()
    const [partner] = ties.of(record)
    if (partner === undefined || partner.record.direction !== 'inbound') return null
    const { own, end, by, isEnded } = partner
    if (by === 'pipe' && !ties.isThereFor(partner.record, { record, end: own, own: end, by, isEnded }))
      return null
    return nameServed(this.resolve(partner.record).site, by)
  }

  #streamsOf(socket: Socket, { isClosed, openStreams: open }: SessionFacts): StreamsReport {
    const { streams, routes } = this.sources
    const oldest = streamsOn(socket).slice(0, MOST_STREAMS_SHOWN)
    return {
      open,
      isClosed,
      oldest: oldest.map((stream) => {
        const { method = null, path = null } = nameRequest(requestOfStream(stream), routes) ?? {}
        const seenMs = streams.firstSeenMs(stream)
        return {
          id: idOf(stream),
          method,
          path,
          ageMs: seenMs === null ? null : agoMs(seenMs, this.nowMs),
          unreadBytes: unreadOn(stream),
          unsentBytes: unsentOn(stream),
        }
      }),
    }
  }

  #partnerOf(record: SocketRecord): PartnerReport | null {
    const { nowMs } = this
    const left = this.pairs.leftOf(record)
    if (left !== null) {
      const { who, by, partner, sinceMs } = left
      return {
        ...who,
        by,
        state: partner === null ? 'closed' : 'ended',
        sinceMs: agoMs(sinceMs, nowMs),
      }
    }
    const [partner] = this.ties().of(record)
    if (partner === undefined) return null
    const { peerEndedMs } = partner.record
    const ended = peerEndedMs === 0 ? null : agoMs(peerEndedMs, nowMs)
    return {
      ...this.identify(partner.record),
      by: partner.by,
      state: ended === null ? 'open' : 'ended',
      sinceMs: ended,
    }
  }
}

function nameServed(site: string, by: Tie): string | null {
  return isNamed(site) || (by === 'pipe' && site.startsWith('listener ')) ? site : null
}

/** `null` if it is too young for a verdict (unless asked for) or may only be slow. */
export function conditionOf(trouble: Trouble | null, unsettled: boolean): Condition | null {
  if (trouble === null || (trouble.verdict === 'none' && (!unsettled || trouble.isStall))) return null
  return trouble.condition
}

function evidenceOf(record: SocketRecord, facts: Facts, idleMs: number, waits: Waits | null): Evidence {
  const { disconnected } = facts
  const kernel = withoutStart(facts)
  const keepAlive = isKeepAliveOn(record.socket) ? 'application' : record.probes === null ? 'off' : 'guard'
  const fd = descriptorOf(record.socket)
  const { peer, peerBasis } = judgePeer({ disconnected: disconnected === true, kernel, idleMs, keepAlive })
  return {
    peer,
    peerBasis,
    lastDataReceivedMs: kernel?.lastDataReceivedMs ?? null,
    lastDataSentMs: kernel?.lastDataSentMs ?? null,
    lastAckReceivedMs: kernel?.lastAckReceivedMs ?? null,
    retransmits: kernel?.retransmits ?? null,
    probes: kernel?.probes ?? null,
    rttMs: kernel?.rttMs ?? null,
    keepAlive,
    heldBack: heldBackBy(record.socket),
    ifClosed: describeClosing(record.socket),
    fd: fd === -1 ? null : fd,
    inode: inodeOnce(record, fd),
    heldBy: namesOfHolders(record),
    waits,
  }
}

/** The table of the kernel's sockets has told it, or the first look asks: a socket keeps it. */
function inodeOnce({ kernel }: SocketRecord, fd: number): number | null {
  if (kernel === null) return inodeOf(fd)
  if (kernel.inode === 0) kernel.inode = inodeOf(fd) ?? 0
  return kernel.inode === 0 ? null : kernel.inode
}

function lastMovedMs(
  { socket, bytesMoved: before, movedMs, firstSeenMs, hint }: SocketRecord,
  nowMs: number,
): number {
  const isStill = (bytesMoved(socket) | 0) === before
  // The upgrade request moved bytes too.
  return isStill ? Math.max(movedMs, firstSeenMs, hint?.handedOverMs ?? 0) : nowMs
}

/** The kernel counts both ages from the handshake, also if no byte moved. */
function withoutStart({ kernel, bytesRead, bytesAccepted }: Facts): KernelFacts | null {
  if (kernel === null) return null
  const { lastDataReceivedMs, lastDataSentMs } = kernel
  return {
    ...kernel,
    lastDataReceivedMs: bytesRead + (kernel.unreadBytes ?? 0) > 0 ? lastDataReceivedMs : null,
    lastDataSentMs: bytesAccepted > 0 ? lastDataSentMs : null,
  }
}
