/**
 * `socket-leak-guard/testing`: a test fails when it leaves a socket behind. For any test runner: both functions only
 * return promises, and reject with one error whose message says what is stuck and what to do.
 *
 * A socket counts when it is stuck (any condition of the report), not when it is merely open. Closing takes a round
 * trip, so the check looks again and again, at growing intervals, and fails only for what stays stuck until
 * `timeoutMs`: a test that cleans up waits a few milliseconds, some 60 when it leaves healthy connections open. A
 * socket that the guard had to close (`reclaimDead`, `action`) counts as well: the test did not close it.
 *
 * `graceMs` plays no part. Where no guard is installed, one is for the time of the check; it only observes. On a system
 * that gives no view of the kernel, what only the kernel knows (`fin-unseen`, `window-closed`) can't fail a test.
 */
import type { SocketReport } from '../core/report.js'
import type { SocketLeakGuardError } from '../base/errors.js'
import type { Guard } from '../guard/guard.js'
import { startLeakCheck } from './leak-check.js'
import { readLeakCheckOptions } from './leak-check-options.js'

export interface LeakCheckOptions {
  /**
   * How long sockets may take to close, in milliseconds, 0 to 2147483647. The default leaves a check the time to say
   * what is wrong within the 2 s that mocha gives a test or a hook.
   * @default 1500
   */
  timeoutMs?: number | undefined
  /** `fail`: a connection that is healthy but still open at the end counts too. @default 'ignore' */
  open?: 'ignore' | 'fail' | undefined
  /** Sockets that are not this test's business: return true for them. Called at every look. @default none */
  ignore?: ((socket: SocketReport) => boolean) | undefined
  /** The guard to ask. @default the one that is installed, or one for the time of the check */
  guard?: Guard | undefined
}

/** What a check rejects with. */
export interface LeaksFoundError extends SocketLeakGuardError {
  readonly code: 'SLG_ERR_LEAKS_FOUND'
  /** What was found, oldest first. Not enumerable, so that runners print the message and not the records. */
  readonly sockets: readonly SocketReport[]
}

/**
 * Looks from now on: only sockets that are opened after this call count, so tests don't pay for each other.
 *
 * @throws `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 * @returns the check, to be called once at the end (later calls give the same answer). Rejects with
 *   {@link LeaksFoundError}, or with `SLG_ERR_UNINSTALLED` when the guard was taken out in the meantime
 * @example
 * // node:test, tap: in the test itself
 * test('answers', async () => {
 *   const check = trackLeaks()
 *   const server = await listen()
 *   await request(server)
 *   await close(server)
 *   await check()
 * })
 * @example
 * // mocha, vitest, node:test, jest (with NODE_OPTIONS=--experimental-vm-modules): around every test
 * let check
 * beforeEach(() => {
 *   check = trackLeaks({ open: 'fail' })
 * })
 * afterEach(() => check())
 */
export function trackLeaks(options?: LeakCheckOptions): () => Promise<void> {
  const finish = startLeakCheck(readLeakCheckOptions(options), 'opened from now on')
  let outcome: Promise<void> | null = null
  return function checkForLeaks() {
    return (outcome ??= finish())
  }
}

/**
 * Waits until no socket of this process is stuck.
 *
 * Sees every socket since the guard was installed (`node --require socket-leak-guard/register --test`); without one,
 * those that are open now and keep the process alive.
 *
 * @throws (rejects with) {@link LeaksFoundError}, `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 * @example
 * // node:test
 * after(() => assertNoLeaks())
 * @example
 * // vitest, jest: in a setup file
 * afterAll(() => assertNoLeaks({ ignore: ({ remote }) => remote?.port === 5432 }))
 * @example
 * // tap
 * t.after(() => assertNoLeaks())
 * @example
 * // mocha: a root hook
 * export const mochaHooks = { afterAll: () => assertNoLeaks() }
 */
export async function assertNoLeaks(options?: LeakCheckOptions): Promise<void> {
  await startLeakCheck(readLeakCheckOptions(options), 'all')()
}
