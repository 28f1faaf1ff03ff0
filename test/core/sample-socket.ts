import type { SocketReport } from '../../src/core/report.js'
import type { SocketRow } from '../../src/report/build.js'

type Overrides = { readonly [Name in keyof SocketReport]?: SocketReport[Name] | undefined }

/** A leaked upgrade socket, unless told otherwise. */
export function sampleSocket(overrides: Overrides = {}): SocketReport {
  const socket = {
    id: 7,
    direction: 'inbound',
    kind: 'upgrade',
    local: { address: '127.0.0.1', port: 3000 },
    remote: { address: '127.0.0.1', port: 50122 },
    phase: 'peer-ended',
    condition: 'eof-ignored',
    verdict: 'leaked',
    kernelState: null,
    seenBy: 'stream',
    sinceMs: 90_000,
    idleMs: 90_000,
    unreadBytes: 0,
    unsentBytes: 0,
    owner: { site: 'upgrade /chat', label: null, request: null, context: {}, stack: null },
    diagnosis: '',
    evidence: {
      peer: 'unknown',
      peerBasis: '',
      lastDataReceivedMs: null,
      lastDataSentMs: null,
      lastAckReceivedMs: null,
      retransmits: null,
      probes: null,
      rttMs: null,
      keepAlive: 'off',
      heldBack: null,
      ifClosed: null,
      fd: null,
      inode: null,
      heldBy: [],
      waits: null,
    },
    partner: null,
    streams: null,
  } satisfies SocketReport
  return { ...socket, ...overrides } as SocketReport
}

/** The same socket as a row of a report. */
export function rowOf(socket: SocketReport): SocketRow {
  const { id, direction, verdict, condition, sinceMs, local, remote, unreadBytes, unsentBytes } = socket
  return {
    ...{ id, direction, verdict, condition, sinceMs },
    isDisconnected: socket.kernelState === 'CLOSE',
    fd: () => socket.evidence.fd ?? -1,
    site: () => socket.owner.site,
    phase: socket.phase,
    ends: () => ({ local, remote }),
    waiting: () => ({ unreadBytes, unsentBytes }),
    read() {},
    isGone: () => false,
    describe: () => socket,
  }
}

export function ownedBy(site: string, label: string | null = null): SocketReport['owner'] {
  return { site, label, request: null, context: {}, stack: null }
}
