import { SocketLeakGuardError } from '../base/errors.js'
import { formatReportAddress, parseReportAddress, requiresToken } from './address.js'
import type { ReportEndpoint } from './endpoint.js'
import type { ReportSource } from './handler.js'
import type { ReportSockets } from './report-sockets.js'

export function checkReportAddress(report: string | null, token: string | null): void {
  if (report === null) return
  const address = parseReportAddress(report)
  if (token !== null || !requiresToken(address)) return
  throw new SocketLeakGuardError(
    'SLG_ERR_REPORT_NEEDS_TOKEN',
    `report must be a loopback address or a unix socket unless reportToken is set, got "${formatReportAddress(address)}"`,
  )
}

export function openReportEndpoint(
  report: string | null,
  token: string | null,
  previous: ReportEndpoint | null,
  source: ReportSource,
  sockets: ReportSockets,
): ReportEndpoint | null {
  const closed = previous?.close()
  if (report === null) return null
  checkReportAddress(report, token)
  const address = parseReportAddress(report)
  let isWanted = true

  /** Loads the page too: without free descriptors nothing can be loaded. */
  async function open(): Promise<ReportEndpoint | null> {
    const [{ listenForReports }, { createReportHandler }] = await Promise.all([
      import('./endpoint.js'),
      import('./handler.js'),
      closed,
    ])
    return isWanted ? listenForReports(address, createReportHandler(source, { token }), sockets) : null
  }
  const opening = open()
  const ready = opening.then((endpoint) => endpoint?.ready ?? new Promise<never>(() => {}))
  ready.catch(ignoreFailure)
  return {
    ready,
    async close() {
      isWanted = false
      await opening.then((endpoint) => endpoint?.close(), ignoreFailure)
    },
  }
}

function ignoreFailure(): void {}
