import { type ReportEndpoint, ensureProtected, listenForReports } from './endpoint.js'
import { parseReportAddress } from './report-address.js'
import { type ReportSource, createReportHandler } from './report-handler.js'

/**
 * @throws `SLG_ERR_INVALID_OPTION` for an address that can't be understood, `SLG_ERR_REPORT_NEEDS_TOKEN` for one
 *   that others can reach while no token protects it
 */
export function checkReportAddress(report: string | null, token: string | null): void {
  if (report !== null) ensureProtected(parseReportAddress(report), token !== null)
}

/**
 * Opens the report endpoint that the options ask for, or none. What `checkReportAddress` throws is thrown here too.
 *
 * @param previous closed first: it may have the same address
 */
export function openReportEndpoint(
  report: string | null,
  token: string | null,
  previous: ReportEndpoint | null,
  source: ReportSource,
): ReportEndpoint | null {
  const closed = previous?.close()
  if (report === null) return null
  const open = () => listenForReports(parseReportAddress(report), createReportHandler(source, { token }))
  return closed === undefined ? open() : openAfter(closed, open)
}

function openAfter(closed: Promise<void>, open: () => ReportEndpoint): ReportEndpoint {
  let isWanted = true
  const opening = closed.then(() => (isWanted ? open() : null))
  const ready = opening.then((endpoint) => endpoint?.ready ?? new Promise<never>(() => {}))
  return {
    ready,
    async close() {
      isWanted = false
      await (await opening)?.close()
    },
  }
}
