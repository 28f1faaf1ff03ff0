import { formatDuration } from '../core/format.js'
import { countRest, countSockets, formatConditions, MOST_SITES } from '../report/phrases.js'
import { makePrintable, wrap } from '../report/printable.js'
import type { FleetProcess, FleetReport, FleetSite } from './roll-up.js'

const COLUMNS = 80

export function renderFleetText(fleet: FleetReport, mostSockets = 20): string {
  const { processes, totals, sites, sockets } = fleet
  const listed = sockets.slice(0, mostSockets)
  // Of each process the first ones have come.
  const found = Math.max(sockets.length, totals.leaked + totals.suspect)
  const told = processes.filter(({ totals }) => totals !== null).length
  const blocks = [
    [
      `socket-leak-guard: ${totals.leaked} leaked, ${totals.suspect} suspect of ${countSockets(totals.tracked)} ` +
        `tracked in ${told} of ${processes.length} processes.`,
    ],
    table([['PROCESS', 'LEAKED', 'SUSPECT', 'TRACKED', 'DESCRIPTORS', 'UP'], ...processes.map(rowOf)]),
    sites.length === 0
      ? []
      : [
          ...table([
            ['SITE', 'COUNT', 'PROCESSES', 'OLDEST', 'CONDITIONS'],
            ...sites.slice(0, MOST_SITES).map(rowOfSite),
          ]),
          ...countRest(sites.length - MOST_SITES, 'sites'),
        ],
    ...listed.map(({ process, id, verdict, diagnosis }) =>
      wrap(makePrintable(`#${id} of ${process}, ${verdict}: ${diagnosis}`), COLUMNS - 3).map((line, i) =>
        i === 0 ? line : `   ${line}`,
      ),
    ),
    countRest(found - listed.length, 'sockets'),
  ]
  return `${blocks
    .filter((block) => block.length > 0)
    .map((block) => block.join('\n'))
    .join('\n\n')}\n`
}

function rowOf(one: FleetProcess): string[] {
  const { process, totals, reason, uptimeSeconds, openDescriptors, descriptorLimit } = one
  if (totals === null) return [makePrintable(process, 40), makePrintable(reason ?? '', 200)]
  return [
    makePrintable(process, 40),
    ...[totals.leaked, totals.suspect, totals.tracked].map(String),
    `${openDescriptors ?? '?'} of ${descriptorLimit ?? '?'}`,
    formatDuration((uptimeSeconds ?? 0) * 1000),
  ]
}

function rowOfSite(site: FleetSite): string[] {
  const { count, processes, oldestMs } = site
  return [
    makePrintable(site.site, 60),
    String(count),
    String(processes),
    formatDuration(oldestMs),
    formatConditions(site),
  ]
}

function table(rows: readonly (readonly string[])[]): string[] {
  const [head = []] = rows
  // A row with fewer cells is a sentence.
  const whole = rows.filter((row) => row.length === head.length)
  const widths = head.map((_, i) => Math.max(...whole.map((row) => row[i]!.length)))
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('  ')
      .trimEnd(),
  )
}
