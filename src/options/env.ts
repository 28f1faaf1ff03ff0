import { SocketLeakGuardError } from '../base/errors.js'
import { nearestName } from './nearest-name.js'
import { describeFor, flag, type Rule } from './rules.js'
import { OPTION_NAMES, OPTIONS } from './table.js'

export type Environment = Readonly<Record<string, string | undefined>>

export interface EnvironmentReading {
  readonly options: Record<string, unknown>
  readonly problems: SocketLeakGuardError[]
}

const PREFIX = 'SOCKET_LEAK_GUARD_'

const SWITCH = `${PREFIX}ENABLED`
const SWITCH_RULE = flag()

/** What Kubernetes sets for a Service whose name begins with ours (kubernetes pkg/kubelet/envvars). */
const OF_A_SERVICE =
  /(?:^|_)(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$/

export function variableOf(option: string): string {
  return PREFIX + option.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()
}

export function readEnvironment(env: Environment): EnvironmentReading {
  const options: Record<string, unknown> = {}
  const problems: SocketLeakGuardError[] = []

  function read(variable: string, rule: Rule<unknown>, base: unknown, option?: string): void {
    const text = textOf(env, variable)
    if (text === '') return
    const raw = rule.parse(text)
    let part = ''
    try {
      if (rule.read(raw, '', base) !== undefined) {
        if (option !== undefined) options[option] = raw
        return
      }
    } catch (error) {
      part = `: ${(error as Error).message}`
    }
    problems.push(invalid(`${variable} must be ${rule.envExpects}, got ${describeFor(rule, text)}${part}`))
  }

  for (const name of OPTION_NAMES) {
    const { rule, default: base } = OPTIONS[name]
    read(variableOf(name), rule, base, name)
  }
  read(SWITCH, SWITCH_RULE, true)
  problems.push(...unknownVariables(env))
  return { options, problems }
}

export function isDisabled(env: Environment): boolean {
  return SWITCH_RULE.parse(textOf(env, SWITCH)) === false
}

function textOf(env: Environment, variable: string): string {
  return env[variable]?.trim() ?? ''
}

function invalid(message: string): SocketLeakGuardError {
  return new SocketLeakGuardError('SLG_ERR_INVALID_ENV', message)
}

function unknownVariables(env: Environment): SocketLeakGuardError[] {
  const known = [...OPTION_NAMES.map(variableOf), SWITCH].map((variable) => variable.slice(PREFIX.length))
  return Object.keys(env)
    .filter((variable) => variable.startsWith(PREFIX) && textOf(env, variable) !== '')
    .map((variable) => variable.slice(PREFIX.length))
    .filter((name) => !known.includes(name) && !OF_A_SERVICE.test(name))
    .map((name) => {
      const shown = `${PREFIX}${name.length > 42 ? `${name.slice(0, 39)}...` : name}`
      return invalid(`unknown variable ${shown}; did you mean ${PREFIX}${nearestName(name, known)}?`)
    })
}
