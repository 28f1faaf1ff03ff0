// `socket-leak-guard/fleet`: the processes of one machine in one report. Each has its own report on a Unix socket in
// one folder (`report: 'unix:/run/app-guard/%p.sock'`), which this reads.
import { dirname, resolve } from 'node:path'
import { describeValue } from '../base/errors.js'
import { readProcessWide } from '../base/process-wide.js'
import { checkedMs, checkNames } from '../options/check.js'
import { invalidOption } from '../options/rules.js'
import { createAccessCheck } from '../server/access.js'
import { parseReportAddress } from '../server/address.js'
import { checkReportAddress } from '../server/open-endpoint.js'
import { ReportSockets } from '../server/report-sockets.js'
import { createFleetHandler } from './handler.js'
import { readMembers } from './members.js'
import { rollUp, type FleetReport, type Member } from './roll-up.js'

export type { FleetProcess, FleetReport, FleetSite, FleetSocket } from './roll-up.js'
export { renderFleetText } from './text.js'

export interface FleetOptions {
  folder: string
  /** The token of their reports, if they have one, and of this one. @default none */
  reportToken?: string | null | undefined
  /** How long a process may take to answer. @default 2000 */
  timeoutMs?: number | undefined
}

export interface FleetServerOptions extends FleetOptions {
  /** Where the report of all listens: `127.0.0.1:9465`, `unix:/run/fleet.sock`. */
  report: string
}

export interface FleetServer {
  /** Rejects with `SLG_ERR_REPORT_LISTEN`. */
  readonly listening: Promise<{ readonly url: string }>
  close(): Promise<void>
}

/** Of each process. */
const MOST_SOCKETS = 50

/**
 * Asks every process for its report and rolls them up. One that does not answer is listed with the reason.
 * @throws (rejects with) `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`, or the error of reading the folder
 * @example
 *   const { totals, processes } = await readFleet({ folder: '/run/app-guard' })
 */
export async function readFleet(options: FleetOptions): Promise<FleetReport> {
  checkNames(options, ['folder', 'reportToken', 'timeoutMs'])
  const members = await reader(options)()
  return rollUp(members, new Date().toISOString(), MOST_SOCKETS * members.length)
}

/**
 * Serves the report of all processes: JSON, `?format=text`, and `/metrics` with the label `process`. Access is as for
 * the option `report`. Does not keep the process alive.
 * @throws `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNKNOWN_OPTION`, `SLG_ERR_REPORT_NEEDS_TOKEN`
 * @example
 *   if (cluster.isPrimary) serveFleet({ folder: '/run/app-guard', report: '127.0.0.1:9465' })
 */
export function serveFleet(options: FleetServerOptions): FleetServer {
  checkNames(options, ['folder', 'report', 'reportToken', 'timeoutMs'])
  const { folder, report, reportToken: token = null } = options
  const read = reader(options)
  checkReportAddress(report, token)
  const address = parseReportAddress(report)
  // It would ask itself.
  if (address.kind === 'unix' && dirname(address.path) === resolve(folder))
    throw invalidOption('report', 'an address outside of the folder', describeValue(report))
  const handler = createFleetHandler(createAccessCheck({ token }), read)
  const opening = import('../server/endpoint.js').then(({ listenForReports }) =>
    listenForReports(address, handler, ownSockets()),
  )
  const listening = opening.then(({ ready }) => ready)
  // Who does not ask is told by the missing report.
  listening.catch(() => {})
  return { listening, close: async () => (await opening).close() }
}

function reader({
  folder,
  reportToken: token = null,
  timeoutMs = 2000,
}: FleetOptions): () => Promise<Member[]> {
  if (typeof folder !== 'string' || folder === '')
    throw invalidOption('folder', 'a path', describeValue(folder))
  const query = { token, limit: MOST_SOCKETS, timeoutMs: checkedMs('timeoutMs', timeoutMs, 1) }
  return () => readMembers(resolve(folder), query, ownSockets())
}

/** Those that an installed guard leaves out of its own report. */
function ownSockets(): ReportSockets {
  return (readProcessWide('report-sockets') as ReportSockets | undefined) ?? new ReportSockets()
}
