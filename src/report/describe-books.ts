/** What is kept beside the sockets, in a line each: only what somebody should know of. */
import { formatDuration } from '../core/format.js'
import type { Report } from '../core/report.js'

export interface Remark {
  readonly name: string
  readonly text: string
}

/** From here on, the share of descriptors in use is worth a line. */
const NOTABLE_USAGE = 0.5

export function describeBooks(report: Report): Remark[] {
  return [
    { name: 'descriptors', text: describeDescriptors(report) },
    { name: 'untracked', text: describeOrphans(report) },
    { name: 'healthy half-closes', text: describeHalfCloses(report) },
    ...report.lint.map(({ message, remedy, where }) => ({
      name: 'lint',
      text: `${where === null ? '' : `${where}: `}${message}. ${remedy}`,
    })),
  ].filter(({ text }) => text !== '')
}

function describeDescriptors({ descriptors, limitReachedInMs }: Report): string {
  const { openDescriptors: open, descriptorLimit: limit, pressure, reclaimed } = descriptors
  if (open === null || limit === null) return ''
  const isNotable =
    open / limit >= NOTABLE_USAGE || (pressure ?? 0) > 0 || reclaimed > 0 || limitReachedInMs !== null
  if (!isNotable) return ''
  const forecast =
    limitReachedInMs === null
      ? ''
      : `; at the growth of the last hour the limit is reached in ${formatDuration(limitReachedInMs)}`
  return `${open} of ${limit} open${forecast}${reclaimed === 0 ? '' : `; ${reclaimed} reclaimed under pressure`}`
}

function describeOrphans({ orphans, handedOver }: Report): string {
  const parts: string[] = []
  if (orphans !== null && orphans.tcp > 0) {
    const states = Object.entries(orphans.states).map(([state, count]) => `${count} ${state}`)
    const sockets = orphans.tcp === 1 ? '1 TCP socket' : `${orphans.tcp} TCP sockets`
    parts.push(
      `${sockets} (${states.join(', ')}) that the guard never saw; who opened or holds them can't be known`,
    )
  }
  if (handedOver > 0) parts.push(`${handedOver} handed to another process since start`)
  return parts.join('; ')
}

function describeHalfCloses({ halfCloses: { samples, p999Ms, suggestedGraceMs } }: Report): string {
  if (suggestedGraceMs === null || p999Ms === null) return ''
  return `99.9 % of ${samples} took at most ${formatDuration(p999Ms)}; a grace of ${formatDuration(suggestedGraceMs)} would do`
}
