import { type ReportEndpoint, listenForReports } from './endpoint.js'
import { parseReportAddress } from './report-address.js'
import { type ReportSource, createReportHandler } from './report-handler.js'

/**
 * Opens the report endpoint that the options ask for, or none.
 *
 * @throws `SLG_ERR_INVALID_OPTION` for an address that can't be understood, `SLG_ERR_REPORT_NEEDS_TOKEN` for one
 *   that others can reach while no token protects it
 */
export function openReportEndpoint(
  report: string | null,
  token: string | null,
  source: ReportSource,
): ReportEndpoint | null {
  if (report === null) return null
  return listenForReports(parseReportAddress(report), createReportHandler(source, { token }))
}
