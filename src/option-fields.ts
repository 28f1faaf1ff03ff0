/**
 * Objects of options: their fields read by their rules, once, into a new frozen object.
 */
import { describeValue, SocketLeakGuardError } from './errors.js'
import { nearestName } from './nearest-name.js'
import type { Rule } from './option-rules.js'

export type Fields<T> = { readonly [K in keyof T]-?: Rule<T[K]> }

export interface RecordRule<T> {
  readonly expects: string
  readonly envExpects: string
  readonly fields: Fields<T>
  /** What an object leaves out when there is no better base. */
  readonly defaults: T
  /** How many of the fields, in their order, the form of the environment can't leave out. */
  readonly envParts: number
  /** `true`, in the environment `on`, stands for the defaults. */
  readonly takesTrue?: boolean
  /** Throws when the fields, each good by itself, do not go together. */
  check?(value: T, path: string): void
}

/** An object with fields of its own, in the environment a list with commas between them. */
export function record<T extends object>(rule: RecordRule<T>): Rule<T> {
  const { fields, defaults, takesTrue = false } = rule
  const names = Object.keys(fields) as (keyof T & string)[]
  return {
    expects: rule.expects,
    envExpects: rule.envExpects,
    describe: describeValue,
    read(value, path, base) {
      if (takesTrue && value === true) return defaults
      if (!isOptionBag(value)) return undefined
      const whole = readFields(value, fields, isOptionBag(base) ? base : defaults, path)
      rule.check?.(whole, path)
      return whole
    },
    parse(list) {
      if (takesTrue && list.toLowerCase() === 'on') return true
      const parts = list.split(',')
      if (parts.length < rule.envParts || parts.length > names.length) return undefined
      const raw: Partial<Record<string, unknown>> = {}
      for (const [index, part] of parts.entries()) {
        const name = names[index]!
        raw[name] = fields[name].parse(part.trim())
        if (raw[name] === undefined) return undefined
      }
      return raw
    },
    isSame: (a, b) => names.every((name) => fields[name].isSame(a[name], b[name])),
  }
}

/**
 * Reads an object of options by its rules into a new frozen one. Each property is read once and the input is
 * never written to, so a getter that changes its mind is believed once. `undefined` stands for what `base`
 * has. Only own enumerable keys can be unknown: what some library put on Object.prototype is not the caller's
 * mistake.
 */
export function readFields<T extends object>(
  input: object,
  fields: Fields<T>,
  base: T,
  path = '',
  hint?: (key: string) => string | null,
): T {
  for (const key of Object.keys(input)) {
    if (Object.hasOwn(fields, key)) continue
    const advice = hint?.(key) ?? `did you mean ${quoted(nearestName(key, Object.keys(fields)), path)}?`
    throw new SocketLeakGuardError('SLG_ERR_UNKNOWN_OPTION', `unknown option ${quoted(key, path)}; ${advice}`)
  }
  const whole: Partial<T> = {}
  for (const name of Object.keys(fields) as (keyof T & string)[]) {
    whole[name] = readField(input as T, name, fields[name], base[name], fieldPath(name, path))
  }
  return Object.freeze(whole as T)
}

/** One property, by its rule; whatever a getter throws becomes the `cause`. */
function readField<T, K extends keyof T>(
  input: T,
  name: K,
  rule: Rule<T[K]>,
  base: T[K],
  path: string,
): T[K] {
  try {
    const raw: unknown = input[name]
    if (raw === undefined) return base
    const value = rule.read(raw, path, base)
    if (value !== undefined) return value
    throw invalidOption(path, rule.expects, rule.describe(raw))
  } catch (error) {
    throw asOptionError(error, path)
  }
}

/** What went wrong while `path` was read: our own verdict as it is, anything else as its cause. */
export function asOptionError(error: unknown, path: string): SocketLeakGuardError {
  if (error instanceof SocketLeakGuardError) return error
  return new SocketLeakGuardError('SLG_ERR_INVALID_OPTION', `${path} could not be read`, { cause: error })
}

export function invalidOption(path: string, expects: string, got: string): SocketLeakGuardError {
  return new SocketLeakGuardError('SLG_ERR_INVALID_OPTION', `${path} must be ${expects}, got ${got}`)
}

/**
 * Can this hold options? An array, a Map or the promise of a configuration can't: they have none of the
 * names, and would pass for an empty object. A namespace (`import * as options`) can.
 */
export function isOptionBag(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  const tag = Object.prototype.toString.call(value)
  return tag === '[object Object]' || tag === '[object Module]'
}

function quoted(key: string, path: string): string {
  const name = fieldPath(key, path)
  return JSON.stringify(name.length > 60 ? `${name.slice(0, 57)}...` : name)
}

export function fieldPath(key: string, path: string): string {
  return path === '' ? key : `${path}.${key}`
}
