import type { LintFinding } from '../core/report.js'
import { CpuShare } from '../kernel/cpu-share.js'
import { checkedMs, checkNames } from '../options/check.js'
import { monotonicMs } from '../base/real-time.js'
import { installedGuard, registerLinter } from '../guard/registry.js'
import { messageOf, warnOnce } from '../base/warnings.js'
import { watchKeepAlive } from './keep-alive.js'
import { findingsIn, type LintOptions } from './rules.js'
import { watchServers } from './servers.js'

export type { LintFinding } from '../core/report.js'
export type { LintOptions }

const serverFacts = watchServers()
const lostKeepAlives = watchKeepAlive()
registerLinter(createReportLinter())

/**
 * Settings and handlers that will leak; without a guard, settings only.
 * @throws `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`
 * @example
 *   import { lint } from 'socket-leak-guard/lint'
 *   for (const { message, remedy } of lint({ loadBalancerIdleMs: 60_000 })) console.warn(message, remedy)
 */
export function lint(options: LintOptions = {}): LintFinding[] {
  checkNames(options, ['loadBalancerIdleMs'])
  const { loadBalancerIdleMs } = options
  if (loadBalancerIdleMs !== undefined) checkedMs('loadBalancerIdleMs', loadBalancerIdleMs)
  const adapter = installedGuard()?.adapter ?? null
  return findingsIn({ servers: serverFacts(adapter), lostKeepAlives: lostKeepAlives(adapter) }, options)
}

function createReportLinter(): () => LintFinding[] {
  const share = new CpuShare(monotonicMs)
  let latest: LintFinding[] = []
  return function lintForReport() {
    if (share.restMs() > 0) return latest
    const startedMs = monotonicMs()
    share.begin()
    try {
      latest = lint()
    } catch (error) {
      warnOnce('SLG_WARN_INTERNAL', `the linter failed: ${messageOf(error)}`)
    }
    share.spend(startedMs)
    return latest
  }
}
