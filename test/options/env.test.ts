import fc from 'fast-check'
import t from 'tap'
import { isDisabled, readEnvironment, variableOf } from '../../src/options/env.js'
import { SocketLeakGuardError } from '../../src/base/errors.js'
import { OPTION_NAMES } from '../../src/options/table.js'
import {
  resolveOptions,
  sameOptions,
  type PressurePolicy,
  type IncidentPolicy,
  type ResolvedOptions,
} from '../../src/options/options.js'
import type { KeepAlivePolicy, StallPolicy } from '../../src/judge/policy.js'
import { ACTIONS } from '../../src/core/vocabulary.js'

const VARIABLES: Record<keyof ResolvedOptions, string> = {
  graceMs: 'SOCKET_LEAK_GUARD_GRACE_MS',
  maxHalfClosedMs: 'SOCKET_LEAK_GUARD_MAX_HALF_CLOSED_MS',
  action: 'SOCKET_LEAK_GUARD_ACTION',
  escalateMs: 'SOCKET_LEAK_GUARD_ESCALATE_MS',
  reclaimDead: 'SOCKET_LEAK_GUARD_RECLAIM_DEAD',
  keepAlive: 'SOCKET_LEAK_GUARD_KEEP_ALIVE',
  propagateAbort: 'SOCKET_LEAK_GUARD_PROPAGATE_ABORT',
  stalled: 'SOCKET_LEAK_GUARD_STALLED',
  sweepMs: 'SOCKET_LEAK_GUARD_SWEEP_MS',
  kernel: 'SOCKET_LEAK_GUARD_KERNEL',
  context: 'SOCKET_LEAK_GUARD_CONTEXT',
  stacks: 'SOCKET_LEAK_GUARD_STACKS',
  code: 'SOCKET_LEAK_GUARD_CODE',
  report: 'SOCKET_LEAK_GUARD_REPORT',
  reportToken: 'SOCKET_LEAK_GUARD_REPORT_TOKEN',
  userTimeoutMs: 'SOCKET_LEAK_GUARD_USER_TIMEOUT_MS',
  pressure: 'SOCKET_LEAK_GUARD_PRESSURE',
  log: 'SOCKET_LEAK_GUARD_LOG',
  logIntervalMs: 'SOCKET_LEAK_GUARD_LOG_INTERVAL_MS',
  incident: 'SOCKET_LEAK_GUARD_INCIDENT',
}

const GOOD: Record<keyof ResolvedOptions, [text: string, raw: unknown][]> = {
  graceMs: [
    ['0', 0],
    ['60000', 60000],
    [' 2147483647 ', 2147483647],
  ],
  maxHalfClosedMs: [
    ['1', 1],
    ['off', null],
    ['OFF', null],
  ],
  action: [
    ['report', 'report'],
    ['end', 'end'],
    ['Destroy', 'destroy'],
    ['reset', 'reset'],
  ],
  escalateMs: [['5000', 5000]],
  reclaimDead: [
    ...['true', '1', 'on', 'yes', 'True', 'YES'].map((text): [string, boolean] => [text, true]),
    ...['false', '0', 'off', 'no', 'False', 'OFF'].map((text): [string, boolean] => [text, false]),
  ],
  keepAlive: [
    ['30000,5000,4,suspect', { idleMs: 30000, intervalMs: 5000, count: 4, when: 'suspect' }],
    [' 1000, 2000 ,127, always', { idleMs: 1000, intervalMs: 2000, count: 127, when: 'always' }],
    ['off', false],
  ],
  propagateAbort: [
    ['pipe', 'pipe'],
    ['Context', 'context'],
    ['on', true],
    ['off', null],
  ],
  stalled: [
    ['600000,end', { graceMs: 600_000, action: 'end' }],
    ['off, Destroy', { graceMs: null, action: 'destroy' }],
  ],
  sweepMs: [['10', 10]],
  log: [
    ['stderr', 'stderr'],
    ['off', null],
  ],
  logIntervalMs: [['0', 0]],
  incident: [
    ['/var/tmp', { dir: '/var/tmp' }],
    ['logs, 5', { dir: 'logs', atLeaked: 5 }],
    ['/var/tmp,off,SIGUSR2,on', { dir: '/var/tmp', atLeaked: null, signal: 'SIGUSR2', redact: true }],
    ['off', null],
  ],
  kernel: ['auto', 'ffi', 'proc', 'off'].map((word) => [word, word]),
  context: ['auto', 'async-local-storage', 'cls-hooked', 'off'].map((word) => [word, word]),
  stacks: ['off', 'sampled', 'always'].map((word) => [word, word]),
  code: ['off', 'once'].map((word) => [word, word]),
  report: [
    ['127.0.0.1:9465', '127.0.0.1:9465'],
    ['unix:/run/App.sock', 'unix:/run/App.sock'],
    ['off', null],
  ],
  reportToken: [
    ['S3cret-token', 'S3cret-token'],
    ['S3cret-token\n', 'S3cret-token'],
    ['off', null],
  ],
  userTimeoutMs: [
    ['30000', 30000],
    ['off', null],
  ],
  pressure: [
    ['0.7,0.9,1000', { from: 0.7, to: 0.9, floorMs: 1000 }],
    ['.5,1,0,200', { from: 0.5, to: 1, floorMs: 0, maxSuspects: 200 }],
    ['0.7,0.9,1000,off', { from: 0.7, to: 0.9, floorMs: 1000, maxSuspects: null }],
    ['on', true],
    ['off', null],
  ],
}

const KEEP_ALIVE_EXPECTS = 'idleMs,intervalMs,count,when (such as 30000,5000,4,suspect), or off'
const PRESSURE_EXPECTS = 'on, from,to,floorMs or from,to,floorMs,maxSuspects (such as 0.7,0.9,1000), or off'
const TOKEN_EXPECTS = 'a string of at least 8 visible ASCII characters without spaces, or off'
const HIDDEN = 'a value that is not shown here'

const STALLED_EXPECTS = 'graceMs,action (such as 600000,end)'

/** What follows "<variable> must be ". */
const BAD: Record<keyof ResolvedOptions, [text: string, complaint: string][]> = {
  graceMs: ['30s', '-1', '2147483648', '1e3', '0x10', '60_000', '1.5', 'off', '1 000', '+5'].map(
    (text): [string, string] => [text, `an integer from 0 to 2147483647, got "${text}" (string)`],
  ),
  maxHalfClosedMs: [
    ['0', 'an integer from 1 to 2147483647, or off, got "0" (string)'],
    ['none', 'an integer from 1 to 2147483647, or off, got "none" (string)'],
  ],
  action: [
    ['kill', 'report, end, destroy or reset, got "kill" (string)'],
    ['off', 'report, end, destroy or reset, got "off" (string)'],
  ],
  escalateMs: [['soon', 'an integer from 0 to 2147483647, got "soon" (string)']],
  reclaimDead: [['y', 'true, false, 1, 0, on, off, yes or no, got "y" (string)']],
  keepAlive: [
    ['30000,5000,4', `${KEEP_ALIVE_EXPECTS}, got "30000,5000,4" (string)`],
    ['30000,5000,4,suspect,1', `${KEEP_ALIVE_EXPECTS}, got "30000,5000,4,suspect,1" (string)`],
    ['30000,,4,suspect', `${KEEP_ALIVE_EXPECTS}, got "30000,,4,suspect" (string)`],
    ['30000,5000,4,never', `${KEEP_ALIVE_EXPECTS}, got "30000,5000,4,never" (string)`],
    ['on', `${KEEP_ALIVE_EXPECTS}, got "on" (string)`],
    [
      '30,5000,4,suspect',
      `${KEEP_ALIVE_EXPECTS}, got "30,5000,4,suspect" (string): ` +
        'idleMs must be an integer from 1000 to 32767000, got 30 (number)',
    ],
    [
      '30000,5000,128,suspect',
      `${KEEP_ALIVE_EXPECTS}, got "30000,5000,128,suspect" (string): ` +
        'count must be an integer from 1 to 127, got 128 (number)',
    ],
  ],
  propagateAbort: [['no', 'on, pipe or context, or off, got "no" (string)']],
  stalled: [
    ['600000', `${STALLED_EXPECTS}, got "600000" (string)`],
    ['soon,end', `${STALLED_EXPECTS}, got "soon,end" (string)`],
    ['600000,kill', `${STALLED_EXPECTS}, got "600000,kill" (string)`],
  ],
  sweepMs: [['9', 'an integer from 10 to 2147483647, got "9" (string)']],
  log: [['stdout', 'stderr, or off, got "stdout" (string)']],
  logIntervalMs: [['-1', 'an integer from 0 to 2147483647, got "-1" (string)']],
  incident: [
    [
      '/var/tmp,100,SIGKILL',
      'dir or dir,atLeaked,signal,redact (such as /var/tmp), or off, got "/var/tmp,100,SIGKILL" (string): ' +
        'signal must be SIGUSR2, SIGHUP or SIGQUIT, or "off", got "SIGKILL" (string)',
    ],
  ],
  kernel: [['none', 'auto, ffi, proc or off, got "none" (string)']],
  context: [['als', 'auto, async-local-storage, cls-hooked or off, got "als" (string)']],
  stacks: [['on', 'off, sampled or always, got "on" (string)']],
  code: [['on', 'off or once, got "on" (string)']],
  report: [],
  reportToken: [
    ['S3cret', `${TOKEN_EXPECTS}, got ${HIDDEN}`],
    ['S3cret token', `${TOKEN_EXPECTS}, got ${HIDDEN}`],
  ],
  userTimeoutMs: [['0', 'an integer from 1 to 2147483647, or off, got "0" (string)']],
  pressure: [
    ['0.7,0.9', `${PRESSURE_EXPECTS}, got "0.7,0.9" (string)`],
    ['70%,90%,1000', `${PRESSURE_EXPECTS}, got "70%,90%,1000" (string)`],
    ['true', `${PRESSURE_EXPECTS}, got "true" (string)`],
    [
      '0.9,0.7,1000',
      `${PRESSURE_EXPECTS}, got "0.9,0.7,1000" (string): from must be less than to (0.7), got 0.9 (number)`,
    ],
    [
      '0.7,1.2,1000',
      `${PRESSURE_EXPECTS}, got "0.7,1.2,1000" (string): ` +
        'to must be a number above 0 and at most 1, got 1.2 (number)',
    ],
  ],
}

for (const name of OPTION_NAMES) {
  const variable = VARIABLES[name]

  t.test(`${variable}: is read`, async (t) => {
    t.equal(variableOf(name), variable)
    for (const [text, raw] of GOOD[name]) {
      const reading = readEnvironment({ [variable]: text })
      t.strictSame(reading, { options: { [name]: raw }, problems: [] }, text)
      t.ok(sameOptions(resolveOptions(reading.options), resolveOptions({ [name]: raw })), 'and accepted')
    }
  })

  t.test(`${variable}: empty or blank is not set`, async (t) => {
    for (const text of ['', ' ', '\n', undefined]) {
      t.strictSame(readEnvironment({ [variable]: text }), { options: {}, problems: [] })
    }
  })

  t.test(`${variable}: what can't be used is a problem, and the others still count`, async (t) => {
    const other = name === 'sweepMs' ? 'graceMs' : 'sweepMs'
    for (const [text, complaint] of BAD[name]) {
      const { options, problems } = readEnvironment({ [variable]: text, [VARIABLES[other]]: '77' })
      t.strictSame(options, { [other]: 77 })
      t.equal(problems.length, 1)
      t.type(problems[0], SocketLeakGuardError)
      t.equal(problems[0]?.code, 'SLG_ERR_INVALID_ENV')
      t.equal(problems[0]?.message, `${variable} must be ${complaint}`)
    }
  })
}

t.test('an environment without variables of ours says nothing', async (t) => {
  const env = { PATH: '/bin', SOCKET_LEAK: '1', GRACE_MS: '1', socket_leak_guard_grace_ms: '1' }
  t.strictSame(readEnvironment(env), { options: {}, problems: [] })
  t.strictSame(readEnvironment({}), { options: {}, problems: [] })
})

t.test('an unknown variable is a problem that names the nearest one', async (t) => {
  const cases: [string, string][] = [
    ['SOCKET_LEAK_GUARD_GRACE', 'SOCKET_LEAK_GUARD_GRACE_MS'],
    ['SOCKET_LEAK_GUARD_GRACEMS', 'SOCKET_LEAK_GUARD_GRACE_MS'],
    ['SOCKET_LEAK_GUARD_TIMEOUT', 'SOCKET_LEAK_GUARD_USER_TIMEOUT_MS'],
    ['SOCKET_LEAK_GUARD_REPORT_TOKN', 'SOCKET_LEAK_GUARD_REPORT_TOKEN'],
    ['SOCKET_LEAK_GUARD_ENABLE', 'SOCKET_LEAK_GUARD_ENABLED'],
    ['SOCKET_LEAK_GUARD_Action', 'SOCKET_LEAK_GUARD_ACTION'],
  ]
  for (const [variable, nearest] of cases) {
    const { options, problems } = readEnvironment({ [variable]: 's3cret-value' })
    t.strictSame(options, {})
    t.strictSame(
      problems.map(({ code, message }) => ({ code, message })),
      [{ code: 'SLG_ERR_INVALID_ENV', message: `unknown variable ${variable}; did you mean ${nearest}?` }],
    )
    t.strictSame(readEnvironment({ [variable]: '' }).problems, [], 'empty is not set')
  }
  const [problem] = readEnvironment({ [`SOCKET_LEAK_GUARD_${'X'.repeat(1000)}`]: '1' }).problems
  t.ok(problem !== undefined && problem.message.length < 140, 'a long name is shortened')
})

t.test('the variables that Kubernetes sets for a Service of our name are none of ours', async (t) => {
  const pod = [
    'SERVICE_HOST',
    'SERVICE_PORT',
    'SERVICE_PORT_HTTP',
    'PORT',
    'PORT_80_TCP',
    'PORT_80_TCP_PROTO',
    'PORT_80_TCP_PORT',
    'PORT_80_TCP_ADDR',
    'DEMO_SERVICE_HOST',
    'DEMO_PORT_53_UDP_ADDR',
  ]
  const env = Object.fromEntries(pod.map((name) => [`SOCKET_LEAK_GUARD_${name}`, 'tcp://10.0.0.1:80']))
  t.strictSame(readEnvironment(env), { options: {}, problems: [] })
  for (const misspelt of ['REPORTS', 'REPRT', 'TRANSPORT', 'SERVICE', 'PORTS']) {
    t.equal(readEnvironment({ [`SOCKET_LEAK_GUARD_${misspelt}`]: '1' }).problems.length, 1, misspelt)
  }
})

t.test('every problem is told, not only the first', async (t) => {
  const { options, problems } = readEnvironment({
    SOCKET_LEAK_GUARD_GRACE_MS: 'x',
    SOCKET_LEAK_GUARD_ACTION: 'x',
    SOCKET_LEAK_GUARD_STACKS: 'always',
    SOCKET_LEAK_GUARD_ENABLED: 'x',
    SOCKET_LEAK_GUARD_X: 'x',
  })
  t.strictSame(options, { stacks: 'always' })
  t.equal(problems.length, 4)
})

t.test('SOCKET_LEAK_GUARD_ENABLED is the kill switch', async (t) => {
  const cases: [string | undefined, boolean, string[]][] = [
    [undefined, false, []],
    ['', false, []],
    ...['off', 'OFF', ' off ', 'false', '0', 'no'].map((text): [string, boolean, string[]] => [
      text,
      true,
      [],
    ]),
    ...['on', 'true', '1', 'yes'].map((text): [string, boolean, string[]] => [text, false, []]),
    [
      'disabled',
      false,
      ['SOCKET_LEAK_GUARD_ENABLED must be true, false, 1, 0, on, off, yes or no, got "disabled" (string)'],
    ],
  ]
  for (const [text, disabled, messages] of cases) {
    const env = { SOCKET_LEAK_GUARD_ENABLED: text }
    t.equal(isDisabled(env), disabled, String(text))
    const { options, problems } = readEnvironment(env)
    t.strictSame(options, {}, 'it is no option')
    t.strictSame(
      problems.map(({ message }) => message),
      messages,
    )
  }
  t.equal(isDisabled({}), false)
})

const int = (min: number, max = 2147483647): fc.Arbitrary<number> => fc.integer({ min, max })
const share = fc.integer({ min: 1, max: 999 })
const orOff = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(arbitrary, { nil: null })
const token = fc.string({
  unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
  minLength: 8,
})

/** Every set of options that the environment can express. */
const expressible: fc.Arbitrary<Partial<ResolvedOptions>> = fc.record(
  {
    graceMs: int(0),
    maxHalfClosedMs: orOff(int(1)),
    action: fc.constantFrom('report' as const, 'end' as const, 'destroy' as const, 'reset' as const),
    escalateMs: int(0),
    reclaimDead: fc.boolean(),
    keepAlive: fc.oneof(
      fc.constant(false as const),
      fc.record<KeepAlivePolicy>({
        idleMs: int(1000, 32767000),
        intervalMs: int(1000, 32767000),
        count: int(1, 127),
        when: fc.constantFrom('suspect', 'always'),
      }),
    ),
    stalled: fc.record<StallPolicy>({ graceMs: orOff(int(0)), action: fc.constantFrom(...ACTIONS) }),
    sweepMs: int(10),
    log: fc.constantFrom('stderr' as const, null),
    logIntervalMs: int(0),
    incident: orOff(
      fc.record<IncidentPolicy>({
        dir: fc.constantFrom('/var/tmp', 'logs'),
        atLeaked: orOff(int(1)),
        signal: fc.constantFrom('SIGUSR2' as const, 'SIGHUP' as const, null),
        redact: fc.boolean(),
      }),
    ),
    kernel: fc.constantFrom('auto' as const, 'ffi' as const, 'proc' as const, 'off' as const),
    context: fc.constantFrom(
      'auto' as const,
      'async-local-storage' as const,
      'cls-hooked' as const,
      'off' as const,
    ),
    stacks: fc.constantFrom('off' as const, 'sampled' as const, 'always' as const),
    code: fc.constantFrom('off' as const, 'once' as const),
    report: orOff(fc.constantFrom('127.0.0.1:9465', '[::1]:1', 'unix:/run/app.sock')),
    reportToken: orOff(token),
    userTimeoutMs: orOff(int(1)),
    pressure: orOff(
      fc
        .record<PressurePolicy>({
          from: share.map((thousandths) => thousandths / 1000),
          to: share.map((thousandths) => (thousandths + 1) / 1000),
          floorMs: int(0),
          maxSuspects: orOff(int(1)),
        })
        .filter(({ from, to }) => from < to),
    ),
  },
  { requiredKeys: [] },
)

function textOf(value: unknown): string {
  if (value === null || value === false) return 'off'
  if (typeof value === 'object') return Object.values(value).map(textOf).join(',')
  return String(value)
}

t.test('property: what the environment can express comes back as it was', async (t) => {
  fc.assert(
    fc.property(expressible, (options) => {
      const env = Object.fromEntries(
        Object.entries(options).map(([name, value]) => [variableOf(name), textOf(value)]),
      )
      const reading = readEnvironment(env)
      t.strictSame(reading.problems, [])
      return sameOptions(resolveOptions(reading.options), resolveOptions(options))
    }),
    { numRuns: 300 },
  )
})

t.test(
  'property: no text makes it throw, each is an option or a problem, and tokens stay hidden',
  async () => {
    const nearlyRight = fc.constantFrom(
      ...OPTION_NAMES.flatMap((name) => [...GOOD[name], ...BAD[name]].map(([text]) => text)),
    )
    const variable = fc.oneof(
      fc.constantFrom(...Object.values(VARIABLES)),
      fc.string().map((tail) => `SOCKET_LEAK_GUARD_${tail}`),
    )
    fc.assert(
      fc.property(fc.dictionary(variable, fc.oneof(fc.string({ unit: 'binary' }), nearlyRight)), (env) => {
        const before = JSON.stringify(env)
        const { options, problems } = readEnvironment(Object.freeze(env))
        resolveOptions(options)
        isDisabled(env)
        const set = Object.values(env).filter((text) => text.trim() !== '')
        return (
          JSON.stringify(env) === before &&
          problems.every(
            (problem) => problem instanceof SocketLeakGuardError && problem.code === 'SLG_ERR_INVALID_ENV',
          ) &&
          Object.keys(options).length + problems.length <= set.length
        )
      }),
      { numRuns: 1000 },
    )
    fc.assert(
      fc.property(fc.string({ minLength: 3, unit: 'binary' }), (text) => {
        const { options, problems } = readEnvironment({ SOCKET_LEAK_GUARD_REPORT_TOKEN: text })
        const shown = problems.map((problem) => `${problem.message}${String(problem.cause)}`).join('')
        const expected = `SOCKET_LEAK_GUARD_REPORT_TOKEN must be ${TOKEN_EXPECTS}, got ${HIDDEN}undefined`
        return options.reportToken !== undefined || shown === '' || shown === expected
      }),
      { numRuns: 500 },
    )
  },
)
