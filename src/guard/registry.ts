/** One guard per thread, also where several copies of the package are loaded. */
import type { LintFinding } from '../core/report.js'
import type { Guard } from './guard.js'
import { readProcessWide, writeProcessWide } from '../base/process-wide.js'

/** The guard of this process, or `null` when none is installed. */
export function installedGuard(): Guard | null {
  return (readProcessWide('guard') as Guard | undefined) ?? null
}

/** Gives the guard that was preloaded to the application, with its options on top of those of the environment. */
export type TakeOver = (options: unknown) => void

/** `null` where no guard was preloaded, or the application has taken it over. */
export function preloadedGuard(): TakeOver | null {
  return (readProcessWide('take-over') as TakeOver | undefined) ?? null
}

export function registerPreloaded(takeOver: TakeOver | null): void {
  writeProcessWide('take-over', takeOver ?? undefined)
}

export function registerGuard(guard: Guard | null): void {
  writeProcessWide('guard', guard ?? undefined)
  registerPreloaded(null)
}

/** What the linter finds, for a report; `null` where nobody has loaded `socket-leak-guard/lint`. */
export function lintForReport(): readonly LintFinding[] | null {
  return (readProcessWide('lint') as (() => readonly LintFinding[]) | undefined)?.() ?? null
}

export function registerLinter(linter: () => readonly LintFinding[]): void {
  writeProcessWide('lint', linter)
}
