import { inspect } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { SocketLeakGuardError } from '../../src/base/errors.js'
import type { ErrorCode } from '../../src/base/errors.js'
import type { KernelProbe, ProbeRun } from '../../src/kernel/probe.js'
import type { ContextProvider } from '../../src/owner/context/provider.js'
import { OPTION_NAMES, OPTIONS } from '../../src/options/table.js'
import {
  DEFAULTS,
  resolveOptions,
  resolvePolicy,
  sameOptions,
  type InstallOptions,
  type PolicyOptions,
  type ResolvedOptions,
} from '../../src/options/options.js'
import type { SocketPolicy } from '../../src/judge/policy.js'

/** Holds when both unions are the same: an option that one of the interfaces forgot does not compile. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never
const interfacesAgree: [
  Same<keyof InstallOptions, keyof ResolvedOptions>,
  Same<keyof PolicyOptions, keyof SocketPolicy>,
] = [true, true]

const MAX = 2147483647
const KEEP_ALIVE = { idleMs: 30000, intervalMs: 5000, count: 4, when: 'suspect' }
const PRESSURE = { from: 0.7, to: 0.9, floorMs: 1000, maxSuspects: null }

function ask(): ProbeRun {
  return { advance: () => true, samples: [] }
}
const probe: KernelProbe = {
  name: 'mine',
  reason: null,
  ask,
}
class Provider implements ContextProvider {
  readonly name = 'mine'
  current(): null {
    return null
  }
}
const provider = new Provider()
const chooser = (): 'end' => 'end'

interface Table {
  readonly fallback: unknown
  /** Raw value and what it resolves to. */
  readonly good: [raw: unknown, resolved: unknown][]
  /** Raw value and the message. */
  readonly bad: [raw: unknown, message: string][]
}

const same = (...values: unknown[]): [unknown, unknown][] => values.map((value) => [value, value])
const off = (resolved: null | false): [unknown, unknown][] => [
  [null, resolved],
  [false, resolved],
  ['off', resolved],
]

function integerErrors(name: string, min: number, tail = ''): [unknown, string][] {
  const expects = `${name} must be an integer from ${min} to 2147483647${tail}`
  return [
    [min - 1, `${expects}, got ${min - 1} (number)`],
    [MAX + 1, `${expects}, got 2147483648 (number)`],
    [1000.5, `${expects}, got 1000.5 (number)`],
    [NaN, `${expects}, got NaN (number)`],
    [Infinity, `${expects}, got Infinity (number)`],
    ['30s', `${expects}, got "30s" (string)`],
    ['1000', `${expects}, got "1000" (string)`],
    [1000n, `${expects}, got 1000 (bigint)`],
    [true, `${expects}, got true (boolean)`],
    [{}, `${expects}, got Object (object)`],
    [[1000], `${expects}, got array (object)`],
  ]
}

const OR_OFF = ', or "off"'
const KEEP_ALIVE_EXPECTS =
  'keepAlive must be an object with any of idleMs, intervalMs, count and when, or "off"'
const INCIDENT = { dir: '.', atLeaked: 100, signal: null, redact: false }
const INCIDENT_EXPECTS = 'incident must be an object with any of dir, atLeaked, signal and redact, or "off"'

const PRESSURE_EXPECTS =
  'pressure must be true, an object with any of from, to, floorMs and maxSuspects, or "off"'
const SECONDS_EXPECTS = 'must be an integer from 1000 to 32767000'
const TOKEN_EXPECTS =
  'reportToken must be a string of at least 8 visible ASCII characters without spaces, or "off"'
const REPORT_EXPECTS = 'report must be an address (such as 127.0.0.1:9465 or unix:/run/app.sock), or "off"'
const KERNEL_EXPECTS =
  'kernel must be "auto", "ffi", "proc", "off" or a KernelProbe (an object with a name and a function ask)'
const CONTEXT_EXPECTS =
  'context must be "auto", "async-local-storage", "cls-hooked", "off" or ' +
  'a ContextProvider (an object with a function current)'
const ACTION_EXPECTS =
  'action must be "report", "end", "destroy", "reset" or a function that returns one of them'

const STALLED = { graceMs: null, action: 'report' }
const STALLED_EXPECTS = 'stalled must be an object with any of graceMs and action'

const PROPAGATE_EXPECTS = 'propagateAbort must be true, "pipe" or "context", or "off"'

const TABLES: Record<keyof ResolvedOptions, Table> = {
  graceMs: {
    fallback: 60000,
    good: same(0, 1, 60000, MAX),
    bad: [
      ...integerErrors('graceMs', 0),
      [null, 'graceMs must be an integer from 0 to 2147483647, got null'],
    ],
  },
  maxHalfClosedMs: {
    fallback: null,
    good: [...same(1, MAX), ...off(null)],
    bad: integerErrors('maxHalfClosedMs', 1, OR_OFF),
  },
  action: {
    fallback: 'report',
    good: same('report', 'end', 'destroy', 'reset', chooser),
    bad: [
      ['kill', `${ACTION_EXPECTS}, got "kill" (string)`],
      ['Report', `${ACTION_EXPECTS}, got "Report" (string)`],
      [['end'], `${ACTION_EXPECTS}, got array (object)`],
      [false, `${ACTION_EXPECTS}, got false (boolean)`],
    ],
  },
  propagateAbort: {
    fallback: null,
    good: [...same('pipe', 'context'), ...off(null), [true, 'pipe']],
    bad: [
      ['abort', `${PROPAGATE_EXPECTS}, got "abort" (string)`],
      [1, `${PROPAGATE_EXPECTS}, got 1 (number)`],
    ],
  },
  escalateMs: { fallback: 5000, good: same(0, 5000, MAX), bad: integerErrors('escalateMs', 0) },
  reclaimDead: {
    fallback: true,
    good: same(true, false),
    bad: [
      [1, 'reclaimDead must be true or false, got 1 (number)'],
      ['off', 'reclaimDead must be true or false, got "off" (string)'],
      [null, 'reclaimDead must be true or false, got null'],
    ],
  },
  keepAlive: {
    fallback: KEEP_ALIVE,
    good: [
      ...off(false),
      [{}, KEEP_ALIVE],
      [{ idleMs: undefined }, KEEP_ALIVE],
      [{ idleMs: 1000 }, { ...KEEP_ALIVE, idleMs: 1000 }],
      [{ intervalMs: 32767000 }, { ...KEEP_ALIVE, intervalMs: 32767000 }],
      [{ idleMs: 1500 }, { ...KEEP_ALIVE, idleMs: 1500 }],
      [{ count: 127 }, { ...KEEP_ALIVE, count: 127 }],
      [{ when: 'always' }, { ...KEEP_ALIVE, when: 'always' }],
    ],
    bad: [
      [true, `${KEEP_ALIVE_EXPECTS}, got true (boolean)`],
      [30000, `${KEEP_ALIVE_EXPECTS}, got 30000 (number)`],
      [[30000, 5000, 4], `${KEEP_ALIVE_EXPECTS}, got array (object)`],
      ['30000,5000,4,suspect', `${KEEP_ALIVE_EXPECTS}, got "30000,5000,4,suspect" (string)`],
      [{ idleMs: 999 }, `keepAlive.idleMs ${SECONDS_EXPECTS}, got 999 (number)`],
      [{ idleMs: 32767001 }, `keepAlive.idleMs ${SECONDS_EXPECTS}, got 32767001 (number)`],
      [{ intervalMs: 5 }, `keepAlive.intervalMs ${SECONDS_EXPECTS}, got 5 (number)`],
      [{ count: 0 }, 'keepAlive.count must be an integer from 1 to 127, got 0 (number)'],
      [{ count: 128 }, 'keepAlive.count must be an integer from 1 to 127, got 128 (number)'],
      [{ when: 'never' }, 'keepAlive.when must be "suspect" or "always", got "never" (string)'],
      [{ when: null }, 'keepAlive.when must be "suspect" or "always", got null'],
    ],
  },
  stalled: {
    fallback: STALLED,
    good: [
      [{}, STALLED],
      [{ graceMs: 0 }, { ...STALLED, graceMs: 0 }],
      [{ graceMs: 'off' }, STALLED],
      [{ action: 'destroy' }, { ...STALLED, action: 'destroy' }],
      [{ action: chooser }, { ...STALLED, action: chooser }],
    ],
    bad: [
      ['end', `${STALLED_EXPECTS}, got "end" (string)`],
      [false, `${STALLED_EXPECTS}, got false (boolean)`],
      [{ graceMs: -1 }, 'stalled.graceMs must be an integer from 0 to 2147483647, or "off", got -1 (number)'],
      [{ action: 'kill' }, `stalled.${ACTION_EXPECTS}, got "kill" (string)`],
    ],
  },
  sweepMs: { fallback: 5000, good: same(10, 5000, MAX), bad: integerErrors('sweepMs', 10) },
  log: {
    fallback: null,
    good: [
      ...same('stderr', ask),
      ...(['off', false, null] as const).map((off): [unknown, unknown] => [off, null]),
    ],
    bad: [
      ['stdout', 'log must be "stderr" or a function that takes a line, or "off", got "stdout" (string)'],
    ],
  },
  incident: {
    fallback: null,
    good: [
      ...off(null),
      [{}, INCIDENT],
      [{ dir: '/var/tmp' }, { ...INCIDENT, dir: '/var/tmp' }],
      [{ atLeaked: 'off' }, { ...INCIDENT, atLeaked: null }],
      [
        { signal: 'SIGHUP', redact: true },
        { ...INCIDENT, signal: 'SIGHUP', redact: true },
      ],
    ],
    bad: [
      [true, `${INCIDENT_EXPECTS}, got true (boolean)`],
      [{ dir: '' }, 'incident.dir must be the path of a folder, got "" (string)'],
      [
        { atLeaked: 0 },
        'incident.atLeaked must be an integer from 1 to 2147483647, or "off", got 0 (number)',
      ],
      [
        { signal: 'SIGTERM' },
        'incident.signal must be SIGUSR2, SIGHUP or SIGQUIT, or "off", got "SIGTERM" (string)',
      ],
    ],
  },
  logIntervalMs: {
    fallback: 60_000,
    good: same(0, 1000, MAX),
    bad: integerErrors('logIntervalMs', 0),
  },
  kernel: {
    fallback: 'auto',
    good: same('auto', 'ffi', 'proc', 'off', probe),
    bad: [
      ['none', `${KERNEL_EXPECTS}, got "none" (string)`],
      [null, `${KERNEL_EXPECTS}, got null`],
      [{ name: 'mine' }, `${KERNEL_EXPECTS}, got Object (object)`],
      [{ name: 1, ask: ask }, `${KERNEL_EXPECTS}, got Object (object)`],
      [ask, `${KERNEL_EXPECTS}, got function ask`],
    ],
  },
  context: {
    fallback: 'auto',
    good: same('auto', 'async-local-storage', 'cls-hooked', 'off', provider, { current: () => null }),
    bad: [
      ['als', `${CONTEXT_EXPECTS}, got "als" (string)`],
      [{ current: 1 }, `${CONTEXT_EXPECTS}, got Object (object)`],
      [{ current: () => null, run: 1 }, `${CONTEXT_EXPECTS}, got Object (object)`],
      [() => null, `${CONTEXT_EXPECTS}, got function (anonymous)`],
    ],
  },
  stacks: {
    fallback: 'off',
    good: same('off', 'sampled', 'always'),
    bad: [
      [true, 'stacks must be "off", "sampled" or "always", got true (boolean)'],
      ['on', 'stacks must be "off", "sampled" or "always", got "on" (string)'],
    ],
  },
  code: {
    fallback: 'off',
    good: same('off', 'once'),
    bad: [[true, 'code must be "off" or "once", got true (boolean)']],
  },
  report: {
    fallback: null,
    good: [...same('127.0.0.1:9465', 'unix:/run/app.sock'), ...off(null)],
    bad: [
      [9465, `${REPORT_EXPECTS}, got 9465 (number)`],
      ['', `${REPORT_EXPECTS}, got "" (string)`],
      [true, `${REPORT_EXPECTS}, got true (boolean)`],
    ],
  },
  reportToken: {
    fallback: null,
    good: [...same('s3cret-t', 'x'.repeat(1000)), ...off(null)],
    bad: [
      ['s3cret-', `${TOKEN_EXPECTS}, got a value that is not shown here`],
      ['', `${TOKEN_EXPECTS}, got a value that is not shown here`],
      [12345678, `${TOKEN_EXPECTS}, got a value that is not shown here`],
      ['s3cret-token\n', `${TOKEN_EXPECTS}, got a value that is not shown here`],
      ['pässwörter', `${TOKEN_EXPECTS}, got a value that is not shown here`],
    ],
  },
  userTimeoutMs: {
    fallback: null,
    good: [...same(1, MAX), ...off(null)],
    bad: integerErrors('userTimeoutMs', 1, OR_OFF),
  },
  pressure: {
    fallback: null,
    good: [
      ...off(null),
      [true, PRESSURE],
      [{}, PRESSURE],
      [{ to: 1 }, { ...PRESSURE, to: 1 }],
      [
        { from: 0.01, to: 0.02 },
        { ...PRESSURE, from: 0.01, to: 0.02 },
      ],
      [{ floorMs: 0 }, { ...PRESSURE, floorMs: 0 }],
      [{ maxSuspects: 1 }, { ...PRESSURE, maxSuspects: 1 }],
      [{ maxSuspects: 'off' }, PRESSURE],
    ],
    bad: [
      ['on', `${PRESSURE_EXPECTS}, got "on" (string)`],
      [0.7, `${PRESSURE_EXPECTS}, got 0.7 (number)`],
      [{ from: 0 }, 'pressure.from must be a number above 0 and at most 1, got 0 (number)'],
      [{ from: NaN }, 'pressure.from must be a number above 0 and at most 1, got NaN (number)'],
      [{ to: 1.1 }, 'pressure.to must be a number above 0 and at most 1, got 1.1 (number)'],
      [{ to: '0.9' }, 'pressure.to must be a number above 0 and at most 1, got "0.9" (string)'],
      [{ from: 0.95 }, 'pressure.from must be less than pressure.to (0.9), got 0.95 (number)'],
      [{ from: 0.9 }, 'pressure.from must be less than pressure.to (0.9), got 0.9 (number)'],
      [{ floorMs: -1 }, 'pressure.floorMs must be an integer from 0 to 2147483647, got -1 (number)'],
      [
        { maxSuspects: 0 },
        'pressure.maxSuspects must be an integer from 1 to 2147483647, or "off", got 0 (number)',
      ],
    ],
  },
}

function invalid(message: string): { name: string; code: ErrorCode; message: string } {
  return { name: 'SocketLeakGuardError', code: 'SLG_ERR_INVALID_OPTION', message }
}

function unknown(message: string): { name: string; code: ErrorCode; message: string } {
  return { name: 'SocketLeakGuardError', code: 'SLG_ERR_UNKNOWN_OPTION', message }
}

/** What a call throws, all of it: `t.throws` would be content with a part of the message. */
function thrownBy(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    if (!(error instanceof SocketLeakGuardError)) return error
    const { name, code, message, cause } = error
    return { name, code, message, ...(cause === undefined ? {} : { cause }) }
  }
  return 'nothing'
}

for (const name of OPTION_NAMES) {
  const { fallback, good, bad } = TABLES[name]

  t.test(`${name}: default`, async (t) => {
    t.strictSame(DEFAULTS[name], fallback)
    t.strictSame(resolveOptions({})[name], fallback)
    t.strictSame(resolveOptions({ [name]: undefined })[name], fallback)
  })

  t.test(`${name}: takes what it should`, async (t) => {
    for (const [raw, resolved] of good) {
      const options = resolveOptions({ [name]: raw })
      t.strictSame(options[name], resolved)
      t.strictSame({ ...options, [name]: null }, { ...DEFAULTS, [name]: null }, 'and nothing else moved')
      if (typeof raw === 'function') t.equal(options[name], raw)
    }
  })

  t.test(`${name}: refuses what it should`, async (t) => {
    for (const [raw, message] of bad)
      t.strictSame(
        thrownBy(() => resolveOptions({ [name]: raw })),
        invalid(message),
      )
  })

  t.test(`${name}: is documented in one line`, async (t) => {
    t.match(OPTIONS[name].doc, /^[A-Z][^\n|]+\.$/)
  })
}

t.test('the interfaces name the options of the table', async (t) => {
  t.strictSame(interfacesAgree, [true, true])
  t.strictSame([...OPTION_NAMES].sort(), Object.keys(TABLES).sort())
})

t.test('nothing asked for is the defaults', async (t) => {
  for (const nothing of [undefined, {}, Object.create(null)]) {
    t.strictSame(resolveOptions(nothing), DEFAULTS)
    t.ok(sameOptions(resolveOptions(nothing), DEFAULTS))
  }
})

t.test('options must be a plain object', async (t) => {
  const cases: [unknown, string][] = [
    [null, 'null'],
    [30000, '30000 (number)'],
    ['report', '"report" (string)'],
    [true, 'true (boolean)'],
    [Symbol('x'), 'Symbol(x) (symbol)'],
    [[], 'array (object)'],
    [new Map([['graceMs', 1]]), 'Map (object)'],
    [Promise.resolve({ graceMs: 1 }), 'Promise (object)'],
    [() => ({}), 'function (anonymous)'],
  ]
  for (const [input, got] of cases) {
    const error = invalid(`options must be a plain object, got ${got}`)
    t.strictSame(
      thrownBy(() => resolveOptions(input)),
      error,
    )
    t.strictSame(
      thrownBy(() => resolvePolicy(input, DEFAULTS)),
      error,
    )
  }
})

t.test('a namespace and an instance with getters hold options too', async (t) => {
  class Config {
    get graceMs(): number {
      return 5
    }
  }
  t.equal(resolveOptions(new Config()).graceMs, 5)
  const namespace = (await import(`data:text/javascript,export const graceMs = ${6}`)) as unknown
  t.equal(resolveOptions(namespace).graceMs, 6)
})

t.test('an unknown option is an error that names the nearest one', async (t) => {
  const cases: [object, string][] = [
    [{ gracems: 1 }, 'unknown option "gracems"; did you mean "graceMs"?'],
    [{ timeout: 1 }, 'unknown option "timeout"; did you mean "userTimeoutMs"?'],
    [{ reportTokn: 's3cret-token' }, 'unknown option "reportTokn"; did you mean "reportToken"?'],
    [{ sweepMS: undefined }, 'unknown option "sweepMS"; did you mean "sweepMs"?'],
    [{ keepAlive: { idle: 1 } }, 'unknown option "keepAlive.idle"; did you mean "keepAlive.idleMs"?'],
    [{ pressure: { floor: 1 } }, 'unknown option "pressure.floor"; did you mean "pressure.floorMs"?'],
  ]
  for (const [input, message] of cases)
    t.strictSame(
      thrownBy(() => resolveOptions(input)),
      unknown(message),
    )
  for (const key of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) {
    const input: unknown = JSON.parse(`{"${key}":1}`)
    t.throws(() => resolveOptions(input), { code: 'SLG_ERR_UNKNOWN_OPTION' }, key)
  }
  t.strictSame(
    thrownBy(() => resolveOptions({ ['sweepMsx'.repeat(1000)]: 1 })),
    unknown(`unknown option "${'sweepMsx'.repeat(8).slice(0, 57)}..."; did you mean "sweepMs"?`),
  )
})

t.test('what a library put on Object.prototype is not an unknown option', async (t) => {
  Object.defineProperty(Object.prototype, 'strayHelper', { value: 1, enumerable: true, configurable: true })
  t.teardown(() => Reflect.deleteProperty(Object.prototype, 'strayHelper'))
  t.strictSame(resolveOptions({ graceMs: 1 }).graceMs, 1)
})

t.test('each property is read once, so a getter that changes its mind is believed once', async (t) => {
  const reads = new Map<string, number>()
  const fickle = (path: string, first: unknown, later: unknown) => ({
    enumerable: true,
    get() {
      reads.set(path, (reads.get(path) ?? 0) + 1)
      return reads.get(path) === 1 ? first : later
    },
  })
  const keepAlive = Object.defineProperties({}, { idleMs: fickle('keepAlive.idleMs', 2000, 'soon') })
  const pressure = Object.defineProperties({}, { from: fickle('pressure.from', 0.5, 0.99) })
  const input = Object.defineProperties(
    {},
    {
      graceMs: fickle('graceMs', 7, '30s'),
      action: fickle('action', 'report', 'reset'),
      keepAlive: fickle('keepAlive', keepAlive, null),
      pressure: fickle('pressure', pressure, 0),
    },
  )
  const options = resolveOptions(input)
  t.equal(options.graceMs, 7)
  t.equal(options.action, 'report')
  t.strictSame(options.keepAlive, { ...KEEP_ALIVE, idleMs: 2000 })
  t.strictSame(options.pressure, { ...PRESSURE, from: 0.5 })
  t.equal(reads.size, 6)
  for (const [path, count] of reads) t.equal(count, 1, path)
})

t.test('what goes wrong while reading is the cause of an error of ours', async (t) => {
  const cause = new Error('from the getter')
  const throwing = {
    get(): never {
      throw cause
    },
  }
  t.strictSame(
    thrownBy(() => resolveOptions(Object.defineProperty({}, 'graceMs', throwing))),
    {
      ...invalid('graceMs could not be read'),
      cause,
    },
  )
  t.strictSame(
    thrownBy(() => resolveOptions({ keepAlive: Object.defineProperty({}, 'count', throwing) })),
    {
      ...invalid('keepAlive.count could not be read'),
      cause,
    },
  )
  t.strictSame(
    thrownBy(() => resolveOptions({ kernel: Object.defineProperty({}, 'ask', throwing) })),
    {
      ...invalid('kernel could not be read'),
      cause,
    },
  )
  const revoked = Proxy.revocable({}, {})
  revoked.revoke()
  t.match(
    thrownBy(() => resolveOptions(revoked.proxy)),
    { ...invalid('options could not be read'), cause: TypeError },
  )
  t.match(
    thrownBy(() => resolveOptions({ keepAlive: revoked.proxy })),
    { ...invalid('keepAlive could not be read'), cause: TypeError },
  )
})

t.test('a value that resists description still gets a plain message', async (t) => {
  const expects = 'graceMs must be an integer from 0 to 2147483647'
  const revoked = Proxy.revocable({}, {})
  revoked.revoke()
  const nameless = Object.defineProperty(() => 1, 'name', { value: Symbol('name') })
  for (const [raw, got] of [
    [revoked.proxy, 'object'],
    [{ constructor: { name: Symbol('name') } }, 'object'],
    [nameless, 'function'],
    [Object.create(null), 'object (object)'],
    [10n ** 1000n, `1${'0'.repeat(56)}... (bigint)`],
    ['x'.repeat(1000), `"${'x'.repeat(57)}..." (string)`],
  ]) {
    t.strictSame(
      thrownBy(() => resolveOptions({ graceMs: raw })),
      invalid(`${expects}, got ${String(got)}`),
    )
  }
})

t.test('a token never shows in a message, wherever it was put', async (t) => {
  const token = 'hush hush'
  const inputs = [{ reportToken: token }, { reportToken: { token } }, { reportTokens: token }]
  for (const input of inputs) {
    const thrown = JSON.stringify(thrownBy(() => resolveOptions(input)))
    t.match(thrown, 'SLG_ERR_')
    t.notOk(thrown.includes(token))
  }
})

t.test('nor where resolved options are printed, written as JSON or copied', async (t) => {
  const options = resolveOptions({ reportToken: 's3cret-token' })
  t.equal(options.reportToken, 's3cret-token', 'who asks for it gets it')
  const prints = [inspect(options), inspect(options, { showHidden: true }), JSON.stringify({ ...options })]
  for (const print of prints) t.notMatch(print, 's3cret')
  t.ok(sameOptions(options, resolveOptions({ reportToken: 's3cret-token' })))
  t.notOk(sameOptions(options, resolveOptions({ reportToken: 'another-token' })))
  t.notOk(sameOptions(options, DEFAULTS))
  t.equal(resolveOptions({ graceMs: 1 }, options).reportToken, 's3cret-token', 'what stands on them keeps it')
})

t.test('options in the code stand on those of the environment', async (t) => {
  const base = resolveOptions({ graceMs: 1, stacks: 'sampled', keepAlive: { count: 9 } })
  const options = resolveOptions({ graceMs: undefined, stacks: 'off', keepAlive: { idleMs: 1000 } }, base)
  t.strictSame(options, {
    ...DEFAULTS,
    graceMs: 1,
    stacks: 'off',
    keepAlive: { ...KEEP_ALIVE, count: 9, idleMs: 1000 },
  })
})

t.test('resolvePolicy', async (t) => {
  const base = resolveOptions({ graceMs: 1, action: 'end', keepAlive: { idleMs: 7000 }, sweepMs: 100 })

  t.test('leaves what is not given as it is in the base, and the base as it is', async (t) => {
    const before = { ...base }
    t.strictSame(resolvePolicy({ graceMs: 2, action: undefined, keepAlive: { count: 2 } }, base), {
      graceMs: 2,
      maxHalfClosedMs: null,
      action: 'end',
      escalateMs: 5000,
      reclaimDead: true,
      keepAlive: { ...KEEP_ALIVE, idleMs: 7000, count: 2 },
      propagateAbort: null,
      stalled: STALLED,
    })
    t.strictSame(base, before)
  })

  t.test('fills keep-alive with the defaults when the base has none', async (t) => {
    const without = resolvePolicy({ keepAlive: false }, base)
    t.equal(without.keepAlive, false)
    t.strictSame(resolvePolicy({ keepAlive: { count: 2 } }, without).keepAlive, { ...KEEP_ALIVE, count: 2 })
  })

  t.test('is frozen', async (t) => {
    const policy = resolvePolicy(undefined, base)
    t.ok(Object.isFrozen(policy))
    t.ok(Object.isFrozen(policy.keepAlive))
  })

  t.test('says where an option of the whole process belongs', async (t) => {
    t.strictSame(
      thrownBy(() => resolvePolicy({ sweepMs: 10 }, base)),
      unknown('unknown option "sweepMs"; it holds for the whole process, so give it to install()'),
    )
    t.strictSame(
      thrownBy(() => resolvePolicy({ graseMs: 10 }, base)),
      unknown('unknown option "graseMs"; did you mean "graceMs"?'),
    )
    const elsewhere = thrownBy(() => resolvePolicy({ timeout: 10 }, base)) as Error
    t.notOk(elsewhere.message.includes('userTimeoutMs'), 'and never advises one that would be refused')
  })

  t.test('refuses what install() refuses', async (t) => {
    for (const name of [
      'graceMs',
      'maxHalfClosedMs',
      'action',
      'escalateMs',
      'reclaimDead',
      'keepAlive',
      'propagateAbort',
    ] as const) {
      for (const [raw, message] of TABLES[name].bad) {
        t.strictSame(
          thrownBy(() => resolvePolicy({ [name]: raw }, base)),
          invalid(message),
        )
      }
    }
  })
})

t.test('sameOptions', async (t) => {
  t.test('looks at every option', async (t) => {
    for (const name of OPTION_NAMES) {
      for (const [raw, resolved] of TABLES[name].good) {
        const options = resolveOptions({ [name]: raw })
        const isDefault = JSON.stringify(resolved) === JSON.stringify(TABLES[name].fallback)
        if (typeof resolved === 'function') t.notOk(sameOptions(options, DEFAULTS))
        else t.equal(sameOptions(options, DEFAULTS), isDefault, `${name} ${JSON.stringify(raw)}`)
        t.equal(sameOptions(DEFAULTS, options), sameOptions(options, DEFAULTS), 'in both directions')
        t.ok(sameOptions(options, resolveOptions({ [name]: raw })))
      }
    }
  })

  t.test('compares what has fields by its fields', async (t) => {
    const a = resolveOptions({ keepAlive: { count: 3 }, pressure: { to: 0.8 } })
    t.ok(sameOptions(a, resolveOptions({ keepAlive: { count: 3 }, pressure: { to: 0.8 } })))
    t.notOk(sameOptions(a, resolveOptions({ keepAlive: { count: 3 }, pressure: { to: 0.85 } })))
    t.notOk(sameOptions(a, resolveOptions({ keepAlive: false, pressure: { to: 0.8 } })))
  })

  t.test('takes a probe, a provider or a function for the same only when it is the very same', async (t) => {
    for (const [name, value, twin] of [
      ['kernel', probe, { ...probe }],
      ['context', provider, new Provider()],
      ['action', chooser, (): 'end' => 'end'],
    ] as const) {
      const options = resolveOptions({ [name]: value })
      t.equal(options[name], value)
      t.ok(sameOptions(options, resolveOptions({ [name]: value })))
      t.notOk(sameOptions(options, resolveOptions({ [name]: twin })))
    }
  })
})

/** Anything at all, with a good share of keys and values that are nearly right. */
const nearlyRight = fc.oneof(
  fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withNullPrototype: true,
    withSparseArray: true,
  }),
  fc.constantFrom(
    ...OPTION_NAMES.flatMap((name) => [...TABLES[name].good, ...TABLES[name].bad].map(([raw]) => raw)),
  ),
  fc.func(fc.anything()),
  fc.dictionary(
    fc.constantFrom('idleMs', 'count', 'when', 'from', 'to', 'name', 'ask', 'current', 'nonsense'),
    fc.anything(),
  ),
)
const anyInput = fc.oneof(
  fc.anything(),
  fc.dictionary(
    fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...OPTION_NAMES) }, fc.string()),
    nearlyRight,
    {
      maxKeys: 4,
    },
  ),
)

/** The same value behind proxies that count reads and refuse every change, down to `depth` levels. */
function watched(value: unknown, reads: Map<object, Map<string, number>>, depth: number): unknown {
  if (typeof value !== 'object' || value === null || depth === 0) return value
  const seen = new Map<string, number>()
  reads.set(value, seen)
  const refuse = (): never => {
    throw new RangeError('the input was written to')
  }
  return new Proxy(value, {
    get(target, key) {
      if (typeof key === 'string') seen.set(key, (seen.get(key) ?? 0) + 1)
      return watched(Reflect.get(target, key), reads, depth - 1)
    },
    set: refuse,
    defineProperty: refuse,
    deleteProperty: refuse,
    setPrototypeOf: refuse,
    preventExtensions: refuse,
  })
}

t.test('property: whatever comes in, an error of ours or frozen options come out', async (t) => {
  let resolved = 0
  let refused = 0
  fc.assert(
    fc.property(anyInput, (input) => {
      const reads = new Map<object, Map<string, number>>()
      try {
        const options = resolveOptions(watched(input, reads, 2))
        resolved += 1
        if (!Object.isFrozen(options)) return false
        if (options.keepAlive !== false && !Object.isFrozen(options.keepAlive)) return false
        if (options.pressure !== null && !Object.isFrozen(options.pressure)) return false
      } catch (error) {
        refused += 1
        if (!(error instanceof SocketLeakGuardError)) return false
        if (error.cause !== undefined) return false
        // Only a description asks an object for its constructor, and only after it was refused.
        for (const seen of reads.values()) seen.delete('constructor')
      }
      return [...reads.values()].every((seen) => [...seen.values()].every((count) => count === 1))
    }),
    { numRuns: 2000 },
  )
  t.ok(resolved > 100, `resolved ${resolved}`)
  t.ok(refused > 100, `refused ${refused}`)
})

t.test('property: resolved options resolve to themselves', async () => {
  fc.assert(
    fc.property(anyInput, (input) => {
      try {
        const options = resolveOptions(input)
        return sameOptions(resolveOptions(options), options)
      } catch (error) {
        return error instanceof SocketLeakGuardError
      }
    }),
    { numRuns: 1000 },
  )
})

t.test('property: resolvePolicy throws nothing but errors of ours either', async () => {
  fc.assert(
    fc.property(anyInput, (input) => {
      try {
        const policy = resolvePolicy(input, DEFAULTS)
        return Object.isFrozen(policy) && Object.keys(policy).length === 8
      } catch (error) {
        return error instanceof SocketLeakGuardError
      }
    }),
    { numRuns: 1000 },
  )
})
