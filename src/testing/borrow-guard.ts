import type { Guard } from '../guard/guard.js'
import { install } from '../install.js'
import { readProcessWide, writeProcessWide } from '../base/process-wide.js'
import { installedGuard } from '../guard/registry.js'

/** A guard that is there for checks alone. A runner may load this module once for each test file: they share it. */
interface Loan {
  readonly guard: Guard
  borrowers: number
}

export interface BorrowedGuard {
  readonly guard: Guard
  giveBack(): void
}

/**
 * The guard of the application, or one for as long as somebody needs it: a test process is left as it was found, and
 * code under test that calls `install()` between two checks gets the guard that it asked for.
 */
export function borrowGuard(given: Guard | null): BorrowedGuard {
  const present = given ?? installedGuard()
  const known = readProcessWide('testing') as Loan | undefined
  if (present !== null && present !== known?.guard) return { guard: present, giveBack() {} }
  const loan = known !== undefined && present !== null ? known : { guard: installForTest(), borrowers: 0 }
  loan.borrowers += 1
  writeProcessWide('testing', loan)
  return {
    guard: loan.guard,
    giveBack() {
      loan.borrowers -= 1
      if (loan.borrowers > 0) return
      loan.guard.uninstall()
      if (readProcessWide('testing') === loan) writeProcessWide('testing', undefined)
    },
  }
}

/** Observes and nothing else: what a test leaves behind must stay where it is, and no packet is sent for it. */
function installForTest(): Guard {
  return install({
    graceMs: 200,
    action: 'report',
    reclaimDead: false,
    keepAlive: false,
    context: 'off',
    stacks: 'always',
  })
}
