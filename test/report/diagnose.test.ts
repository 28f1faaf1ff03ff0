import t from 'tap'
import { diagnose } from '../../src/report/diagnose.js'
import { formatEndpoint } from '../../src/core/endpoint.js'
import { formatDuration } from '../../src/core/format.js'
import type { SocketReport } from '../../src/core/report.js'
import { CONDITIONS, KINDS, VERDICTS, type Condition, type Kind } from '../../src/core/vocabulary.js'
import { ownedBy, sampleSocket } from '../core/sample-socket.js'

const REMOTE = '127.0.0.1:50122'

/** What a reader gets to see of each condition, as leaked by a plain server. */
const SENTENCES: Readonly<Record<Condition, string>> = {
  'eof-ignored':
    'the peer ended 2 min ago and the application has not ended its side. ' +
    "Call socket.end() on 'end', or create it with allowHalfOpen: false.",
  'eof-unread':
    'the peer ended 2 min ago, but 84 KB that nobody reads keep the end from being noticed. ' +
    'Read it, call socket.resume(), or give it up (socket.destroy()).',
  'fin-unseen':
    'the peer ended (seen 2 min ago), but nobody has read for 1 min 30 s: 84 KB wait before the end. ' +
    'Read it, call socket.resume(), or give it up (socket.destroy()).',
  'window-closed':
    'nobody has read for 1 min 30 s: 84 KB wait in the receive buffer and may hold the peer up. ' +
    'Read it, call socket.resume(), or give it up (socket.destroy()).',
  'reset-unseen':
    'the connection died (seen 2 min ago) and Node was not told: 84 KB are unread. ' +
    'Call socket.destroy(); with reclaimDead the guard closes it once all that was delivered has been read.',
  'fin-wait':
    'the application ended its side 2 min ago, and the end of the peer has not been seen. ' +
    "Give the peer a time limit: socket.destroy() some time after 'finish'.",
  'write-stalled':
    'the connection is ending, but no output has left for 1 min 30 s: 3.9 MB are waiting. ' +
    'Bound the wait: socket.resetAndDestroy() when the output makes no progress.',
  'closed-unread':
    'both sides are closed (seen 2 min ago), but 84 KB that nobody read keep the descriptor open. ' +
    'Read what the peer says (socket.resume()) before or after socket.end(), or use socket.destroySoon().',
  'self-connected':
    'it connected to its own address and port and talks to itself (seen 2 min ago). ' +
    'Connect to a port outside the ephemeral range, or check that the server is up before connecting.',
  abandoned:
    'the other connection of its pair left 2 min ago, and nobody told it. ' +
    'Destroy both ends of a pair together.',
}

function stuck(
  condition: Condition | null,
  overrides: Parameters<typeof sampleSocket>[0] = {},
): SocketReport {
  return sampleSocket({
    condition,
    kind: 'tcp',
    owner: ownedBy('listener :3000'),
    sinceMs: 120_000,
    idleMs: 90_000,
    unreadBytes: 86_016,
    unsentBytes: 4_089_446,
    ...overrides,
  })
}

t.test('what each condition reads like', async (t) => {
  for (const condition of CONDITIONS) {
    t.equal(
      diagnose(stuck(condition)),
      `Connection of listener :3000 from ${REMOTE}: ${SENTENCES[condition]}`,
      condition,
    )
  }
})

t.test('what is unread is advised by who reads it', async (t) => {
  for (const condition of ['eof-unread', 'fin-unseen', 'window-closed'] as const) {
    const piped = diagnose(stuck(condition), {
      hasReadableListener: false,
      isPiped: true,
      canReset: true,
      answerers: '',
    })
    t.match(piped, / or destroy both ends of the pipe \(use stream\.pipeline\)\.$/)
    t.notMatch(diagnose(stuck(condition, { kind: 'connect' })), 'stream.pipeline')
  }
  for (const condition of ['eof-unread', 'fin-unseen', 'window-closed', 'closed-unread'] as const) {
    const listened = diagnose(stuck(condition), {
      hasReadableListener: true,
      isPiped: false,
      canReset: true,
      answerers: '',
    })
    t.match(
      listened,
      "Call socket.read() until it returns null: with its 'readable' listener resume() has no effect",
    )
  }
})

t.test('output that waits for a TLS handshake', async (t) => {
  const evidence = { ...sampleSocket({}).evidence, heldBack: 'handshake' } as const
  const stalled = (overrides: Parameters<typeof stuck>[1]) =>
    diagnose(stuck('write-stalled', { kind: 'tls', evidence, ...overrides }))
  const what = "TLS handshake was never finished: 3.9 MB can't leave before that. "
  t.match(stalled({ phase: 'local-ended', kernelState: 'ESTABLISHED' }), `: the ${what}`)
  for (const overrides of [
    { phase: 'closing' },
    { phase: 'local-ended', kernelState: 'CLOSE_WAIT' },
  ] as const)
    t.match(stalled(overrides), `: the peer has ended, and the ${what}`)
})

t.test('an upgrade and a CONNECT that nobody has answered', async (t) => {
  for (const [kind, name] of [
    ['upgrade', 'upgrade'],
    ['connect', 'CONNECT'],
  ] as const) {
    const owner = { ...ownedBy(`${name} /old`), context: { [kind]: 'unanswered' } }
    t.equal(
      diagnose(stuck('eof-ignored', { kind, owner })),
      `Connection of ${name} /old from ${REMOTE}: the peer ended 2 min ago, and nobody has answered its ${name} nor ended it. ` +
        `Answer or destroy the socket in the '${kind}' listener also where nobody serves the target.`,
    )
    t.equal(
      diagnose(stuck(null, { kind, owner, verdict: 'none', phase: 'open' })),
      `Connection of ${name} /old from ${REMOTE}: open, and nobody has answered its ${name} for 1 min 30 s.`,
    )
  }
})

const CLAIMS_BYTES = /\b(\d[\d.]* [KMGT]?B|bytes)\b/

t.test('no bytes are claimed where none were counted', async (t) => {
  for (const condition of CONDITIONS) {
    const text = diagnose(stuck(condition, { unreadBytes: 0, unsentBytes: 0 }))
    t.notMatch(text, CLAIMS_BYTES, condition)
  }
})

t.test('whose it is: kind, label, site and peer', async (t) => {
  const subjectOf = (overrides: Parameters<typeof sampleSocket>[0]) =>
    diagnose(stuck('eof-ignored', overrides)).replace(/: the peer ended.*/, '')
  const names: Readonly<Record<Kind, string>> = {
    tcp: 'Connection',
    tls: 'TLS connection',
    http: 'HTTP connection',
    h2: 'HTTP/2 session',
    upgrade: 'Upgraded connection',
    connect: 'Tunnel',
    websocket: 'WebSocket',
    pipe: 'Pipe',
  }
  for (const kind of KINDS) {
    t.equal(subjectOf({ kind, owner: ownedBy('GET /a') }), `${names[kind]} of GET /a from ${REMOTE}`)
  }
  t.equal(
    subjectOf({ kind: 'upgrade', owner: ownedBy('upgrade /chat', 'chat room') }),
    `Upgraded connection "chat room" of /chat from ${REMOTE}`,
  )
  t.equal(subjectOf({ owner: ownedBy(''), remote: null }), 'Connection')
  const outbound = { direction: 'outbound', remote: { address: '::1', port: 443 } } as const
  t.equal(
    subjectOf({ ...outbound, owner: ownedBy('to [::1]:443') }),
    'Outgoing connection to [::1]:443',
    'a site that names the peer is not repeated',
  )
  t.equal(
    subjectOf({ ...outbound, kind: 'tls', owner: ownedBy('at fetchAll (jobs.js:7)', 'billing') }),
    'Outgoing TLS connection "billing" of at fetchAll (jobs.js:7) to [::1]:443',
  )
  t.equal(
    subjectOf({ direction: 'outbound', remote: null, owner: ownedBy('outgoing') }),
    'Outgoing connection',
  )
})

t.test('what to do depends on what it carries', async (t) => {
  const remedyOf = (...[condition, overrides]: Parameters<typeof stuck>) =>
    diagnose(stuck(condition, overrides)).replace(/^.*?\. /, '')
  t.equal(remedyOf('eof-ignored', { kind: 'connect' }), "Call socket.end() on 'end' in the connect handler.")
  for (const condition of ['eof-unread', 'fin-unseen', 'window-closed'] as const) {
    t.match(remedyOf(condition, { kind: 'http' }), /request body/)
    t.match(remedyOf(condition, { kind: 'http', direction: 'outbound' }), /response body/)
    t.notMatch(remedyOf(condition, { kind: 'tcp', direction: 'outbound' }), /body/, 'not everything is HTTP')
    t.match(remedyOf(condition, { kind: 'connect' }), /both ends of the tunnel/)
    t.match(remedyOf(condition, { kind: 'websocket' }), /ws\.resume\(\)/)
  }
  for (const condition of ['eof-ignored', 'reset-unseen', 'fin-wait', 'write-stalled'] as const) {
    t.match(remedyOf(condition, { kind: 'websocket' }), /ws\.terminate\(\)/)
    t.notMatch(remedyOf(condition, { kind: 'websocket' }), /socket\./i, 'ws owns the socket')
  }
  t.match(remedyOf('eof-ignored', { kind: 'http' }), /httpAllowHalfOpen/)
  const unresettable = { hasReadableListener: false, canReset: false, isPiped: false, answerers: '' }
  for (const kind of ['tls', 'pipe', 'upgrade', 'connect'] as const)
    t.notMatch(diagnose(stuck('write-stalled', { kind }), unresettable), /resetAndDestroy/, 'it throws')
  for (const kind of ['http', 'websocket'] as const)
    t.notMatch(remedyOf('write-stalled', { kind }), /resetAndDestroy/, `it throws on ${kind}, or may`)
  t.match(remedyOf('write-stalled', { kind: 'upgrade' }), /resetAndDestroy/)
  t.match(remedyOf('closed-unread', { kind: 'upgrade' }), /socket\.resume\(\).*destroySoon/)
  t.match(remedyOf('closed-unread', { kind: 'http', direction: 'outbound' }), /response body/)
})

t.test('the evidence about the peer is part of it, if there is any', async (t) => {
  const { evidence } = sampleSocket()
  const told = { ...evidence, peer: 'alive', peerBasis: 'it acknowledged a probe 2 s ago' } as const
  t.match(
    diagnose(stuck('fin-wait', { evidence: told })),
    'seen (peer alive: it acknowledged a probe 2 s ago). Give',
  )
  t.notMatch(diagnose(stuck('fin-wait', { evidence: { ...told, peer: 'unknown' } })), '(peer')
  t.notMatch(diagnose(stuck('fin-wait', { evidence: { ...told, peerBasis: '' } })), '(peer')
  const gone = { ...told, peer: 'gone' } as const
  t.match(diagnose(stuck('reset-unseen', { evidence: gone })), '(peer gone:')
  t.notMatch(diagnose(stuck('closed-unread', { evidence: gone })), '(peer', 'both sides are closed: no news')
})

t.test('who keeps output back is said', async (t) => {
  const told = (overrides: Parameters<typeof stuck>[1]): string =>
    diagnose(stuck('write-stalled', { phase: 'open', verdict: 'stalled', unsentBytes: 54, ...overrides }))
  const evidence = sampleSocket({}).evidence
  t.match(
    told({}),
    /: the connection is open both ways, but no output has left for 1 min 30 s: 54 B are waiting\. That is no leak while both sides are open\. Bound the wait: /,
  )
  t.match(
    told({ evidence: { ...evidence, heldBack: 'corked' } }),
    /the application holds 54 B back: .* no socket\.uncork\(\)\. .* Call socket\.uncork\(\) as often as socket\.cork\(\)\.$/,
  )
  t.match(
    told({ kind: 'tls', evidence: { ...evidence, heldBack: 'handshake' } }),
    /: the TLS handshake was never finished: 54 B can't leave before that\. .* Bound the handshake: /,
  )
})

t.test('verdicts that ask for nothing say so', async (t) => {
  const subject = `Connection of listener :3000 from ${REMOTE}`
  const table: readonly [Parameters<typeof stuck>, string][] = [
    [
      [null, { verdict: 'none', phase: 'open', idleMs: 90_000 }],
      'open on both sides, no byte has moved for 1 min 30 s. Nothing to do.',
    ],
    [[null, { verdict: 'none', phase: 'open', idleMs: 0 }], 'open on both sides. Nothing to do.'],
    [[null, { verdict: 'none', phase: 'closing' }], 'healthy (closing). Nothing to do.'],
    [[null, { verdict: 'recovered', phase: 'closing' }], 'has recovered; it was leaked. Nothing to do.'],
    [[null, { verdict: 'exempt' }], 'exempt, the application keeps it on purpose. Nothing to do.'],
    [[null, { verdict: 'reclaimed' }], 'closed by the guard. Nothing to do.'],
    [[null, { verdict: 'dead' }], 'died, its peer is gone. Nothing to do.'],
    [
      ['eof-ignored', { verdict: 'dead', seenBy: 'stream' }],
      'the peer ended 2 min ago and the application has not ended its side. It died: its peer is gone. Nothing to do.',
    ],
    [
      ['eof-ignored', { verdict: 'recovered' }],
      'has recovered; it was leaked: the peer ended 2 min ago and the application has not ended its side. ' +
        'Nothing to do.',
    ],
    [
      ['eof-ignored', { verdict: 'exempt' }],
      'the peer ended 2 min ago and the application has not ended its side. Exempt, the application keeps it on ' +
        'purpose.',
    ],
    [
      ['reset-unseen', { verdict: 'dead', seenBy: 'oracle', unreadBytes: 0 }],
      'the connection died (seen 2 min ago) and Node was not told: only the descriptor is left. The guard closed ' +
        'it, nothing was lost.',
    ],
    [
      ['eof-ignored', { verdict: 'reclaimed' }],
      'the peer ended 2 min ago and the application has not ended its side, so the guard closed it. ' +
        "Call socket.end() on 'end', or create it with allowHalfOpen: false.",
    ],
  ]
  for (const [socket, text] of table) t.equal(diagnose(stuck(...socket)), `${subject}: ${text}`)
})

t.test('every diagnosis says since when, whose and what to do, in words for people', async (t) => {
  let count = 0
  for (const condition of [null, ...CONDITIONS]) {
    for (const kind of KINDS) {
      for (const direction of ['inbound', 'outbound'] as const) {
        for (const verdict of VERDICTS) {
          for (const bytes of [0, 1, 5e6]) {
            const owner = ownedBy('SITE', 'LABEL')
            const socket = stuck(condition, {
              kind,
              direction,
              verdict,
              owner,
              unreadBytes: bytes,
              unsentBytes: bytes,
            })
            const text = diagnose(socket)
            const problems = [
              !/^[A-Z].*: .+\.$/.test(text) && 'no subject, or no full stop',
              / {2}|undefined|null|NaN|Infinity|\[object/.test(text) && 'not for people',
              !text.includes(`"LABEL" of SITE`) && 'not whose',
              !text.includes(REMOTE) && 'not from or to whom',
              condition !== null &&
                ![socket.sinceMs, socket.idleMs].some((ms) => text.includes(formatDuration(ms))) &&
                'not since when',
              !/(Nothing to do|Abort |Call |Destroy |Read |Give |Bound |Connect |Consume |Resume |Exempt|nothing was lost)/.test(
                text,
              ) && 'not what to do',
            ].filter((problem) => problem !== false)
            if (problems.length > 0) t.fail(`${problems.join(', ')}: ${text}`)
            count += 1
          }
        }
      }
    }
  }
  t.equal(count, (CONDITIONS.length + 1) * KINDS.length * 2 * VERDICTS.length * 3)
})

t.test('endpoints', async (t) => {
  t.equal(formatEndpoint({ address: '10.0.0.1', port: 80 }), '10.0.0.1:80')
  t.equal(formatEndpoint({ address: 'fe80::1%eth0', port: 80 }), '[fe80::1%eth0]:80')
  t.equal(formatEndpoint({ address: '/run/app.sock', port: null }), '/run/app.sock')
  t.equal(formatEndpoint({ address: '10.0.0.1', port: 0 }), '10.0.0.1:0')
})
