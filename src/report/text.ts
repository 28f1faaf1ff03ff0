/**
 * The report for a terminal: what is wrong first, then where it comes from, then each socket.
 * Plain characters in at most `columns` columns; whatever came from outside is made printable first.
 */
import { formatDuration } from '../core/format.js'
import type {
  PairReport,
  PortsReport,
  HealedSite,
  Report,
  SiteReport,
  SocketReport,
  Totals,
} from '../core/report.js'
import { describeBooks } from './describe-books.js'
import { MOST_PAIRS } from './most-pairs.js'
import { describeHealing, describeTrend, isRecovered } from './describe-site.js'
import { MOST_PEERS, formatChance } from './describe-ports.js'
import {
  countSockets,
  describeAccesses,
  describeEvidence,
  describeStalls,
  formatConditions,
  formatConnection,
  formatPartner,
  formatRequest,
  formatWaiting,
} from './describe-socket.js'
import { formatInstant } from './format-instant.js'
import { paint, type Paint } from './paint.js'
import { makePrintable } from './printable.js'
import { withoutQueries } from './without-queries.js'
import { wrap } from './wrap.js'

export const TEXT_CONTENT_TYPE = 'text/plain; charset=utf-8'

export interface TextOptions {
  /** Columns to fit in, at least 40. @default 80 */
  readonly columns?: number
  /** Colour the verdicts with ANSI sequences. @default false */
  readonly color?: boolean
}

interface Page {
  readonly columns: number
  readonly color: boolean
}

const INDENT = '   '
const GAP = '  '

export function renderText(report: Report, options: TextOptions = {}): string {
  const page: Page = { columns: Math.max(40, options.columns ?? 80), color: options.color ?? false }
  const shown = withoutQueries(report)
  const blocks = [
    renderHeader(shown, page),
    shown.sites.length === 0 ? [] : renderSites(shown.sites, page),
    shown.pairs.length === 0 ? [] : renderPairs(shown.pairs, page),
    shown.healedSites.flatMap((site) => renderHealed(site, page)),
    shown.ports.length === 0 ? [] : renderPorts(shown.ports, page),
    ...shown.sockets.map((socket) => renderSocket(socket, page)),
    shown.nextAfter === null
      ? []
      : paragraph(`More sockets follow: ask again with after=${shown.nextAfter}.`, page),
  ]
  return `${blocks
    .filter((block) => block.length > 0)
    .map((block) => block.join('\n'))
    .join('\n\n')}\n`
}

function renderHeader(report: Report, page: Page): string[] {
  const { totals, process, kernel } = report
  const lines = paragraph(`socket-leak-guard: ${summarize(totals)}`, page, headlinePaint(totals))
  if (totals.recovered + totals.reclaimed + totals.dead > 0)
    lines.push(
      ...paragraph(
        `since start: ${totals.recovered} recovered, ${totals.reclaimed} reclaimed, ${totals.dead} dead`,
        page,
      ),
    )
  lines.push(...paragraph(`kernel view: ${describeKernel(kernel)}`, page))
  const stalls = describeStalls(report.stalls)
  if (stalls !== '') lines.push(...paragraph(`event loop: ${stalls}`, page))
  for (const { name, text } of describeBooks(report)) {
    lines.push(...paragraph(makePrintable(`${name}: ${text}`, 400), page))
  }
  lines.push(
    ...paragraph(
      `process ${process.pid}: node ${process.node}, ${process.platform}, ` +
        `up ${formatDuration(process.uptimeSeconds * 1000)}, ${formatInstant(report.generatedAt)}`,
      page,
    ),
  )
  return lines
}

function headlinePaint(totals: Totals): Paint {
  if (totals.leaked > 0) return 'leaked'
  return totals.suspect > 0 ? 'suspect' : 'healthy'
}

/** The verdict totals as one sentence; a healthy process gets a friendly one. */
function summarize(totals: Totals): string {
  const exempt = totals.exempt === 0 ? '' : `, ${totals.exempt} exempt`
  if (totals.leaked + totals.suspect === 0)
    return `all is well: ${countSockets(totals.tracked)} tracked, none suspect or leaked${exempt}.`
  return `${totals.leaked} leaked, ${totals.suspect} suspect${exempt} of ${countSockets(totals.tracked)} tracked.`
}

/** Says what can't be seen: `none (no kernel view on darwin)`. */
function describeKernel(kernel: Report['kernel']): string {
  const probe = kernel.probe === 'none' ? 'unavailable' : kernel.probe
  return kernel.reason === null ? probe : `${probe} (${kernel.reason})`
}

function renderSites(sites: readonly SiteReport[], page: Page): string[] {
  const rows = [
    { name: 'SITE', count: 'COUNT', oldest: 'OLDEST', conditions: 'CONDITIONS', trend: '' },
    ...sites.map((site) => ({
      name: makePrintable(site.site, 200),
      count: String(site.count),
      oldest: formatDuration(site.oldestMs),
      conditions: formatConditions(site),
      trend: describeTrend(site).join(', '),
    })),
  ]
  const countWidth = Math.max(...rows.map((row) => row.count.length))
  const oldestWidth = Math.max(...rows.map((row) => row.oldest.length))
  const rest = page.columns - countWidth - oldestWidth - 3 * GAP.length
  const nameWidth = Math.floor(rest / 2)
  return rows.flatMap((row) => {
    const names = wrap(row.name, nameWidth)
    const conditions = wrap(row.conditions, rest - nameWidth)
    const height = Math.max(names.length, conditions.length)
    const table = Array.from({ length: height }, (_, line) => {
      const name = names[line] ?? ''
      // padEnd() counts code units.
      const cells = [name + ' '.repeat(nameWidth - Array.from(name).length)]
      cells.push((line === 0 ? row.count : '').padStart(countWidth))
      cells.push((line === 0 ? row.oldest : '').padStart(oldestWidth))
      cells.push(conditions[line] ?? '')
      return cells.join(GAP).trimEnd()
    })
    return row.trend === '' ? table : [...table, ...indented(row.trend, page)]
  })
}

function renderPairs(pairs: readonly PairReport[], page: Page): string[] {
  const lines = paragraph('PAIRS, of which one side has gone or is stuck', page)
  for (const { line } of pairs.slice(0, MOST_PAIRS)) lines.push(...paragraph(line, page))
  if (pairs.length > MOST_PAIRS) lines.push(`and ${pairs.length - MOST_PAIRS} more pairs`)
  return lines
}

function renderHealed(site: HealedSite, page: Page): string[] {
  const word = isRecovered(site) ? 'recovered' : 'closed'
  const name = makePrintable(site.site, 200)
  return paragraph(
    `${word}: ${name}, ${describeHealing(site)}`,
    page,
    isRecovered(site) ? 'recovered' : 'reclaimed',
  )
}

function renderPorts(ports: readonly PortsReport[], page: Page): string[] {
  const lines = paragraph('PORTS HELD, and the chance that the next connection meets one', page)
  for (const { remote, localPort, heldPorts, collisionChance } of ports.slice(0, MOST_PEERS)) {
    const count = `${heldPorts} ${heldPorts === 1 ? 'port' : 'ports'}`
    const chance = formatChance(collisionChance)
    lines.push(...paragraph(`${remote}: ${count} to our port ${localPort} (${chance})`, page))
  }
  if (ports.length > MOST_PEERS) lines.push(`and ports of ${ports.length - MOST_PEERS} more peers`)
  return lines
}

function renderSocket(socket: SocketReport, page: Page): string[] {
  const { owner } = socket
  const verdict = socket.verdict === 'none' ? 'healthy' : socket.verdict
  const state = [socket.condition, socket.phase, socket.kernelState].filter((word) => word !== null)
  const facts = [
    `${socket.direction} ${socket.kind} ${formatConnection(socket)}`,
    `${state.join(', ')}, seen by ${socket.seenBy}`,
    [
      `since ${formatDuration(socket.sinceMs)}`,
      `idle ${formatDuration(socket.idleMs)}`,
      formatWaiting(socket),
    ]
      .filter((part) => part !== '')
      .join(', '),
    describeEvidence(socket).join(', '),
    formatPartner(socket),
    `site ${owner.site}${owner.request === null ? '' : `, request ${formatRequest(owner.request)}`}`,
    owner.label && `label ${owner.label}`,
    describeContext(owner.context),
    ...(owner.stack ?? []),
    ...describeAccesses(owner),
  ]
  const lines = paragraph(`#${socket.id} ${verdict}: ${socket.diagnosis}`, page, verdict)
  for (const fact of facts) if (fact) lines.push(...indented(fact, page))
  return lines
}

function describeContext(context: Readonly<Record<string, string>>): string {
  const entries = Object.entries(context)
  return entries.length === 0 ? '' : `context ${entries.map(([key, value]) => `${key}=${value}`).join(' ')}`
}

/** Lines that continue a paragraph are indented, so that the eye finds where the next one begins. */
function paragraph(text: string, page: Page, color: Paint = 'plain'): string[] {
  const lines = wrap(makePrintable(text), page.columns - INDENT.length, page.columns)
  return lines.map((line, i) => (i === 0 ? '' : INDENT) + (page.color ? paint(line, color) : line))
}

function indented(text: string, page: Page): string[] {
  return wrap(makePrintable(text.trimStart()), page.columns - INDENT.length).map((line) => INDENT + line)
}
