import { SocketLeakGuardError } from '../errors.js'
import { listenForReports, parseReportAddress, requiresToken, type ReportEndpoint } from './endpoint.js'
import { createReportHandler, type ReportSource } from './report-handler.js'

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
  const address = parseReportAddress(report)
  if (token === null && requiresToken(address)) {
    throw new SocketLeakGuardError(
      'SLG_ERR_REPORT_NEEDS_TOKEN',
      `report: ${JSON.stringify(report)} is not a loopback address, so reportToken must be set as well`,
    )
  }
  return listenForReports(address, createReportHandler(source, { token }))
}
