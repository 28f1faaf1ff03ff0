/** What `assertNoLeaks()` and `trackLeaks()` take. */
import { describeValue } from '../base/errors.js'
import type { Guard } from '../guard/guard.js'
import type { LeakCheckOptions } from '../testing.js'
import {
  integer,
  invalidOption,
  isOptionBag,
  oneOf,
  plain,
  readFields,
  type Fields,
} from '../options/rules.js'

export interface ResolvedLeakCheckOptions {
  readonly timeoutMs: number
  readonly open: 'ignore' | 'fail'
  readonly ignore: NonNullable<LeakCheckOptions['ignore']>
  readonly guard: Guard | null
}

const FIELDS: Fields<ResolvedLeakCheckOptions> = {
  timeoutMs: integer(0),
  open: oneOf(['ignore', 'fail']),
  ignore: plain('a function', (value) => typeof value === 'function'),
  guard: plain(
    'what install() returned',
    (value) => typeof (value as Partial<Guard> | null)?.sweep === 'function',
  ),
}

const DEFAULTS: ResolvedLeakCheckOptions = {
  timeoutMs: 1500,
  open: 'ignore',
  ignore: () => false,
  guard: null,
}

/** @throws `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION` */
export function readLeakCheckOptions(input: unknown = {}): ResolvedLeakCheckOptions {
  if (!isOptionBag(input)) throw invalidOption('options', 'a plain object', describeValue(input))
  return readFields(input, FIELDS, DEFAULTS)
}
