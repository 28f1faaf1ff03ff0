import { ACTIONS, TIES, type Action } from '../core/vocabulary.js'
import { describeValue } from '../base/errors.js'
import { fieldPath, flag, fraction, integer, invalidOption, offOr, oneOf, plain, record } from './rules.js'
import { secret, text, trueMeans, type Rule } from './rules.js'
import type { IncidentPolicy, PressurePolicy, ResolvedOptions } from './options.js'
import type { ActionChooser, KeepAlivePolicy, StallPolicy } from '../judge/policy.js'

export interface Option<T> {
  readonly rule: Rule<T>
  readonly default: T
  readonly perServer: boolean
  /** One line for docs/options.md, without unit and range. */
  readonly doc: string
}

function forServer<T>(rule: Rule<T>, fallback: T, doc: string): Option<T> {
  return { ...forProcess(rule, fallback, doc), perServer: true }
}

function forProcess<T>(rule: Rule<T>, fallback: T, doc: string): Option<T> {
  return { rule, default: fallback, perServer: false, doc }
}

/** Whole seconds, up to MAX_TCP_KEEPIDLE and MAX_TCP_KEEPINTVL (include/net/tcp.h). */
const keepAliveMs = integer(1000, 32767 * 1000)
/** MAX_TCP_KEEPCNT (include/net/tcp.h). */
const MOST_KEEP_ALIVE_PROBES = 127

const KEEP_ALIVE = Object.freeze<KeepAlivePolicy>({
  idleMs: 30_000,
  intervalMs: 5000,
  count: 4,
  when: 'suspect',
})
const PRESSURE = Object.freeze<PressurePolicy>({ from: 0.7, to: 0.9, floorMs: 1000, maxSuspects: null })

const keepAlive = record<KeepAlivePolicy>(
  {
    idleMs: keepAliveMs,
    intervalMs: keepAliveMs,
    count: integer(1, MOST_KEEP_ALIVE_PROBES),
    when: oneOf(['suspect', 'always']),
  },
  KEEP_ALIVE,
  'idleMs,intervalMs,count,when',
  '30000,5000,4,suspect',
)

const pressure = record<PressurePolicy>(
  { from: fraction(), to: fraction(), floorMs: integer(0), maxSuspects: offOr(integer(1)) },
  PRESSURE,
  'from,to,floorMs or from,to,floorMs,maxSuspects',
  '0.7,0.9,1000',
  function checkOrder({ from, to }, path) {
    if (from < to) return
    const expects = `less than ${fieldPath('to', path)} (${to})`
    throw invalidOption(fieldPath('from', path), expects, describeValue(from))
  },
)

const STALLED: StallPolicy = Object.freeze({ graceMs: null, action: 'report' })

const action = oneOf<Action | ActionChooser>(ACTIONS, 'a function that returns one of them', isFunction)

const stalled = record<StallPolicy>(
  { graceMs: offOr(integer(0)), action },
  STALLED,
  'graceMs,action',
  '600000,end',
)

const INCIDENT: IncidentPolicy = Object.freeze({ dir: '.', atLeaked: 100, signal: null, redact: false })

const SIGNALS: readonly unknown[] = ['SIGUSR2', 'SIGHUP', 'SIGQUIT']

const incident = record<IncidentPolicy>(
  {
    dir: text('the path of a folder'),
    atLeaked: offOr(integer(1)),
    signal: offOr(plain('SIGUSR2, SIGHUP or SIGQUIT', (value) => SIGNALS.includes(value))),
    redact: flag(),
  },
  INCIDENT,
  'dir or dir,atLeaked,signal,redact',
  '/var/tmp',
)

function isFunction(value: unknown): boolean {
  return typeof value === 'function'
}

function isKernelProbe(value: unknown): boolean {
  const { name, ask } = Object(value) as Readonly<Record<string, unknown>>
  return typeof value === 'object' && typeof name === 'string' && isFunction(ask)
}

function isContextProvider(value: unknown): boolean {
  const { current, run } = Object(value) as Readonly<Record<string, unknown>>
  return typeof value === 'object' && isFunction(current) && (run === undefined || isFunction(run))
}

export const OPTIONS: { readonly [K in keyof ResolvedOptions]-?: Option<ResolvedOptions[K]> } = {
  graceMs: forServer(
    integer(0),
    60_000,
    'Idle time after which a suspect is leaked; it starts again whenever a byte moves.',
  ),
  maxHalfClosedMs: forServer(offOr(integer(1)), null, 'Absolute cap on a half-close, progress or not.'),
  action: forServer(action, 'report', 'What to do with a leaked socket; a function chooses for each.'),
  escalateMs: forServer(
    integer(0),
    5000,
    'Time that a remedy has to close the socket before the next stronger one is taken.',
  ),
  reclaimDead: forServer(flag(), true, 'Destroy a socket that is proven dead, where that loses nothing.'),
  keepAlive: forServer(
    offOr(keepAlive, false),
    KEEP_ALIVE,
    'Keep-alive probes, the evidence that separates a legal half-close from a dead peer.',
  ),
  propagateAbort: forServer(
    offOr(trueMeans('pipe', oneOf(TIES))),
    null,
    'Bring one connection of a pair into grace when the other is gone.',
  ),
  stalled: forServer(
    stalled,
    STALLED,
    'When a connection that is open both ways and does not move is reported as stalled, and what is done then.',
  ),
  sweepMs: forProcess(integer(10), 5000, 'Time between two looks at all tracked sockets.'),
  kernel: forProcess(
    oneOf(
      ['auto', 'ffi', 'proc', 'off'],
      'a KernelProbe (an object with a name and a function ask)',
      isKernelProbe,
    ),
    'auto',
    'How the kernel is asked about suspects.',
  ),
  context: forProcess(
    oneOf(
      ['auto', 'async-local-storage', 'cls-hooked', 'off'],
      'a ContextProvider (an object with a function current)',
      isContextProvider,
    ),
    'auto',
    'Where the owner of a socket is looked up.',
  ),
  stacks: forProcess(
    oneOf(['off', 'sampled', 'always']),
    'off',
    'Record the stacks of creation and last access.',
  ),
  code: forProcess(
    oneOf(['off', 'once']),
    'off',
    'Find the code that holds the first leaked socket of each site, once.',
  ),
  report: forProcess(
    offOr(text('an address (such as 127.0.0.1:9465 or unix:/run/app.sock)')),
    null,
    'Where the report endpoint listens.',
  ),
  reportToken: forProcess(
    offOr(secret(8)),
    null,
    'Bearer token that the report endpoint requires; an address that is not loopback needs one.',
  ),
  userTimeoutMs: forProcess(
    offOr(integer(1)),
    null,
    'TCP_USER_TIMEOUT: how long sent bytes may stay unacknowledged before the kernel gives up.',
  ),
  pressure: forProcess(
    offOr(trueMeans(PRESSURE, pressure)),
    null,
    'Shorten the grace as the process runs out of descriptors.',
  ),
  log: forProcess(
    offOr(oneOf(['stderr'], 'a function that takes a line', isFunction)),
    null,
    'Where one line per leaking site and interval goes.',
  ),
  logIntervalMs: forProcess(integer(0), 60_000, 'Least time between two lines about the same site.'),
  incident: forProcess(
    offOr(incident),
    null,
    'Save reports as files when leaks are many, as descriptors run out, and on a signal.',
  ),
}

export const OPTION_NAMES = Object.keys(OPTIONS) as readonly (keyof ResolvedOptions)[]
