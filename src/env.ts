/**
 * Options from the environment: `SOCKET_LEAK_GUARD_` and the option's name in upper snake case. Nothing here
 * throws: what can't be used is returned as problems, all of them at once, for the caller to decide.
 */
import { SocketLeakGuardError } from './errors.js'
import { nearestName } from './nearest-name.js'
import { flag } from './option-rules.js'
import type { Rule } from './option-rules.js'
import { OPTION_NAMES, OPTIONS } from './option-table.js'

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

/** The variable of an option: `SOCKET_LEAK_GUARD_GRACE_MS` for `graceMs`. */
export function variableOf(option: string): string {
  return PREFIX + option.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()
}

const VARIABLES: ReadonlySet<string> = new Set([...OPTION_NAMES.map(variableOf), SWITCH])

/**
 * The options that `env` sets, and what is wrong with it. A variable that is empty, or blank, is not set.
 * Blanks around a value do not count, nor does the case of a word.
 */
export function readEnvironment(env: Environment): EnvironmentReading {
  const options: Record<string, unknown> = {}
  const problems: SocketLeakGuardError[] = []
  for (const name of OPTION_NAMES) {
    const option = OPTIONS[name]
    const rule: Rule<unknown> = option.rule as Rule<unknown>
    const text = textOf(env, variableOf(name))
    if (text === null) continue
    const raw = rule.parse(text)
    const problem = problemWith(variableOf(name), text, rule, raw, option.default)
    if (problem === null) options[name] = raw
    else problems.push(problem)
  }
  return { options, problems: [...problems, ...problemsWithSwitch(env), ...unknownVariables(env)] }
}

/** Is the guard switched off from outside? `SOCKET_LEAK_GUARD_ENABLED` is `off`, `false`, `no` or `0`. */
export function isDisabled(env: Environment): boolean {
  const text = textOf(env, SWITCH)
  return text !== null && SWITCH_RULE.parse(text) === false
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
  const complaint = `${variable} must be ${rule.envExpects}, got ${rule.describe(text)}`
  try {
    if (rule.read(raw, '', base) !== undefined) return null
    return new SocketLeakGuardError('SLG_ERR_INVALID_ENV', complaint)
  } catch (error) {
    // Only a value with parts throws, to say which part is wrong.
    const reason = (error as Error).message
    return new SocketLeakGuardError('SLG_ERR_INVALID_ENV', `${complaint}: ${reason}`)
  }
}

function problemsWithSwitch(env: Environment): SocketLeakGuardError[] {
  const text = textOf(env, SWITCH)
  if (text === null) return []
  return [problemWith(SWITCH, text, SWITCH_RULE, SWITCH_RULE.parse(text), true)].filter(
    (problem) => problem !== null,
  )
}

/** A misspelt variable would be silence where somebody asked for something. */
function unknownVariables(env: Environment): SocketLeakGuardError[] {
  const known = [...VARIABLES].map((variable) => variable.slice(PREFIX.length))
  return Object.keys(env)
    .filter(
      (variable) => variable.startsWith(PREFIX) && !VARIABLES.has(variable) && textOf(env, variable) !== null,
    )
    .map((variable) => {
      const nearest = PREFIX + nearestName(variable.slice(PREFIX.length), known)
      const name = variable.length > 60 ? `${variable.slice(0, 57)}...` : variable
      return new SocketLeakGuardError(
        'SLG_ERR_INVALID_ENV',
        `unknown variable ${name}; did you mean ${nearest}?`,
      )
    })
}
