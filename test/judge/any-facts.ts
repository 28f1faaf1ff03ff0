import fc from 'fast-check'
import type { Facts } from '../../src/judge/facts.js'
import type { KernelFacts } from '../../src/core/kernel-facts.js'
import { KERNEL_STATES } from '../../src/core/vocabulary.js'

const bytes = fc.oneof(fc.constant(0), fc.nat(100_000))
const age = fc.option(fc.nat(1e6))

const anyKernel: fc.Arbitrary<KernelFacts> = fc.record({
  state: fc.option(fc.constantFrom(...KERNEL_STATES)),
  peerEnded: fc.option(fc.boolean()),
  unreadBytes: fc.option(bytes),
  unsentBytes: fc.option(bytes),
  lastDataReceivedMs: age,
  lastDataSentMs: age,
  lastAckReceivedMs: age,
  retransmits: age,
  probes: age,
  rttMs: age,
})

/** Any facts at all, likely or not: what Node shows is not always what one expects of it. */
export const anyFacts: fc.Arbitrary<Facts> = fc.record({
  connecting: fc.boolean(),
  destroyed: fc.boolean(),
  readable: fc.boolean(),
  writable: fc.boolean(),
  eofReceived: fc.boolean(),
  eofConsumed: fc.boolean(),
  localEnded: fc.boolean(),
  localFinished: fc.boolean(),
  reading: fc.boolean(),
  asked: fc.boolean(),
  unreadBytes: bytes,
  unsentBytes: bytes,
  bytesRead: bytes,
  bytesAccepted: bytes,
  selfConnected: fc.boolean(),
  abandoned: fc.option(fc.constantFrom('for-nobody', 'waiting')),
  disconnected: fc.option(fc.boolean()),
  kernel: fc.option(anyKernel),
  session: fc.option(
    fc.record({
      isClosed: fc.boolean(),
      openStreams: fc.nat(3),
      held: fc.option(fc.record({ unreadBytes: bytes, unsentBytes: bytes, movedMs: fc.nat(1e6) })),
    }),
  ),
})
