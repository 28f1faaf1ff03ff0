/** The query string of a request for a report. */
import type { SnapshotQuery } from '../core/report.js'
import { MAX_LIMIT } from '../core/snapshot.js'
import { clip } from '../report/printable.js'

export const FORMATS = ['json', 'html', 'text', 'prometheus'] as const
export type Format = (typeof FORMATS)[number]

export interface ReportQuery {
  readonly snapshot: SnapshotQuery
  /** What `?format=` asks for; `null` leaves it to the Accept header. */
  readonly format: Format | null
}

/** What is wrong with a parameter. The message quotes what came as a JSON string: visible and on one line. */
export interface BadParameter {
  readonly parameter: string
  readonly expected: string
  readonly received: string
}

type Reading<T> = T | BadParameter | null

const FLAGS: Readonly<Record<string, boolean>> = { '': true, 1: true, true: true, 0: false, false: false }

/** Parameters that mean nothing here are ignored: proxies and scrapers add their own. */
export function parseReportQuery(search: string): ReportQuery | BadParameter {
  const parameters = new URLSearchParams(search)
  const all = read(parameters, 'all', 'given once as 1, true, 0 or false', (text) =>
    Object.hasOwn(FLAGS, text) ? FLAGS[text] : undefined,
  )
  if (isBadParameter(all)) return all
  const limit = read(parameters, 'limit', `given once as an integer from 1 to ${MAX_LIMIT}`, (text) =>
    parseInteger(text, 1, MAX_LIMIT),
  )
  if (isBadParameter(limit)) return limit
  const after = read(
    parameters,
    'after',
    'given once as the id of a socket, an integer from 0 upwards',
    (text) => parseInteger(text, 0, Number.MAX_SAFE_INTEGER),
  )
  if (isBadParameter(after)) return after
  const format = read(parameters, 'format', `given once as one of ${FORMATS.join(', ')}`, (text) =>
    FORMATS.find((format) => format === text),
  )
  if (isBadParameter(format)) return format
  const snapshot = {
    ...(all !== null && { all }),
    ...(limit !== null && { limit }),
    ...(after !== null && { after }),
  }
  return { snapshot, format }
}

export function isBadParameter(value: unknown): value is BadParameter {
  return typeof value === 'object' && value !== null && 'parameter' in value
}

export function describeBadParameter({ parameter, expected, received }: BadParameter): string {
  return `${parameter} must be ${expected}, got ${received}`
}

function read<T>(
  parameters: URLSearchParams,
  parameter: string,
  expected: string,
  parse: (text: string) => T | undefined,
): Reading<T> {
  const texts = parameters.getAll(parameter)
  const [text] = texts
  if (text === undefined) return null
  const value = texts.length === 1 ? parse(text) : undefined
  if (value !== undefined) return value
  return {
    parameter,
    expected,
    received: texts
      .slice(0, 3)
      .map((one) => JSON.stringify(clip(one, 60)))
      .join(' and '),
  }
}

function parseInteger(text: string, least: number, most: number): number | undefined {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN
  return value >= least && value <= most ? value : undefined
}
