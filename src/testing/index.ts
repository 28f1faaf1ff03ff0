/**
 * `socket-leak-guard/testing`: a test fails if it leaves a stuck socket behind. Works with any test runner, because the
 * functions return promises that reject with a readable error.
 *
 * A socket counts if it is stuck, not if it is open. The check looks at growing intervals and fails for what stays
 * stuck until `timeoutMs`. A clean test waits a few milliseconds, about 60 with healthy connections open. A socket that
 * the guard closed counts too.
 *
 * `graceMs` plays no part. Without an installed guard, one observes during the check. Without a view of the kernel,
 * `fin-unseen` and `window-closed` can't be found.
 */
import type { SocketReport } from '../core/report.js'
import type { SocketLeakGuardError } from '../base/errors.js'
import type { Guard } from '../guard/guard.js'
import { startLeakCheck } from './leak-check.js'
import { readLeakCheckOptions } from './leak-check-options.js'

export interface LeakCheckOptions {
  /** Milliseconds for sockets to close, 0 to 2147483647. The default fits mocha's limit of 2 s. @default 1500 */
  timeoutMs?: number | undefined
  /** `fail` counts healthy open connections too. @default 'ignore' */
  open?: 'ignore' | 'fail' | undefined
  /** Return true for sockets that are not this test's. Called at each look. @default none */
  ignore?: ((socket: SocketReport) => boolean) | undefined
  /** @default the installed guard, or one for the time of the check */
  guard?: Guard | undefined
}

/** What a check rejects with. */
export interface LeaksFoundError extends SocketLeakGuardError {
  readonly code: 'SLG_ERR_LEAKS_FOUND'
  /** Oldest first. Not enumerable, so that runners print the message alone. */
  readonly sockets: readonly SocketReport[]
}

/**
 * Checks sockets opened after this call, so that tests don't pay for each other.
 *
 * @throws `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 * @returns the check, to be called at the end; later calls give the same result. Rejects with {@link LeaksFoundError},
 * or with `SLG_ERR_UNINSTALLED` if the guard was removed
 * @example
 *   // mocha, vitest, node:test, jest (with NODE_OPTIONS=--experimental-vm-modules)
 *   let check
 *   beforeEach(() => {
 *     check = trackLeaks({ open: 'fail' })
 *   })
 *   afterEach(() => check())
 */
export function trackLeaks(options?: LeakCheckOptions): () => Promise<void> {
  const finish = startLeakCheck(readLeakCheckOptions(options), 'opened from now on')
  let outcome: Promise<void> | null = null
  return function checkForLeaks() {
    return (outcome ??= finish())
  }
}

/**
 * Waits until no socket of this process is stuck. Covers each socket since the guard was installed (`node --require
 * socket-leak-guard/register --test`); without one, open sockets that keep the process alive.
 *
 * @throws (rejects with) {@link LeaksFoundError}, `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 * @example
 *   after(() => assertNoLeaks()) // node:test
 *   afterAll(() => assertNoLeaks({ ignore: ({ remote }) => remote?.port === 5432 })) // vitest, jest: setup file
 *   t.after(() => assertNoLeaks()) // tap
 *   export const mochaHooks = { afterAll: () => assertNoLeaks() } // mocha: root hook
 */
export async function assertNoLeaks(options?: LeakCheckOptions): Promise<void> {
  await startLeakCheck(readLeakCheckOptions(options), 'all')()
}
