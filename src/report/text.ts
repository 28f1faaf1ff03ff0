import { formatDuration } from '../core/format.js'
import type {
  CensusReport,
  CodeReport,
  HealedSite,
  PairReport,
  PortsReport,
  Report,
  SiteCount,
  SiteReport,
  SocketReport,
  Totals,
} from '../core/report.js'
import {
  countRest,
  countSockets,
  describeAccesses,
  describeBooks,
  describeCode,
  describeEvidence,
  describeHealing,
  describeStalls,
  describeTrend,
  formatConditions,
  formatConnection,
  formatContext,
  formatInstant,
  formatPartner,
  formatStreams,
  formatRequest,
  formatWaiting,
  isRecovered,
  MOST_CENSUS_LINES,
  MOST_PAIRS,
  MOST_PEERS,
  MOST_SITES,
} from './phrases.js'
import { makePrintable, withoutQueries, wrap } from './printable.js'

export const TEXT_CONTENT_TYPE = 'text/plain; charset=utf-8'

const COLUMNS = 80
const INDENT = '   '
const GAP = '  '

export function renderText(report: Report): string {
  return [...writeText(report)].join('')
}

export function* writeText(report: Report): Generator<string> {
  const shown = withoutQueries({ ...report, sockets: [] })
  const blocks = [
    renderHeader(shown),
    shown.sites.length === 0 ? [] : renderSites(shown.sites),
    [
      ...shown.stalledSites.slice(0, MOST_SITES).flatMap(renderStalled),
      ...countRest(shown.stalledSites.length - MOST_SITES, 'sites'),
    ],
    shown.code.flatMap(renderCode),
    renderCensus(shown.census),
    shown.pairs.length === 0 ? [] : renderPairs(shown.pairs),
    shown.healedSites.flatMap(renderHealed),
    shown.ports.length === 0 ? [] : renderPorts(shown.ports),
  ]
  const filled = blocks.filter((block) => block.length > 0)
  yield `${filled.map((block) => block.join('\n')).join('\n\n')}\n`
  for (const socket of report.sockets) yield `\n${renderSocket(withoutQueries(socket)).join('\n')}\n`
  if (shown.nextAfter === null) return
  yield `\n${paragraph(`More sockets follow: ask again with after=${shown.nextAfter}.`).join('\n')}\n`
}

function renderHeader(report: Report): string[] {
  const { totals, process, kernel } = report
  const { recovered, reclaimed, dead } = totals
  const stalls = describeStalls(report.stalls)
  return [
    `socket-leak-guard: ${summarize(totals)}`,
    recovered + reclaimed + dead > 0 &&
      `since start: ${recovered} recovered, ${reclaimed} reclaimed, ${dead} dead`,
    `kernel view: ${describeKernel(kernel)}`,
    stalls !== '' && `event loop: ${stalls}`,
    ...describeBooks(report).map(({ name, text }) => makePrintable(`${name}: ${text}`, 400)),
    `process ${process.pid}: node ${process.node}, ${process.platform}, ` +
      `up ${formatDuration(process.uptimeSeconds * 1000)}, ${formatInstant(report.generatedAt)}`,
  ].flatMap((line) => (line === false ? [] : paragraph(line)))
}

function summarize(totals: Totals): string {
  const { leaked, suspect, tracked } = totals
  const odd = (['stalled', 'exempt'] as const).filter((verdict) => totals[verdict] > 0)
  const others = odd.map((verdict) => `, ${totals[verdict]} ${verdict}`).join('')
  if (leaked + suspect === 0)
    return `all is well: ${countSockets(tracked)} tracked, none suspect or leaked${others}.`
  return `${leaked} leaked, ${suspect} suspect${others} of ${countSockets(tracked)} tracked.`
}

function describeKernel(kernel: Report['kernel']): string {
  const probe = kernel.probe === 'none' ? 'unavailable' : kernel.probe
  return kernel.reason === null ? probe : `${probe} (${kernel.reason})`
}

function renderSites(sites: readonly SiteReport[]): string[] {
  const rows = [
    { name: 'SITE', count: 'COUNT', oldest: 'OLDEST', conditions: 'CONDITIONS', trend: '' },
    ...sites.slice(0, MOST_SITES).map((site) => ({
      name: makePrintable(site.site, 200),
      count: String(site.count),
      oldest: formatDuration(site.oldestMs),
      conditions: formatConditions(site),
      trend: describeTrend(site).join(', '),
    })),
  ]
  const countWidth = Math.max(...rows.map((row) => row.count.length))
  const oldestWidth = Math.max(...rows.map((row) => row.oldest.length))
  const rest = COLUMNS - countWidth - oldestWidth - 3 * GAP.length
  const nameWidth = Math.floor(rest / 2)
  const lines = rows.flatMap((row) => {
    const names = wrap(row.name, nameWidth)
    const conditions = wrap(row.conditions, rest - nameWidth)
    const height = Math.max(names.length, conditions.length)
    const table = Array.from({ length: height }, (_, line) => {
      const name = names[line] ?? ''
      return [
        // padEnd() counts code units.
        name + ' '.repeat(nameWidth - Array.from(name).length),
        (line === 0 ? row.count : '').padStart(countWidth),
        (line === 0 ? row.oldest : '').padStart(oldestWidth),
        conditions[line] ?? '',
      ]
        .join(GAP)
        .trimEnd()
    })
    return row.trend === '' ? table : [...table, ...indented(row.trend)]
  })
  return [...lines, ...countRest(sites.length - MOST_SITES, 'sites')]
}

function renderPairs(pairs: readonly PairReport[]): string[] {
  return [
    'PAIRS, of which one side has gone or is stuck',
    ...pairs.slice(0, MOST_PAIRS).flatMap(({ line }) => paragraph(line)),
    ...countRest(pairs.length - MOST_PAIRS, 'pairs'),
  ]
}

function renderStalled({ site, count, oldestMs }: SiteCount): string[] {
  const age = formatDuration(oldestMs)
  return paragraph(`stalled: ${makePrintable(site, 200)}, ${countSockets(count)}, for up to ${age}`)
}

function renderCode(found: CodeReport): string[] {
  return describeCode(found).flatMap((line, i) => (i === 0 ? paragraph(line) : indented(line)))
}

function renderCensus({ clients, sites }: CensusReport): string[] {
  const lines = [...clients, ...sites].map(({ line }) => line)
  if (lines.length === 0) return []
  const rest = lines.length - MOST_CENSUS_LINES
  return [
    'OPEN both ways, and no leaks: who waits, and what grows',
    ...lines.slice(0, MOST_CENSUS_LINES).flatMap(paragraph),
    ...(rest > 0 ? [`and ${rest} more`] : []),
  ]
}

function renderHealed(site: HealedSite): string[] {
  const word = isRecovered(site) ? 'recovered' : 'closed'
  return paragraph(`${word}: ${makePrintable(site.site, 200)}, ${describeHealing(site)}`)
}

function renderPorts(ports: readonly PortsReport[]): string[] {
  const lines = ['PORTS HELD by half-closed sockets']
  for (const { remote, localPort, heldPorts } of ports.slice(0, MOST_PEERS)) {
    const count = `${heldPorts} ${heldPorts === 1 ? 'port' : 'ports'}`
    lines.push(...paragraph(`${remote}: ${count} to our port ${localPort}`))
  }
  if (ports.length > MOST_PEERS) lines.push(`and ports of ${ports.length - MOST_PEERS} more peers`)
  return lines
}

function renderSocket(socket: SocketReport): string[] {
  const { owner } = socket
  const context = formatContext(owner, ' ')
  const verdict = socket.verdict === 'none' ? 'healthy' : socket.verdict
  const state = [socket.condition, socket.phase, socket.kernelState].filter((word) => word !== null)
  const waiting = formatWaiting(socket)
  const facts = [
    `${socket.direction} ${socket.kind} ${formatConnection(socket)}`,
    `${state.join(', ')}, seen by ${socket.seenBy}`,
    `since ${formatDuration(socket.sinceMs)}, idle ${formatDuration(socket.idleMs)}${waiting && `, ${waiting}`}`,
    describeEvidence(socket).join(', '),
    formatPartner(socket),
    formatStreams(socket),
    `site ${owner.site}${owner.request === null ? '' : `, request ${formatRequest(owner.request)}`}`,
    owner.label && `label ${owner.label}`,
    context && `context ${context}`,
    ...(owner.stack ?? []),
    ...describeAccesses(owner),
  ]
  return [
    ...paragraph(`#${socket.id} ${verdict}: ${socket.diagnosis}`),
    ...facts.flatMap((fact) => (fact ? indented(fact) : [])),
  ]
}

function paragraph(text: string): string[] {
  return lined(text).map((line, i) => (i === 0 ? '' : INDENT) + line)
}

function indented(text: string): string[] {
  return lined(text.trimStart()).map((line) => INDENT + line)
}

function lined(text: string): string[] {
  return wrap(makePrintable(text), COLUMNS - INDENT.length)
}
