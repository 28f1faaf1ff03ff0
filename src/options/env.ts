/**
 * Options from the environment: `SOCKET_LEAK_GUARD_` and the option's name in upper snake case. Nothing here
 * throws: what can't be used is returned as problems, all of them at once, for the caller to decide.
 */
import { SocketLeakGuardError } from '../base/errors.js'
import { nearestName } from './nearest-name.js'
import { describeFor, flag, type Rule } from './rules.js'
import { OPTION_NAMES, OPTIONS } from './table.js'

export type Environment = Readonly<Record<string, string | undefined>>

export interface EnvironmentReading {
  /** Raw options for `resolveOptions()`: those that are set, and would be accepted. */
  readonly options: Record<string, unknown>
  /** One error, `SLG_ERR_INVALID_ENV`, for each variable that can't be used. */
  readonly problems: SocketLeakGuardError[]
}

const PREFIX = 'SOCKET_LEAK_GUARD_'

/** The kill switch: `off` keeps the guard from being installed at all. Not an option, so not in the table. */
const SWITCH = `${PREFIX}ENABLED`

const SWITCH_RULE = flag()

/**
 * What Kubernetes sets in every pod for a Service whose name begins with ours (kubernetes pkg/kubelet/envvars):
 * `..._SERVICE_HOST`, `..._SERVICE_PORT_HTTP`, `..._PORT`, `..._PORT_80_TCP_ADDR`.
 */
const OF_A_SERVICE =
  /(?:^|_)(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$/

/** The variable of an option: `SOCKET_LEAK_GUARD_GRACE_MS` for `graceMs`. */
export function variableOf(option: string): string {
  return PREFIX + option.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()
}

/**
 * The options that `env` sets, and what is wrong with it. A variable that is empty, or blank, is not set.
 * Blanks around a value do not count, nor does the case of a word.
 */
export function readEnvironment(env: Environment): EnvironmentReading {
  const options: Record<string, unknown> = {}
  const problems: SocketLeakGuardError[] = []

  function read(variable: string, rule: Rule<unknown>, base: unknown, option?: string): void {
    const text = textOf(env, variable)
    if (text === null) return
    const raw = rule.parse(text)
    const problem = problemWith(variable, text, rule, raw, base)
    if (problem !== null) problems.push(problem)
    else if (option !== undefined) options[option] = raw
  }

  for (const name of OPTION_NAMES) {
    const { rule, default: base } = OPTIONS[name]
    read(variableOf(name), rule, base, name)
  }
  read(SWITCH, SWITCH_RULE, true)
  problems.push(...unknownVariables(env))
  return { options, problems }
}

/** Is the guard switched off from outside? `SOCKET_LEAK_GUARD_ENABLED` is `off`, `false`, `no` or `0`. */
export function isDisabled(env: Environment): boolean {
  return SWITCH_RULE.parse(textOf(env, SWITCH) ?? '') === false
}

function textOf(env: Environment, variable: string): string | null {
  const text = env[variable]?.trim() ?? ''
  return text === '' ? null : text
}

function problemWith(
  variable: string,
  text: string,
  rule: Rule<unknown>,
  raw: unknown,
  base: unknown,
): SocketLeakGuardError | null {
  const complaint = `${variable} must be ${rule.envExpects}, got ${describeFor(rule, text)}`
  try {
    if (rule.read(raw, '', base) !== undefined) return null
    return new SocketLeakGuardError('SLG_ERR_INVALID_ENV', complaint)
  } catch (error) {
    // A value with parts says which part is wrong.
    return new SocketLeakGuardError('SLG_ERR_INVALID_ENV', `${complaint}: ${(error as Error).message}`)
  }
}

/** A misspelt variable would be silence where somebody asked for something. */
function unknownVariables(env: Environment): SocketLeakGuardError[] {
  const known = [...OPTION_NAMES.map(variableOf), SWITCH].map((variable) => variable.slice(PREFIX.length))
  return Object.keys(env)
    .filter((variable) => variable.startsWith(PREFIX) && textOf(env, variable) !== null)
    .map((variable) => variable.slice(PREFIX.length))
    .filter((name) => !known.includes(name) && !OF_A_SERVICE.test(name))
    .map((name) => {
      const shown = `${PREFIX}${name.length > 42 ? `${name.slice(0, 39)}...` : name}`
      return new SocketLeakGuardError(
        'SLG_ERR_INVALID_ENV',
        `unknown variable ${shown}; did you mean ${PREFIX}${nearestName(name, known)}?`,
      )
    })
}
