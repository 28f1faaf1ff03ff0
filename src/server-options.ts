/** What `guardServer()` takes beside the policy: the names that may stand there, and the options of an adapter's own. */
import { describeValue, SocketLeakGuardError } from './errors.js'
import { nearestName } from './nearest-name.js'
import { invalidOption, isOptionBag } from './option-fields.js'
import { OPTION_NAMES, OPTIONS } from './option-table.js'

const PER_SERVER: readonly string[] = [...OPTION_NAMES.filter((name) => OPTIONS[name].perServer), 'label']

/**
 * Refuses a name that nothing reads. Options of the whole process pass: the reader of the policy knows what to say of them.
 *
 * @param own the names that only this adapter knows
 * @throws `SLG_ERR_UNKNOWN_OPTION`, `SLG_ERR_INVALID_OPTION`
 */
export function checkServerOptions(options: unknown, own: readonly string[] = []): void {
  checkNames(options, [...PER_SERVER, ...own], OPTION_NAMES)
}

/**
 * @param names what may be given
 * @param others what passes as well, but is never recommended
 * @throws `SLG_ERR_UNKNOWN_OPTION`, `SLG_ERR_INVALID_OPTION`
 */
export function checkNames(options: unknown, names: readonly string[], others: readonly string[] = []): void {
  if (!isOptionBag(options)) throw invalidOption('options', 'a plain object', describeValue(options))
  for (const key of Object.keys(options)) {
    if (names.includes(key) || others.includes(key)) continue
    throw new SocketLeakGuardError(
      'SLG_ERR_UNKNOWN_OPTION',
      `unknown option ${JSON.stringify(key)}; did you mean ${JSON.stringify(nearestName(key, names))}?`,
    )
  }
}

/** A whole number of milliseconds that a timer can hold (lib/internal/timers.js, TIMEOUT_MAX). */
export function checkedMs(name: string, value: unknown, min = 0): number {
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= 2_147_483_647) {
    return value as number
  }
  throw invalidOption(name, `an integer from ${min} to 2147483647`, describeValue(value))
}
