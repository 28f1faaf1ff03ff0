import { describeValue, SocketLeakGuardError } from '../base/errors.js'
import { nearestName } from './nearest-name.js'

export type Hint = (key: string) => string | null

export interface Rule<T> {
  readonly expects: string
  readonly envExpects: string
  /** Keeps the value out of messages and of printed options. */
  readonly isSecret?: boolean
  // `base`: for what an object leaves out. Returns `undefined` if the value does not fit; throws for a part of it.
  read(value: unknown, path: string, base: T): T | undefined
  parse(text: string): unknown
}

export type Fields<T> = { readonly [K in keyof T]-?: Rule<T[K]> }

/** The longest delay of a timer (lib/internal/timers.js, TIMEOUT_MAX), and the kernel's largest int. */
const LONGEST_MS = 2 ** 31 - 1

export function plain<T>(
  expects: string,
  accepts: (value: unknown) => boolean,
  parse: (text: string) => unknown = (text) => text,
  envExpects = expects,
): Rule<T> {
  return { expects, envExpects, read: (value) => (accepts(value) ? (value as T) : undefined), parse }
}

export function integer(min: number, max = LONGEST_MS): Rule<number> {
  return plain(
    `an integer from ${min} to ${max}`,
    (value) => Number.isInteger(value) && (value as number) >= min && (value as number) <= max,
    (text) => (/^\d+$/.test(text) ? Number(text) : undefined),
  )
}

export function fraction(): Rule<number> {
  return plain(
    'a number above 0 and at most 1',
    (value) => typeof value === 'number' && value > 0 && value <= 1,
    (text) => (/^(?:\d+(?:\.\d+)?|\.\d+)$/.test(text) ? Number(text) : undefined),
  )
}

const FLAGS: Readonly<Record<string, boolean>> = {
  ...{ true: true, 1: true, on: true, yes: true },
  ...{ false: false, 0: false, off: false, no: false },
}

export function flag(): Rule<boolean> {
  return plain(
    'true or false',
    (value) => typeof value === 'boolean',
    (text) => (Object.hasOwn(FLAGS, text.toLowerCase()) ? FLAGS[text.toLowerCase()] : undefined),
    'true, false, 1, 0, on, off, yes or no',
  )
}

export function oneOf<T>(
  words: readonly (T & string)[],
  own = '',
  isOwn: (value: unknown) => boolean = () => false,
): Rule<T> {
  const quoted = words.map((word) => `"${word}"`)
  return plain(
    listed(own === '' ? quoted : [...quoted, own]),
    (value) => (words as readonly unknown[]).includes(value) || isOwn(value),
    (text) => words.find((word) => word === text.toLowerCase()),
    listed(words),
  )
}

export function text(expects: string): Rule<string> {
  return plain(expects, (value) => typeof value === 'string' && value !== '')
}

/** What an HTTP header can carry (RFC 9110, section 5.5). */
export function secret(minLength: number): Rule<string> {
  const rule = plain<string>(
    `a string of at least ${minLength} visible ASCII characters without spaces`,
    (value) => typeof value === 'string' && value.length >= minLength && /^[\x21-\x7e]+$/.test(value),
  )
  return { ...rule, isSecret: true }
}

export function offOr<T>(rule: Rule<T>): Rule<T | null>
export function offOr<T>(rule: Rule<T>, off: false): Rule<T | false>
export function offOr<T>(rule: Rule<T>, off: null | false = null): Rule<T | null | false> {
  const isOff = (value: unknown): boolean => value === null || value === false || value === 'off'
  return {
    ...rule,
    expects: `${rule.expects}, or "off"`,
    envExpects: `${rule.envExpects}, or off`,
    read: (value, path, base) => (isOff(value) ? off : rule.read(value, path, base as T)),
    parse: (value) => (value.toLowerCase() === 'off' ? off : rule.parse(value)),
  }
}

/** `true`, in the environment `on`, stands for `meant`. */
export function trueMeans<T>(meant: T, rule: Rule<T>): Rule<T> {
  return {
    ...rule,
    expects: `true, ${rule.expects}`,
    envExpects: `on, ${rule.envExpects}`,
    read: (value, path, base) => (value === true ? meant : rule.read(value, path, base)),
    parse: (value) => (value.toLowerCase() === 'on' ? true : rule.parse(value)),
  }
}

export function record<T extends object>(
  fields: Fields<T>,
  defaults: T,
  envExpects: string,
  example: string,
  check?: (value: T, path: string) => void,
): Rule<T> {
  const names = Object.keys(fields) as (keyof T & string)[]
  const fewest = example.split(',').length
  return {
    expects: `an object with any of ${listed(names, 'and')}`,
    envExpects: `${envExpects} (such as ${example})`,
    read(value, path, base) {
      if (!isOptionBag(value)) return undefined
      const whole = readFields(value, fields, isOptionBag(base) ? base : defaults, path)
      check?.(whole, path)
      return whole
    },
    parse(list) {
      const parts = list.split(',')
      if (parts.length < fewest || parts.length > names.length) return undefined
      const values = parts.map((part, i) => fields[names[i]!].parse(part.trim()))
      return values.includes(undefined)
        ? undefined
        : Object.fromEntries(values.map((value, i) => [names[i], value]))
    },
  }
}

// Makes a frozen copy, reading each property once. `undefined` takes `base`'s value. Inherited keys are not unknown
// options: a library may have extended Object.prototype.
export function readFields<T extends object>(
  input: object,
  fields: Fields<T>,
  base: T,
  path = '',
  hint?: Hint,
): T {
  for (const key of Object.keys(input)) {
    if (!Object.hasOwn(fields, key)) throw unknownOption(key, Object.keys(fields), path, hint?.(key))
  }
  const whole: Partial<T> = {}
  for (const name of Object.keys(fields) as (keyof T & string)[]) {
    const value = readField(input as T, name, fields[name], base[name], fieldPath(name, path))
    // Not enumerable, so that printing the options does not show it.
    if (fields[name].isSecret && value !== null) Object.defineProperty(whole, name, { get: () => value })
    else whole[name] = value
  }
  return Object.freeze(whole as T)
}

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
    throw invalidOption(path, rule.expects, describeFor(rule, raw))
  } catch (error) {
    throw asOptionError(error, path)
  }
}

export function describeFor({ isSecret }: Pick<Rule<unknown>, 'isSecret'>, value: unknown): string {
  return isSecret === true ? 'a value that is not shown here' : describeValue(value)
}

export function asOptionError(error: unknown, path: string): SocketLeakGuardError {
  if (error instanceof SocketLeakGuardError) return error
  return new SocketLeakGuardError('SLG_ERR_INVALID_OPTION', `${path} could not be read`, { cause: error })
}

export function invalidOption(path: string, expects: string, got: string): SocketLeakGuardError {
  return new SocketLeakGuardError('SLG_ERR_INVALID_OPTION', `${path} must be ${expects}, got ${got}`)
}

export function unknownOption(
  key: string,
  names: readonly string[],
  path = '',
  hint: string | null = null,
): SocketLeakGuardError {
  const advice = hint ?? `did you mean ${quoted(nearestName(key, names), path)}?`
  return new SocketLeakGuardError('SLG_ERR_UNKNOWN_OPTION', `unknown option ${quoted(key, path)}; ${advice}`)
}

/** An array, a Map or a promise would pass for an empty object; a module namespace is accepted. */
export function isOptionBag(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  return ['[object Object]', '[object Module]'].includes(Object.prototype.toString.call(value))
}

function quoted(key: string, path: string): string {
  const name = fieldPath(key, path)
  return JSON.stringify(name.length > 60 ? `${name.slice(0, 57)}...` : name)
}

export function fieldPath(key: string, path: string): string {
  return path === '' ? key : `${path}.${key}`
}

function listed(items: readonly string[], conjunction = 'or'): string {
  if (items.length === 1) return items[0]!
  return `${items.slice(0, -1).join(', ')} ${conjunction} ${items.at(-1)}`
}
