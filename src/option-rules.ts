/**
 * The kinds of value that an option can have. A rule knows how to check a raw value, how to read it from an
 * environment variable, and how to say what it wants; the table in `option-table.ts` combines them.
 */
import { describeValue } from './errors.js'

export interface Rule<T> {
  /** Completes "graceMs must be ...". */
  readonly expects: string
  /** Completes "SOCKET_LEAK_GUARD_GRACE_MS must be ...". */
  readonly envExpects: string
  /** A value as an error message may show it. */
  describe(value: unknown): string
  /**
   * The resolved value, or `undefined` when the raw one does not fit; `undefined` never does. Throws a
   * SocketLeakGuardError when it has parts and one of them does not fit. What an object leaves out comes from
   * `base`.
   */
  read(value: unknown, path: string, base: T): T | undefined
  /** The raw value that the text of a variable stands for, or `undefined` when it stands for none. */
  parse(text: string): unknown
  isSame(a: T, b: T): boolean
}

export function integer(min: number, max: number): Rule<number> {
  const expects = `an integer from ${min} to ${max}`
  return plain<number>({
    expects,
    envExpects: expects,
    accepts: (value) => Number.isInteger(value) && (value as number) >= min && (value as number) <= max,
    parse: (text) => (/^\d+$/.test(text) ? Number(text) : undefined),
  })
}

/** A share of a whole: nothing is not a share, everything is. */
export function fraction(): Rule<number> {
  const expects = 'a number above 0 and at most 1'
  return plain<number>({
    expects,
    envExpects: expects,
    accepts: (value) => typeof value === 'number' && value > 0 && value <= 1,
    parse: (text) => (/^(?:\d+(?:\.\d+)?|\.\d+)$/.test(text) ? Number(text) : undefined),
  })
}

export function flag(): Rule<boolean> {
  return plain<boolean>({
    expects: 'true or false',
    envExpects: 'true, false, 1, 0, on, off, yes or no',
    accepts: (value) => typeof value === 'boolean',
    parse: parseFlag,
  })
}

function parseFlag(text: string): boolean | undefined {
  switch (text.toLowerCase()) {
    case 'true':
    case '1':
    case 'on':
    case 'yes':
      return true
    case 'false':
    case '0':
    case 'off':
    case 'no':
      return false
    default:
      return undefined
  }
}

/** One of a few words or, where the option takes one, an object or a function of the application's own. */
export function oneOf<W extends string, T = never>(words: readonly W[], own?: Own): Rule<W | T> {
  const quoted = words.map((word) => `"${word}"`)
  return plain<W | T>({
    expects: listed(own === undefined ? quoted : [...quoted, own.expects]),
    envExpects: listed(words),
    accepts: (value) => (words as readonly unknown[]).includes(value) || (own?.accepts(value) ?? false),
    parse: (text) => words.find((word) => word === text.toLowerCase()),
  })
}

/** What of the application's own may stand in place of a word; kept as it is, never copied or frozen. */
export interface Own {
  readonly expects: string
  accepts(value: unknown): boolean
}

export function text(expects: string): Rule<string> {
  return plain<string>({
    expects,
    envExpects: expects,
    accepts: (value) => typeof value === 'string' && value !== '',
    parse: (value) => value,
  })
}

/**
 * A string that no message ever shows, and that an HTTP header can carry (RFC 9110, section 5.5: visible
 * characters).
 */
export function secret(minLength: number): Rule<string> {
  const expects = `a string of at least ${minLength} visible ASCII characters without spaces`
  return {
    ...plain<string>({
      expects,
      envExpects: expects,
      accepts: (value) =>
        typeof value === 'string' && value.length >= minLength && /^[\x21-\x7e]+$/.test(value),
      parse: (value) => value,
    }),
    describe: () => 'a value that is not shown here',
  }
}

/** Whatever `rule` takes, or off: `null`, `false` or `'off'`, which all resolve to `off`. */
export function offOr<T>(rule: Rule<T>): Rule<T | null>
export function offOr<T, Off extends null | false>(rule: Rule<T>, off: Off): Rule<T | Off>
export function offOr<T>(rule: Rule<T>, off: null | false = null): Rule<T | null | false> {
  return {
    ...(rule as Rule<T | null | false>),
    expects: `${rule.expects}, or "off"`,
    envExpects: `${rule.envExpects}, or off`,
    read(value, path, base) {
      if (value === null || value === false || value === 'off') return off
      return rule.read(value, path, base as T)
    },
    parse: (value) => (value.toLowerCase() === 'off' ? off : rule.parse(value)),
    isSame: (a, b) => (a === off || b === off ? a === b : rule.isSame(a as T, b as T)),
  }
}

/** Whatever `rule` takes, or `true`, in the environment `on`, for the value that most people want. */
export function trueMeans<T>(meant: T, rule: Rule<T>): Rule<T> {
  return {
    ...rule,
    expects: `true, ${rule.expects}`,
    envExpects: `on, ${rule.envExpects}`,
    read: (value, path, base) => (value === true ? meant : rule.read(value, path, base)),
    parse: (value) => (parseFlag(value) === true ? true : rule.parse(value)),
  }
}

interface PlainRule {
  readonly expects: string
  readonly envExpects: string
  readonly accepts: (value: unknown) => boolean
  readonly parse: (text: string) => unknown
}

/** A value that is taken as it is. */
function plain<T>({ expects, envExpects, accepts, parse }: PlainRule): Rule<T> {
  return {
    expects,
    envExpects,
    describe: describeValue,
    read: (value) => (accepts(value) ? (value as T) : undefined),
    parse,
    isSame: (a, b) => a === b,
  }
}

function listed(items: readonly string[]): string {
  if (items.length === 1) return items[0]!
  return `${items.slice(0, -1).join(', ')} or ${items.at(-1)}`
}
