/** Phrases about a site that the text and the HTML report share. They are raw: whoever shows them escapes. */
import { formatDuration } from '../core/format.js'
import type { HealedSite, SiteReport } from '../core/report.js'

/** From here on, the share of the open descriptors is worth a word. */
const NOTABLE_SHARE = 0.01

/** `40 leaked since start`, `+12.5/h`, `2 % of open descriptors`: only what the count does not say already. */
export function describeTrend({ count, leakedTotal, growthPerHour, descriptorShare }: SiteReport): string[] {
  const parts: string[] = []
  if (leakedTotal > count) parts.push(`${leakedTotal} leaked since start`)
  const growth = formatGrowth(growthPerHour)
  if (growth !== '') parts.push(growth)
  if (descriptorShare !== null && descriptorShare >= NOTABLE_SHARE)
    parts.push(`${Math.round(descriptorShare * 100)} % of open descriptors`)
  return parts
}

/** Of more than ten a fraction says nothing. */
function formatGrowth(perHour: number): string {
  const rounded = Math.abs(perHour) < 10 ? Number(perHour.toFixed(1)) : Math.round(perHour)
  if (rounded === 0) return ''
  return `${perHour > 0 ? '+' : ''}${rounded}/h`
}

/** Who put it right: a site whose leaks the guard closes has not recovered. */
export function isRecovered({ reclaimed }: HealedSite): boolean {
  return reclaimed === 0
}

/** `12 leaked since start, none now (for 5 min)`. */
export function describeHealing({ leakedTotal, reclaimed, healedMs }: HealedSite): string {
  const closed = reclaimed === 0 ? '' : `, ${reclaimed} of them closed by the guard`
  return `${leakedTotal} leaked since start${closed}, none now (for ${formatDuration(healedMs)})`
}
