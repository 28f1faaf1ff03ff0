import type { GuardEvent, Report } from '../core/report.js'
import { withoutQueries } from './printable.js'

export const JSON_CONTENT_TYPE = 'application/json; charset=utf-8'

export function renderJson(report: Report): string {
  return [...writeJson(report)].join('')
}

const NO_SOCKETS = '"sockets": []'

export function writeJson(report: Report): Generator<string> {
  return writeJsonOf(report, withoutQueries)
}

export function* writeJsonOf(report: Report, shown: <T>(part: T) => T): Generator<string> {
  const text = `${JSON.stringify(shown({ ...report, sockets: [] }), null, 2)}\n`
  // In a string of the report each quote has a backslash before it.
  const at = text.lastIndexOf(NO_SOCKETS)
  if (report.sockets.length === 0) return yield text
  yield `${text.slice(0, at)}"sockets": [`
  for (const [i, socket] of report.sockets.entries()) {
    const lines = JSON.stringify(shown(socket), null, 2).replaceAll('\n', '\n    ')
    yield `${i === 0 ? '' : ','}\n    ${lines}`
  }
  yield `\n  ]${text.slice(at + NO_SOCKETS.length)}`
}

export function renderEventJson(event: GuardEvent): string {
  return JSON.stringify(withoutQueries(event))
}
