import { describeValue } from '../base/errors.js'
import { checkedMs, checkNames } from '../options/check.js'
import { invalidOption } from '../options/rules.js'
import type { LeakCheckOptions } from './index.js'

export type ResolvedLeakCheckOptions = ReturnType<typeof readLeakCheckOptions>

export function readLeakCheckOptions(options: LeakCheckOptions = {}) {
  checkNames(options, ['timeoutMs', 'open', 'ignore', 'guard'])
  const { timeoutMs = 1500, open = 'ignore', ignore = ignoreNothing, guard = null } = options
  if (open !== 'ignore' && open !== 'fail') refuse('open', '"ignore" or "fail"', open)
  if (typeof ignore !== 'function') refuse('ignore', 'a function', ignore)
  if (guard !== null && typeof guard.sweep !== 'function') refuse('guard', 'what install() returned', guard)
  return { timeoutMs: checkedMs('timeoutMs', timeoutMs), open, ignore, guard }
}

function refuse(name: string, expects: string, value: unknown): never {
  throw invalidOption(name, expects, describeValue(value))
}

function ignoreNothing(): boolean {
  return false
}
