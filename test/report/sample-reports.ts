import { buildCensus, type Census } from '../../src/report/census.js'
import { pairUp } from '../../src/report/pair-lines.js'
import { Durations } from '../../src/core/durations.js'
import type {
  CensusCounts,
  DurationsReport,
  Evidence,
  MeasuresReport,
  Owner,
  Report,
  SocketReport,
} from '../../src/core/report.js'
import { REPORT_SCHEMA } from '../../src/core/report.js'
import { formatDuration } from '../../src/core/format.js'

const OWNER: Owner = { site: 'upgrade /chat', label: null, request: null, context: {}, stack: null }

const EVIDENCE: Evidence = {
  peer: 'unknown',
  peerBasis: 'nobody asked it',
  lastDataReceivedMs: null,
  lastDataSentMs: null,
  lastAckReceivedMs: null,
  retransmits: null,
  probes: null,
  rttMs: null,
  keepAlive: 'off',
  heldBack: null,
  ifClosed: null,
  fd: 27,
  inode: 81_321,
  heldBy: [],
  waits: null,
}

export function sampleSocket(
  id: number,
  changes: Partial<Omit<SocketReport, 'owner' | 'evidence'>> & {
    owner?: Partial<Owner>
    evidence?: Partial<Evidence>
  } = {},
): SocketReport {
  return {
    id,
    direction: 'inbound',
    kind: 'upgrade',
    local: { address: '127.0.0.1', port: 3000 },
    remote: { address: '203.0.113.7', port: 50_122 },
    phase: 'peer-ended',
    condition: 'eof-ignored',
    verdict: 'leaked',
    kernelState: 'CLOSE_WAIT',
    seenBy: 'stream',
    sinceMs: 90_000,
    idleMs: 90_000,
    unreadBytes: 0,
    unsentBytes: 0,
    diagnosis:
      `The peer ended this connection ${formatDuration(changes.sinceMs ?? 90_000)} ago and the code behind upgrade /chat ` +
      "never ended its own side: call socket.end() when 'end' is emitted.",
    ...changes,
    partner: changes.partner ?? null,
    streams: changes.streams ?? null,
    owner: { ...OWNER, ...changes.owner },
    evidence: { ...EVIDENCE, ...changes.evidence },
  }
}

/** What is kept beside the sockets, when there is nothing to tell. */
export const KEPT = {
  stalls: { count: 0, longestMs: 0, lastMs: 0, lastEndedMs: null },
  descriptors: { openDescriptors: 140, descriptorLimit: 1024, pressure: null, reclaimed: 0 },
  limitReachedInMs: null,
  growthPerHour: 0,
  orphans: null,
  closing: [],
} satisfies Partial<Report>

export const NO_COUNTS: CensusCounts = {
  count: 0,
  unanswered: 0,
  longestUnansweredMs: 0,
  unread: 0,
  longestUnreadMs: 0,
  unused: 0,
  longestUnusedMs: 0,
}

export const NO_CENSUS: Census = {
  ageMs: null,
  inbound: NO_COUNTS,
  outbound: NO_COUNTS,
  sites: [],
  clients: [],
}

export const NO_MEASURES: MeasuresReport = {
  sites: [],
  halfClosed: { inbound: new Durations().report(), outbound: new Durations().report() },
  reclaim: new Durations().report(),
  sweeps: { count: 0, totalMs: 0, longestMs: 0 },
  faults: {},
}

function durationsOf(...times: readonly number[]): DurationsReport {
  const durations = new Durations()
  for (const ms of times) durations.note(ms)
  return durations.report()
}

const NO_TREND = { leakedTotal: 0, growthPerHour: 0, descriptorShare: null }

export function sampleReport(changes: Partial<Report> = {}): Report {
  return {
    schema: REPORT_SCHEMA,
    generatedAt: '2026-02-03T14:05:06.789Z',
    process: { pid: 4711, node: 'v20.20.2', platform: 'linux', uptimeSeconds: 11_520 },
    kernel: { probe: 'ffi', reason: null },
    totals: {
      tracked: 120,
      suspect: 0,
      leaked: 0,
      stalled: 0,
      recovered: 0,
      reclaimed: 0,
      dead: 0,
      exempt: 0,
    },
    ...KEPT,
    census: { ...NO_CENSUS, growingSites: 0, sites: [], clients: [] },
    code: [],
    ports: [],
    conditions: [],
    standings: [],
    measures: NO_MEASURES,
    partedPairs: 0,
    pairs: [],
    sites: [],
    stalledSites: [],
    healedSites: [],
    sockets: [],
    nextAfter: null,
    ...changes,
  }
}

function counted(count: number, unreadBytes = 0) {
  return { count, unreadBytes, unsentBytes: 0 }
}

export const HEALTHY: Report = sampleReport()

export const LEAKY: Report = sampleReport({
  kernel: { probe: 'proc', reason: 'the package koffi is not installed' },
  totals: {
    tracked: 1284,
    suspect: 2,
    leaked: 4,
    stalled: 1,
    recovered: 31,
    reclaimed: 0,
    dead: 6,
    exempt: 1,
  },
  stalls: { count: 2, longestMs: 4200, lastMs: 800, lastEndedMs: 300_000 },
  descriptors: { openDescriptors: 930, descriptorLimit: 1024, pressure: 0.5, reclaimed: 3 },
  limitReachedInMs: 2_700_000,
  history: {
    at: [1_770_124_000, 1_770_126_000, 1_770_127_506],
    tracked: [1100, 1250, 1284],
    suspect: [0, 1, 2],
    leaked: [0, 2, 4],
    reclaimed: [0, 4, 6],
    openDescriptors: [700, 900, 930],
    descriptorLimit: [1024, 1024, 1024],
    sites: [
      { site: 'upgrade /chat', net: [0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 1, 0] },
      { site: 'to payments.example.net:443', net: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1] },
    ],
  },
  growthPerHour: 12.5,
  orphans: {
    tcp: 2,
    states: { CLOSE_WAIT: 2 },
    closeWait: [
      {
        fd: 27,
        local: { address: '10.0.0.1', port: 3000 },
        remote: { address: '10.0.0.7', port: 50_122 },
        unreadBytes: 3000,
        unsentBytes: 0,
      },
    ],
    unix: 1,
    other: 0,
    listeners: 2,
    socketDescriptors: 900,
    ageMs: 1200,
  },
  closing: [
    {
      server: 'listener :3000',
      sinceMs: 65_000,
      connections: 3,
      holders: [{ how: 'upgrade', site: 'upgrade /feed', count: 3, oldestMs: 70_000 }],
      line: 'closed 1 min 5 s ago, and 3 connections keep it open: 3 upgraded (upgrade /feed).',
    },
  ],
  lint: [
    {
      rule: 'no-request-timeout',
      message:
        'the HTTP server on port 3000 has requestTimeout 0: a request whose body nobody reads is never given up',
      remedy: 'Set requestTimeout to the longest time an upload may take (Node defaults to 300000 ms).',
      where: '/app/src/server.js:31',
    },
  ],
  conditions: [
    { ...counted(2), condition: 'eof-ignored', verdict: 'leaked', oldestMs: 11_100_000 },
    { ...counted(1), condition: 'eof-ignored', verdict: 'exempt', oldestMs: 5_000 },
    { ...counted(1, 98_304), condition: 'fin-unseen', verdict: 'suspect', oldestMs: 8_000 },
    { ...counted(1, 6_291_456), condition: 'window-closed', verdict: 'leaked', oldestMs: 95_000 },
    { ...counted(1, 1536), condition: 'reset-unseen', verdict: 'leaked', oldestMs: 200_000 },
    { ...counted(1), condition: 'fin-wait', verdict: 'suspect', oldestMs: 21_000 },
  ],
  standings: [
    { direction: 'inbound', phase: 'peer-ended', condition: 'eof-ignored', verdict: 'leaked', count: 2 },
    { direction: 'outbound', phase: 'local-ended', condition: 'fin-wait', verdict: 'suspect', count: 1 },
    { direction: 'inbound', phase: 'open', condition: null, verdict: 'exempt', count: 1 },
  ],
  measures: {
    sites: [
      { site: 'upgrade /chat', leakedTotal: 40, leaked: 3 },
      { site: 'other', leakedTotal: 2, leaked: 1 },
    ],
    halfClosed: { inbound: durationsOf(80, 4200, 61_000, 90_000_000), outbound: durationsOf() },
    reclaim: durationsOf(60_500),
    sweeps: { count: 2304, totalMs: 1212.5, longestMs: 3.25 },
    faults: { SLG_WARN_LISTENER: 2 },
  },
  code: [
    {
      ...{ id: 7, site: 'upgrade /chat', reason: null, blockedMs: 74 },
      code: [
        {
          ...{ how: 'data', name: 'keepReading', file: '/app/src/chat.js', line: 48, package: null },
          place: "src/chat.js:48 - socket.on('data', keepReading)",
        },
      ],
    },
  ],
  census: buildCensus(
    {
      ageMs: 3000,
      inbound: { ...NO_COUNTS, count: 1200, unanswered: 6, longestUnansweredMs: 400_000 },
      outbound: {
        ...NO_COUNTS,
        count: 84,
        unread: 2,
        longestUnreadMs: 90_000,
        unused: 60,
        longestUnusedMs: 700_000,
      },
      sites: [
        {
          ...NO_COUNTS,
          ...{
            site: 'GET /forgotten/:id',
            direction: 'inbound',
            count: 6,
            oldestMs: 500_000,
            idleMs: 400_000,
          },
          ...{ unanswered: 6, longestUnansweredMs: 400_000 },
          ...{ growthPerMinute: null, growthPerHour: null, requests: [], growing: false },
        },
        {
          ...NO_COUNTS,
          ...{
            site: 'to 10.0.0.5:443',
            direction: 'outbound',
            count: 60,
            oldestMs: 700_000,
            idleMs: 700_000,
          },
          ...{ unused: 60, longestUnusedMs: 700_000 },
          ...{ growthPerMinute: 4.2, growthPerHour: null, requests: [], growing: true },
        },
      ],
      clients: [
        {
          ...{
            origin: 'http://10.0.0.9',
            library: 'node:http',
            busy: 2,
            free: 0,
            queued: 3,
            longestQueuedMs: 90_000,
          },
          busyWith: [{ site: 'GET /status/:id', count: 2 }],
        },
      ],
    },
    { openDescriptors: 930, descriptorLimit: 1024, pressure: 0.5, reclaimed: 3 },
    {},
    1000,
  ),
  partedPairs: 1,
  pairs: [
    pairUp(
      {
        id: 8,
        direction: 'inbound',
        remote: { address: '203.0.113.7', port: 50_140 },
        site: 'GET /proxy/:id',
        state: 'closed',
        condition: null,
        sinceMs: 90_000,
        bytesPerSecond: null,
        idleMs: null,
      },
      {
        id: 9,
        direction: 'outbound',
        remote: { address: '10.0.0.5', port: 443 },
        site: 'GET /proxy/:id → 10.0.0.5:443',
        state: 'open',
        condition: null,
        sinceMs: null,
        bytesPerSecond: 3 * 1024 * 1024,
        idleMs: 0,
      },
      'pipe',
    ),
  ],
  ports: [
    { remote: '203.0.113.7', localPort: 3000, heldPorts: 2 },
    { remote: '2001:db8::9', localPort: 3000, heldPorts: 1 },
  ],
  sites: [
    {
      site: 'upgrade /chat',
      count: 3,
      oldestMs: 11_100_000,
      conditions: { 'eof-ignored': 2, 'reset-unseen': 1 },
      leakedTotal: 40,
      growthPerHour: 12.5,
      descriptorShare: 0.02,
    },
    {
      site: 'POST /upload/:id',
      count: 2,
      oldestMs: 95_000,
      conditions: { 'fin-unseen': 1, 'window-closed': 1 },
      ...NO_TREND,
    },
    {
      site: 'payments.example.net:443',
      count: 1,
      oldestMs: 21_000,
      conditions: { 'fin-wait': 1 },
      ...NO_TREND,
    },
  ],
  stalledSites: [{ site: 'GET /events', count: 1, oldestMs: 240_000, conditions: { 'write-stalled': 1 } }],
  healedSites: [
    { site: 'GET /export/:id', leakedTotal: 12, reclaimed: 0, healedMs: 300_000 },
    { site: 'to 10.0.0.9:5432', leakedTotal: 9, reclaimed: 7, healedMs: 2_400_000 },
  ],
  sockets: [
    sampleSocket(7, {
      sinceMs: 11_100_000,
      idleMs: 11_100_000,
      owner: {
        label: 'room 12',
        request: { method: 'GET', path: '/chat' },
        context: { user: 'u-829', tenant: 'north' },
        stack: [
          'at handleUpgrade (/app/src/chat.js:48:17)',
          'at Server.<anonymous> (/app/src/server.js:20:5)',
        ],
      },
      evidence: {
        peer: 'gone',
        peerBasis: 'keep-alive probes are not answered',
        probes: 3,
        keepAlive: 'guard',
      },
    }),
    sampleSocket(19, {
      sinceMs: 640_000,
      idleMs: 640_000,
      seenBy: 'kernel',
      remote: { address: '2001:db8::9', port: 41_000 },
    }),
    sampleSocket(23, {
      condition: 'reset-unseen',
      kernelState: 'CLOSE',
      phase: 'open',
      kind: 'websocket',
      seenBy: 'oracle',
      sinceMs: 200_000,
      idleMs: 3_000_000,
      unreadBytes: 1536,
      diagnosis:
        'The connection has been dead in the kernel for 3m 20s and Node has not noticed, because nobody reads it: destroy the socket; 1.5 KiB that arrived before are unread.',
    }),
    sampleSocket(64, {
      condition: 'window-closed',
      kernelState: 'ESTABLISHED',
      phase: 'open',
      kind: 'http',
      seenBy: 'kernel',
      sinceMs: 95_000,
      idleMs: 95_000,
      unreadBytes: 6_291_456,
      diagnosis:
        'POST /upload/:id has not read its request body for 1m 35s and 6.0 MiB wait in the kernel: read the body, or call request.resume() when answering early.',
      owner: { site: 'POST /upload/:id', request: { method: 'POST', path: '/upload/41' } },
      evidence: {
        peer: 'alive',
        peerBasis: 'answers zero-window probes',
        lastAckReceivedMs: 4200,
        rttMs: 0.42,
      },
    }),
    sampleSocket(70, {
      condition: 'fin-wait',
      kernelState: 'FIN_WAIT2',
      verdict: 'suspect',
      phase: 'local-ended',
      direction: 'outbound',
      kind: 'tls',
      sinceMs: 21_000,
      idleMs: 21_000,
      local: { address: '10.0.0.4', port: 51_544 },
      remote: { address: '198.51.100.20', port: 443 },
      diagnosis:
        'This side ended 21s ago and payments.example.net never ended its own: nothing to do before grace is over.',
      owner: { site: 'payments.example.net:443' },
    }),
    sampleSocket(71, {
      condition: 'fin-unseen',
      verdict: 'suspect',
      phase: 'open',
      kind: 'http',
      seenBy: 'kernel',
      sinceMs: 8_000,
      idleMs: 8_000,
      unreadBytes: 98_304,
      diagnosis: 'The client of POST /upload/:id closed 8s ago, behind 96.0 KiB that nobody reads.',
      owner: { site: 'POST /upload/:id', request: { method: 'POST', path: '/upload/42' } },
    }),
    sampleSocket(80, {
      condition: 'eof-ignored',
      verdict: 'exempt',
      kind: 'pipe',
      kernelState: null,
      local: { address: '/run/tunnel.sock', port: null },
      remote: null,
      sinceMs: 5_000,
      idleMs: 400,
      diagnosis: 'Half-closed for 5s, and declared as meant.',
      owner: { site: 'tunnel' },
    }),
  ],
})
