/** What speaks for a peer that answers, for one that is gone, and for neither. */
import t from 'tap'
import { judgePeer, type PeerFacts } from '../../src/judge/peer.js'
import { kernel } from './story.js'

function judge(facts: Partial<PeerFacts>) {
  return judgePeer({ disconnected: false, kernel: null, idleMs: 30_000, keepAlive: 'off', ...facts })
}

const answered = (ages: { lastDataReceivedMs?: number; lastAckReceivedMs?: number }) => kernel(ages)

const CASES: readonly (readonly [string, Partial<PeerFacts>, ReturnType<typeof judgePeer>])[] = [
  [
    'a closed connection, whatever else is known',
    { disconnected: true, kernel: answered({ lastAckReceivedMs: 5 }), keepAlive: 'guard' },
    { peer: 'gone', peerBasis: 'the kernel has closed the connection (getpeername: ENOTCONN)' },
  ],
  ['nothing is known', {}, { peer: 'unknown', peerBasis: '' }],
  ['nor from the kernel', { kernel: kernel({}) }, { peer: 'unknown', peerBasis: '' }],
  ...(['guard', 'application'] as const).map(
    (keepAlive) =>
      [
        `asked by the ${keepAlive}`,
        { keepAlive, kernel: kernel({}) },
        { peer: 'unknown', peerBasis: 'keep-alive is on, no answer is known yet' },
      ] as const,
  ),
  [
    'retransmissions come before probes and before an older answer',
    { kernel: kernel({ retransmits: 1, probes: 2, lastAckReceivedMs: 5 }) },
    { peer: 'unknown', peerBasis: '1 retransmissions are unanswered' },
  ],
  [
    'so do probes',
    { kernel: kernel({ retransmits: 0, probes: 1, lastAckReceivedMs: 5 }) },
    { peer: 'unknown', peerBasis: '1 probes are unanswered' },
  ],
  [
    'data comes before an acknowledgement',
    { kernel: answered({ lastDataReceivedMs: 2000, lastAckReceivedMs: 1000 }) },
    { peer: 'alive', peerBasis: 'it sent data 2 s ago' },
  ],
  [
    'an acknowledgement, though nothing was sent',
    { kernel: kernel({ retransmits: 0, probes: 0, lastAckReceivedMs: 1000 }) },
    { peer: 'alive', peerBasis: 'it sent an acknowledgement 1 s ago' },
  ],
  [
    'old data, and an acknowledgement that is younger',
    { idleMs: 90_000, kernel: answered({ lastDataReceivedMs: 80_000, lastAckReceivedMs: 1000 }) },
    { peer: 'alive', peerBasis: 'it sent an acknowledgement 1 s ago' },
  ],
]

for (const [name, facts, verdict] of CASES) t.test(name, async (t) => t.same(judge(facts), verdict))

for (const age of ['lastDataReceivedMs', 'lastAckReceivedMs'] as const) {
  t.test(`${age}: news for a minute, and only if it is clearly younger than the last byte`, async (t) => {
    const peerAt = (ageMs: number, idleMs: number) =>
      judge({ idleMs, kernel: answered({ [age]: ageMs }) }).peer
    t.equal(peerAt(59_999, 90_000), 'alive')
    t.equal(peerAt(60_000, 90_000), 'unknown')
    t.equal(peerAt(28_999, 30_000), 'alive')
    t.equal(peerAt(29_000, 30_000), 'unknown')
  })
}
