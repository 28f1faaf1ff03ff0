import type { Guard } from '../guard/guard.js'
import { install } from '../install.js'
import { readProcessWide, writeProcessWide } from '../base/process-wide.js'
import { installedGuard } from '../guard/registry.js'

interface Loan {
  readonly guard: Guard
  borrowers: number
}

export interface BorrowedGuard {
  readonly guard: Guard
  giveBack(): void
}

/** The application's guard, or one that is removed after the check, so that code under test can `install()` its own. */
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
