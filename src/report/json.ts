import type { GuardEvent, Report } from '../core/report.js'
import { eventWithoutQueries, withoutQueries } from './without-queries.js'

export const JSON_CONTENT_TYPE = 'application/json; charset=utf-8'

/** The report as `report.schema.json` describes it, indented for the reader, with a newline at the end. */
export function renderJson(report: Report): string {
  return `${JSON.stringify(withoutQueries(report), null, 2)}\n`
}

/** One verdict change on one line, as server-sent events and log lines need it. */
export function renderEventJson(event: GuardEvent): string {
  return JSON.stringify(eventWithoutQueries(event))
}
