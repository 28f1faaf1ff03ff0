import { describeValue, SocketLeakGuardError } from '../errors.js'
import type { Guard } from '../guard.js'
import { nearestName } from '../nearest-name.js'
import { invalidOption, isOptionBag } from '../option-fields.js'
import type { LeakCheckOptions } from '../testing.js'

export interface ResolvedLeakCheckOptions {
  readonly timeoutMs: number
  readonly open: 'ignore' | 'fail'
  readonly ignore: NonNullable<LeakCheckOptions['ignore']>
  readonly guard: Guard | null
}

const NAMES: readonly (keyof LeakCheckOptions)[] = ['timeoutMs', 'open', 'ignore', 'guard']
const DEFAULT_TIMEOUT_MS = 1500

/** @throws `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION` */
export function readLeakCheckOptions(input: unknown = {}): ResolvedLeakCheckOptions {
  if (!isOptionBag(input)) throw invalidOption('options', 'a plain object', describeValue(input))
  for (const key of Object.keys(input)) {
    if ((NAMES as readonly string[]).includes(key)) continue
    throw new SocketLeakGuardError(
      'SLG_ERR_UNKNOWN_OPTION',
      `unknown option ${JSON.stringify(key)}; did you mean ${JSON.stringify(nearestName(key, NAMES))}?`,
    )
  }
  const { timeoutMs, open, ignore, guard } = input as Readonly<Record<keyof LeakCheckOptions, unknown>>
  return {
    timeoutMs: timeoutMs === undefined ? DEFAULT_TIMEOUT_MS : checkedTimeout(timeoutMs),
    open: open === undefined ? 'ignore' : checkedOpen(open),
    ignore: ignore === undefined ? ignoreNone : checkedIgnore(ignore),
    guard: guard === undefined ? null : checkedGuard(guard),
  }
}

function ignoreNone(): boolean {
  return false
}

function checkedTimeout(value: unknown): number {
  if (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 2_147_483_647)
    return value as number
  throw invalidOption('timeoutMs', 'an integer from 0 to 2147483647', describeValue(value))
}

function checkedOpen(value: unknown): 'ignore' | 'fail' {
  if (value === 'ignore' || value === 'fail') return value
  throw invalidOption('open', '"ignore" or "fail"', describeValue(value))
}

function checkedIgnore(value: unknown): ResolvedLeakCheckOptions['ignore'] {
  if (typeof value === 'function') return value as ResolvedLeakCheckOptions['ignore']
  throw invalidOption('ignore', 'a function', describeValue(value))
}

function checkedGuard(value: unknown): Guard {
  if (typeof (value as Partial<Guard> | null)?.sweep === 'function') return value as Guard
  throw invalidOption('guard', 'what install() returned', describeValue(value))
}
