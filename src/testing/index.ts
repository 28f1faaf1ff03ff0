// `socket-leak-guard/testing`: a test fails if it leaves a stuck socket behind, or one that the guard closed. Open
// sockets are not stuck. The check looks at growing intervals until `timeoutMs`; `graceMs` plays no part. Without a
// view of the kernel, `fin-unseen` and `window-closed` can't be found.
import type { SocketReport } from '../core/report.js'
import type { SocketLeakGuardError } from '../base/errors.js'
import type { Guard } from '../guard/guard.js'
import { startLeakCheck } from './leak-check.js'
import { readLeakCheckOptions } from './leak-check-options.js'
import { framesAbove } from './leaks-found.js'

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

export interface LeaksFoundError extends SocketLeakGuardError {
  readonly code: 'SLG_ERR_LEAKS_FOUND'
  /** Oldest first. Not enumerable, so that runners print the message alone. */
  readonly sockets: readonly SocketReport[]
}

/**
 * Checks sockets opened after this call, so that tests don't pay for each other.
 * @throws `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 * @returns the check, to be called at the end. Rejects with {@link LeaksFoundError}, or `SLG_ERR_UNINSTALLED`
 * @example
 *   beforeEach(() => (check = trackLeaks({ open: 'fail' })))
 *   afterEach(() => check())
 */
export function trackLeaks(options?: LeakCheckOptions): () => Promise<void> {
  const finish = startLeakCheck(readLeakCheckOptions(options), 'opened from now on')
  let outcome: Promise<void> | null = null
  return function checkForLeaks() {
    return (outcome ??= finish(framesAbove(checkForLeaks)))
  }
}

/**
 * Waits until no socket of this process is stuck. Covers each socket since the guard was installed; without one, open
 * sockets that keep the process alive.
 * @throws (rejects with) {@link LeaksFoundError}, `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 * @example
 *   after(() => assertNoLeaks()) // node:test
 *   afterAll(() => assertNoLeaks({ ignore: ({ remote }) => remote?.port === 5432 })) // vitest, jest: setup file
 */
export async function assertNoLeaks(options?: LeakCheckOptions): Promise<void> {
  await startLeakCheck(readLeakCheckOptions(options), 'all')(framesAbove(assertNoLeaks))
}
