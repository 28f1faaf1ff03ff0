/** Reports as bad as the network and the application could make them. */
import fc from 'fast-check'
import { Durations } from '../../src/core/durations.js'
import {
  LINT_RULES,
  CONDITIONS,
  KERNEL_STATES,
  KINDS,
  PHASES,
  TIES,
  VERDICTS,
} from '../../src/core/vocabulary.js'
import {
  type CensusCounts,
  type CensusReport,
  type PairSide,
  type Evidence,
  type Report,
  type SiteCount,
  type SiteReport,
  type SocketReport,
  REPORT_SCHEMA,
} from '../../src/core/report.js'

const HOSTILE = [
  '</script><script>alert(1)</script>',
  '</style><img src=x onerror=alert(1)>',
  '" onmouseover="alert(1)',
  "' autofocus onfocus='alert(1)",
  '<!--',
  ']]>',
  '&lt;&#0;',
  '\x1b[2J\x1b]0;title\x07',
  '\x9b31m',
  'line\nbreak\r\n# TYPE evil counter\nevil 1',
  'label"} 1\nevil{a="',
  'back\\slash\\',
  '\u202egnp.exe',
  '\u2028\u2029',
  '\ud800',
  '\0',
  '/path?token=secret&x=1',
  'x'.repeat(3000),
  '',
] as const

export const hostileText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(...HOSTILE),
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.string({ unit: 'grapheme-ascii', maxLength: 60 }),
  fc.tuple(fc.string({ maxLength: 10 }), fc.constantFrom(...HOSTILE)).map((parts) => parts.join('')),
)

const count = fc.nat({ max: 1_000_000 })
const ms = fc.oneof(count, fc.double({ min: 0, max: 1e12, noNaN: true }))
const ageOrNull = fc.option(ms)
const end = fc.record({ address: hostileText, port: fc.option(fc.nat({ max: 65_535 })) })
const endpoint = fc.option(end)

const evidence: fc.Arbitrary<Evidence> = fc.record({
  peer: fc.constantFrom('alive', 'gone', 'unknown'),
  peerBasis: hostileText,
  lastDataReceivedMs: ageOrNull,
  lastDataSentMs: ageOrNull,
  lastAckReceivedMs: ageOrNull,
  retransmits: fc.option(count),
  probes: fc.option(count),
  rttMs: ageOrNull,
  keepAlive: fc.constantFrom('off', 'guard', 'application'),
  heldBack: fc.constantFrom('corked', 'handshake', 'window', null),
  ifClosed: fc.option(hostileText),
  fd: fc.option(count),
  inode: fc.option(count),
  heldBy: fc.array(hostileText, { maxLength: 3 }),
  waits: fc.option(
    fc.record({ for: fc.constantFrom('answer', 'end', 'reader', 'use'), ms, unreadBytes: count }),
  ),
})

const partnerName = {
  id: count,
  direction: fc.constantFrom('inbound' as const, 'outbound' as const),
  remote: endpoint,
  site: hostileText,
}
const partnerState = fc.constantFrom('open' as const, 'ended' as const, 'closed' as const)
const pairSide: fc.Arbitrary<PairSide> = fc.record({
  ...partnerName,
  state: partnerState,
  condition: fc.option(fc.constantFrom(...CONDITIONS)),
  sinceMs: ageOrNull,
  bytesPerSecond: fc.option(count),
  idleMs: ageOrNull,
})

export const arbitrarySocket: fc.Arbitrary<SocketReport> = fc.record({
  id: count,
  direction: fc.constantFrom('inbound', 'outbound'),
  kind: fc.constantFrom(...KINDS),
  local: endpoint,
  remote: endpoint,
  phase: fc.constantFrom(...PHASES),
  condition: fc.option(fc.constantFrom(...CONDITIONS)),
  verdict: fc.constantFrom(...VERDICTS),
  kernelState: fc.option(fc.constantFrom(...KERNEL_STATES)),
  seenBy: fc.constantFrom('stream', 'oracle', 'kernel'),
  sinceMs: ms,
  idleMs: ms,
  unreadBytes: count,
  unsentBytes: count,
  owner: fc.record({
    site: hostileText,
    label: fc.option(hostileText),
    request: fc.option(fc.record({ method: hostileText, path: hostileText })),
    context: fc.dictionary(hostileText, hostileText, { maxKeys: 3, noNullPrototype: true }),
    stack: fc.option(fc.array(hostileText, { maxLength: 3 })),
  }),
  diagnosis: hostileText,
  evidence,
  streams: fc.option(
    fc.record({
      open: count,
      isClosed: fc.boolean(),
      oldest: fc.array(
        fc.record({
          id: fc.option(count),
          method: fc.option(hostileText),
          path: fc.option(hostileText),
          ageMs: ageOrNull,
          unreadBytes: count,
          unsentBytes: count,
        }),
        { maxLength: 2 },
      ),
    }),
  ),
  partner: fc.option(
    fc.record({ ...partnerName, by: fc.constantFrom(...TIES), state: partnerState, sinceMs: ageOrNull }),
  ),
})

const censusCounts: fc.Arbitrary<CensusCounts> = fc.record({
  count,
  unanswered: count,
  longestUnansweredMs: ms,
  unread: count,
  longestUnreadMs: ms,
  unused: count,
  longestUnusedMs: ms,
})

const census: fc.Arbitrary<CensusReport> = fc.record({
  ageMs: ageOrNull,
  inbound: censusCounts,
  outbound: censusCounts,
  growingSites: count,
  sites: fc.array(
    fc
      .tuple(
        censusCounts,
        fc.record({
          site: hostileText,
          direction: fc.constantFrom('inbound' as const, 'outbound' as const),
          oldestMs: ms,
          idleMs: ms,
          growthPerMinute: fc.option(count),
          growthPerHour: fc.option(count),
          requests: fc.array(fc.record({ site: hostileText, count }), { maxLength: 3 }),
          growing: fc.boolean(),
          limitReachedInMs: ageOrNull,
          line: hostileText,
        }),
      )
      .map(([counts, rest]) => ({ ...counts, ...rest })),
    { maxLength: 3 },
  ),
  clients: fc.array(
    fc.record({
      origin: hostileText,
      library: fc.constantFrom('node:http' as const, 'undici' as const),
      busy: count,
      free: count,
      queued: count,
      longestQueuedMs: ms,
      busyWith: fc.array(fc.record({ site: hostileText, count }), { maxLength: 3 }),
      line: hostileText,
    }),
    { maxLength: 2 },
  ),
})

const site: fc.Arbitrary<SiteReport> = fc.record({
  site: hostileText,
  count,
  oldestMs: ms,
  conditions: fc
    .uniqueArray(fc.tuple(fc.constantFrom(...CONDITIONS), count), {
      selector: ([name]) => name,
      maxLength: CONDITIONS.length,
    })
    .map((entries) => Object.fromEntries(entries)),
  leakedTotal: count,
  growthPerHour: fc.double({ noNaN: true, noDefaultInfinity: true }),
  descriptorShare: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
})

const stalledSite: fc.Arbitrary<SiteCount> = site.map(
  ({ site: name, count: sockets, oldestMs, conditions }) => ({
    site: name,
    count: sockets,
    oldestMs,
    conditions,
  }),
)

const durations = fc.array(ms, { maxLength: 5 }).map((times) => {
  const histogram = new Durations()
  for (const time of times) histogram.note(time)
  return histogram.report()
})

export const arbitraryReport: fc.Arbitrary<Report> = fc.record({
  schema: fc.constant(REPORT_SCHEMA),
  generatedAt: fc.constant('2026-02-03T14:05:06.789Z'),
  process: fc.record({ pid: count, node: hostileText, platform: hostileText, uptimeSeconds: ms }),
  kernel: fc.record({ probe: hostileText.map((text) => text || 'ffi'), reason: fc.option(hostileText) }),
  totals: fc.record({
    tracked: count,
    suspect: count,
    leaked: count,
    stalled: count,
    recovered: count,
    reclaimed: count,
    dead: count,
    exempt: count,
  }),
  stalls: fc.record({ count, longestMs: count, lastMs: count, lastEndedMs: ageOrNull }),
  descriptors: fc.record({
    openDescriptors: fc.option(count),
    descriptorLimit: fc.option(count),
    pressure: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
    reclaimed: count,
  }),
  limitReachedInMs: fc.option(count),
  growthPerHour: fc.double({ noNaN: true, noDefaultInfinity: true }),
  closing: fc.array(
    fc.record({
      server: fc.option(hostileText),
      sinceMs: ms,
      connections: fc.integer({ min: 1, max: 1000 }),
      holders: fc.array(
        fc.record({
          how: fc.constantFrom('upgrade' as const, 'half-open' as const),
          site: hostileText,
          count: fc.integer({ min: 1, max: 1000 }),
          oldestMs: ms,
        }),
        { maxLength: 2 },
      ),
      line: hostileText,
    }),
    { maxLength: 2 },
  ),
  orphans: fc.option(
    fc.record({
      tcp: count,
      states: fc.constant({ CLOSE_WAIT: 2 }),
      closeWait: fc.array(
        fc.record({ fd: count, local: end, remote: end, unreadBytes: count, unsentBytes: count }),
        { maxLength: 2 },
      ),
      unix: count,
      other: count,
      listeners: count,
      socketDescriptors: count,
      ageMs: count,
    }),
  ),
  lint: fc.array(
    fc.record({
      rule: fc.constantFrom(...LINT_RULES),
      message: hostileText,
      remedy: hostileText,
      where: fc.option(hostileText),
    }),
    { maxLength: 3 },
  ),
  history: fc.array(count, { minLength: 1, maxLength: 3 }).map((column) => ({
    at: column,
    tracked: column,
    suspect: column,
    leaked: column,
    reclaimed: column,
    openDescriptors: column.map((value) => (value % 2 === 0 ? value : null)),
    descriptorLimit: column,
    sites: [{ site: '</script><!--', net: [-1, 2] }],
  })),
  ports: fc.array(
    fc.record({
      remote: hostileText,
      localPort: fc.nat({ max: 65_535 }),
      heldPorts: count,
    }),
    { maxLength: 12 },
  ),
  conditions: fc.uniqueArray(
    fc.record({
      condition: fc.option(fc.constantFrom(...CONDITIONS)),
      verdict: fc.constantFrom('suspect' as const, 'leaked' as const, 'stalled' as const, 'exempt' as const),
      count,
      oldestMs: ms,
      unreadBytes: count,
      unsentBytes: count,
    }),
    { selector: ({ condition, verdict }) => `${condition} ${verdict}` },
  ),
  standings: fc.array(
    fc.record({
      direction: fc.constantFrom('inbound' as const, 'outbound' as const),
      phase: fc.constantFrom(...PHASES),
      condition: fc.option(fc.constantFrom(...CONDITIONS)),
      verdict: fc.constantFrom('suspect' as const, 'leaked' as const, 'stalled' as const, 'exempt' as const),
      count: fc.integer({ min: 1, max: 1000 }),
    }),
    { maxLength: 1 },
  ),
  measures: fc.record({
    sites: fc.array(fc.record({ site: hostileText, leakedTotal: count, leaked: count }), { maxLength: 21 }),
    halfClosed: fc.record({ inbound: durations, outbound: durations }),
    reclaim: durations,
    sweeps: fc.record({ count, totalMs: ms, longestMs: ms }),
    faults: fc.constantFrom({}, { SLG_WARN_INTERNAL: 1, SLG_ERR_REPORT_LISTEN: 2 }),
  }),
  code: fc.array(
    fc.record({
      id: count,
      site: hostileText,
      code: fc.array(
        fc.record({
          how: hostileText,
          name: hostileText,
          file: hostileText,
          line: count,
          package: fc.option(hostileText),
          place: hostileText,
        }),
        { maxLength: 2 },
      ),
      reason: fc.option(hostileText),
      blockedMs: ms,
    }),
    { maxLength: 2 },
  ),
  census,
  partedPairs: count,
  pairs: fc.array(
    fc.record({
      by: fc.constantFrom(...TIES),
      sides: fc.tuple(pairSide, pairSide),
      line: hostileText,
    }),
    { maxLength: 3 },
  ),
  sites: fc.array(site, { maxLength: 4 }),
  stalledSites: fc.array(stalledSite, { maxLength: 4 }),
  healedSites: fc.array(
    fc.record({ site: hostileText, leakedTotal: count, reclaimed: count, healedMs: ms }),
    { maxLength: 3 },
  ),
  sockets: fc.array(arbitrarySocket, { maxLength: 4 }),
  nextAfter: fc.option(count),
})
