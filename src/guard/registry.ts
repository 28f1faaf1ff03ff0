/** One guard for each thread, however many copies of the package are loaded. */
import type { LintFinding } from '../core/report.js'
import type { Guard } from './guard.js'
import { readProcessWide, writeProcessWide } from '../base/process-wide.js'

export function installedGuard(): Guard | null {
  return (readProcessWide('guard') as Guard | undefined) ?? null
}

/** Gives a preloaded guard to the application, whose options win over those of the environment. */
export type TakeOver = (options: unknown) => void

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

export function lintForReport(): readonly LintFinding[] | null {
  return (readProcessWide('lint') as (() => readonly LintFinding[]) | undefined)?.() ?? null
}

export function registerLinter(linter: () => readonly LintFinding[]): void {
  writeProcessWide('lint', linter)
}
