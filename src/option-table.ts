/**
 * Every option, once: its rule, its default, where it may be given, and its line in the documentation.
 * Validation, the environment and the documentation test are derived from this table.
 */
import { ACTIONS, TIES } from './core/vocabulary.js'
import { describeValue } from './errors.js'
import { fieldPath, invalidOption, record } from './option-fields.js'
import { flag, fraction, integer, offOr, oneOf, secret, text, trueMeans } from './option-rules.js'
import type { Own, Rule } from './option-rules.js'
import type {
  ActionChooser,
  KeepAlivePolicy,
  LogFunction,
  PressurePolicy,
  ResolvedOptions,
} from './options.js'
import type { ContextProvider } from './observe/context/provider.js'
import type { KernelProbe } from './kernel/probe.js'

export interface Option<T> {
  readonly rule: Rule<T>
  readonly default: T
  /** It may differ from server to server. */
  readonly perServer: boolean
  /** One line for the documentation; the unit stands in the name, the range in `rule.expects`. */
  readonly doc: string
}

/**
 * The longest delay of a Node timer (lib/internal/timers.js, TIMEOUT_MAX), and of what the kernel takes as an
 * int.
 */
const LONGEST_MS = 2 ** 31 - 1

/**
 * The kernel counts keep-alive in whole seconds, and no further (include/net/tcp.h, MAX_TCP_KEEPIDLE,
 * MAX_TCP_KEEPINTVL).
 */
const SHORTEST_KEEP_ALIVE_MS = 1000
const LONGEST_KEEP_ALIVE_MS = 32767 * 1000

/** include/net/tcp.h, MAX_TCP_KEEPCNT. */
const MOST_KEEP_ALIVE_PROBES = 127

const SHORTEST_SWEEP_MS = 10

const SHORTEST_TOKEN = 8

const KEEP_ALIVE: KeepAlivePolicy = Object.freeze({
  idleMs: 30_000,
  intervalMs: 5000,
  count: 4,
  when: 'suspect',
})

const PRESSURE: PressurePolicy = Object.freeze({ from: 0.7, to: 0.9, floorMs: 1000, maxSuspects: null })

const actionChooser: Own = {
  expects: 'a function that returns one of them',
  accepts: (value) => typeof value === 'function',
}

const kernelProbe: Own = {
  expects: 'a KernelProbe (an object with a name and a function ask)',
  accepts(value) {
    if (typeof value !== 'object' || value === null) return false
    const { name, ask } = value as Partial<KernelProbe>
    return typeof name === 'string' && typeof ask === 'function'
  },
}

const logFunction: Own = {
  expects: 'a function that takes a line',
  accepts: (value) => typeof value === 'function',
}

const contextProvider: Own = {
  expects: 'a ContextProvider (an object with a function current)',
  accepts(value) {
    if (typeof value !== 'object' || value === null) return false
    const { current, run } = value as Partial<ContextProvider>
    return typeof current === 'function' && (run === undefined || typeof run === 'function')
  },
}

const keepAlive = record<KeepAlivePolicy>({
  expects: 'an object with any of idleMs, intervalMs, count and when',
  envExpects: 'idleMs,intervalMs,count,when (such as 30000,5000,4,suspect)',
  fields: {
    idleMs: integer(SHORTEST_KEEP_ALIVE_MS, LONGEST_KEEP_ALIVE_MS),
    intervalMs: integer(SHORTEST_KEEP_ALIVE_MS, LONGEST_KEEP_ALIVE_MS),
    count: integer(1, MOST_KEEP_ALIVE_PROBES),
    when: oneOf(['suspect', 'always']),
  },
  defaults: KEEP_ALIVE,
  envParts: 4,
})

const pressure = record<PressurePolicy>({
  expects: 'true, an object with any of from, to, floorMs and maxSuspects',
  envExpects: 'from,to,floorMs or from,to,floorMs,maxSuspects (such as 0.7,0.9,1000), on',
  fields: {
    from: fraction(),
    to: fraction(),
    floorMs: integer(0, LONGEST_MS),
    maxSuspects: offOr(integer(1, LONGEST_MS)),
  },
  defaults: PRESSURE,
  envParts: 3,
  takesTrue: true,
  check({ from, to }, path) {
    if (from < to) return
    throw invalidOption(
      fieldPath('from', path),
      `less than ${fieldPath('to', path)} (${to})`,
      describeValue(from),
    )
  },
})

export const OPTIONS: { readonly [K in keyof ResolvedOptions]-?: Option<ResolvedOptions[K]> } = {
  graceMs: {
    rule: integer(0, LONGEST_MS),
    default: 60_000,
    perServer: true,
    doc: 'Idle time after which a suspect is leaked; it starts again whenever a byte moves.',
  },
  maxHalfClosedMs: {
    rule: offOr(integer(1, LONGEST_MS)),
    default: null,
    perServer: true,
    doc: 'Absolute cap on a half-close, progress or not.',
  },
  action: {
    rule: oneOf<(typeof ACTIONS)[number], ActionChooser>(ACTIONS, actionChooser),
    default: 'report',
    perServer: true,
    doc: 'What to do with a leaked socket; a function chooses for each.',
  },
  escalateMs: {
    rule: integer(0, LONGEST_MS),
    default: 5000,
    perServer: true,
    doc: 'Time that a remedy has to close the socket before the next stronger one is taken.',
  },
  reclaimDead: {
    rule: flag(),
    default: true,
    perServer: true,
    doc: 'Destroy a socket that is proven dead, where that loses nothing.',
  },
  keepAlive: {
    rule: offOr(keepAlive, false),
    default: KEEP_ALIVE,
    perServer: true,
    doc: 'Keep-alive probes, the evidence that separates a legal half-close from a dead peer.',
  },
  propagateAbort: {
    rule: offOr(trueMeans('pipe', oneOf(TIES))),
    default: null,
    perServer: true,
    doc: 'Bring one connection of a pair into grace when the other is gone.',
  },
  sweepMs: {
    rule: integer(SHORTEST_SWEEP_MS, LONGEST_MS),
    default: 5000,
    perServer: false,
    doc: 'Time between two looks at all tracked sockets.',
  },
  kernel: {
    rule: oneOf<'auto' | 'ffi' | 'proc' | 'off', KernelProbe>(['auto', 'ffi', 'proc', 'off'], kernelProbe),
    default: 'auto',
    perServer: false,
    doc: 'How the kernel is asked about suspects.',
  },
  context: {
    rule: oneOf<'auto' | 'async-local-storage' | 'cls-hooked' | 'off', ContextProvider>(
      ['auto', 'async-local-storage', 'cls-hooked', 'off'],
      contextProvider,
    ),
    default: 'auto',
    perServer: false,
    doc: 'Where the owner of a socket is looked up.',
  },
  stacks: {
    rule: oneOf(['off', 'sampled', 'always']),
    default: 'off',
    perServer: false,
    doc: 'Record the stacks of creation and last access.',
  },
  report: {
    rule: offOr(text('an address (such as 127.0.0.1:9465 or unix:/run/app.sock)')),
    default: null,
    perServer: false,
    doc: 'Where the report endpoint listens.',
  },
  reportToken: {
    rule: offOr(secret(SHORTEST_TOKEN)),
    default: null,
    perServer: false,
    doc: 'Bearer token that the report endpoint requires; an address that is not loopback needs one.',
  },
  userTimeoutMs: {
    rule: offOr(integer(1, LONGEST_MS)),
    default: null,
    perServer: false,
    doc: 'TCP_USER_TIMEOUT: how long sent bytes may stay unacknowledged before the kernel gives up.',
  },
  pressure: {
    rule: offOr(pressure),
    default: null,
    perServer: false,
    doc: 'Shorten the grace as the process runs out of descriptors.',
  },
  log: {
    rule: offOr(oneOf<'stderr', LogFunction>(['stderr'], logFunction)),
    default: null,
    perServer: false,
    doc: 'Where one line per leaking site and interval goes.',
  },
  logIntervalMs: {
    rule: integer(0, LONGEST_MS),
    default: 60_000,
    perServer: false,
    doc: 'Least time between two lines about the same site.',
  },
}

export const OPTION_NAMES = Object.keys(OPTIONS) as readonly (keyof ResolvedOptions)[]
