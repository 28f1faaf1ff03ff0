import type { Guard } from '../guard/guard.js'
import { install } from '../install.js'
import { installedGuard } from '../guard/registry.js'

interface Loan {
  readonly guard: Guard
  borrowers: number
}

export interface BorrowedGuard {
  readonly guard: Guard
  giveBack(): void
}

let own: Loan | null = null

/**
 * The guard of the application, or one for as long as somebody needs it: a test process is left as it was found, and
 * code under test that calls `install()` between two checks gets the guard that it asked for.
 */
export function borrowGuard(given: Guard | null): BorrowedGuard {
  const present = given ?? installedGuard()
  if (present !== null && present !== own?.guard) return { guard: present, giveBack: () => {} }
  if (own === null || present === null) own = { guard: installForTest(), borrowers: 0 }
  const loan = own
  loan.borrowers += 1
  return {
    guard: loan.guard,
    giveBack() {
      loan.borrowers -= 1
      if (loan.borrowers > 0) return
      loan.guard.uninstall()
      if (own === loan) own = null
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
