import { describeValue } from '../base/errors.js'
import { integer, invalidOption, isOptionBag, unknownOption } from './rules.js'
import { OPTION_NAMES, OPTIONS } from './table.js'

export function checkServerOptions(options: unknown, own: readonly string[] = []): void {
  const perServer = OPTION_NAMES.filter((name) => OPTIONS[name].perServer)
  checkNames(options, [...perServer, 'label', ...own], OPTION_NAMES)
}

export function checkNames(options: unknown, names: readonly string[], others: readonly string[] = []): void {
  if (!isOptionBag(options)) throw invalidOption('options', 'a plain object', describeValue(options))
  for (const key of Object.keys(options)) {
    if (!names.includes(key) && !others.includes(key)) throw unknownOption(key, names)
  }
}

export function checkedMs(name: string, value: unknown, min = 0): number {
  const rule = integer(min)
  const ms = rule.read(value, name, min)
  if (ms === undefined) throw invalidOption(name, rule.expects, describeValue(value))
  return ms
}
