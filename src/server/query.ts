import type { SnapshotQuery } from '../core/report.js'
import { CONDITIONS, DIRECTIONS, VERDICTS } from '../core/vocabulary.js'
import { MAX_LIMIT } from '../report/build.js'
import { clip } from '../report/printable.js'

export const FORMATS = ['json', 'html', 'text', 'prometheus'] as const
export type Format = (typeof FORMATS)[number]

export interface ReportQuery {
  readonly snapshot: SnapshotQuery
  readonly format: Format | null
}

export interface BadParameter {
  readonly parameter: string
  readonly expected: string
  readonly received: string
}

interface Parameter {
  readonly expected: string
  parse(text: string): boolean | number | string | undefined
}

const FLAGS: Readonly<Record<string, boolean>> = { '': true, 1: true, true: true, 0: false, false: false }

const FLAG: Parameter = {
  expected: 'given once as 1, true, 0 or false',
  parse: (text) => (Object.hasOwn(FLAGS, text) ? FLAGS[text] : undefined),
}

const LONGEST_TEXT = 1000
const TEXT: Parameter = {
  expected: `given once, with at most ${LONGEST_TEXT} characters`,
  parse: (text) => (text.length <= LONGEST_TEXT ? text : undefined),
}

const PARAMETERS: Readonly<Record<string, Parameter>> = {
  all: FLAG,
  history: FLAG,
  limit: {
    expected: `given once as an integer from 1 to ${MAX_LIMIT}`,
    parse: (text) => parseInteger(text, 1, MAX_LIMIT),
  },
  after: naturalNumber('the id of a socket'),
  fd: naturalNumber('the descriptor of a socket'),
  id: naturalNumber('the id of a socket'),
  site: TEXT,
  peer: TEXT,
  condition: oneOf(CONDITIONS),
  verdict: oneOf(VERDICTS),
  direction: oneOf(DIRECTIONS),
  minAgeMs: naturalNumber('milliseconds'),
  format: oneOf(FORMATS),
}

export const FILTERS: ReadonlySet<string> = new Set([
  'site',
  'peer',
  'condition',
  'verdict',
  'direction',
  'minAgeMs',
])

function naturalNumber(what: string): Parameter {
  return {
    expected: `given once as ${what}, an integer from 0 upwards`,
    parse: (text) => parseInteger(text, 0, Number.MAX_SAFE_INTEGER),
  }
}

function oneOf(words: readonly string[]): Parameter {
  return {
    expected: `given once as one of ${words.join(', ')}`,
    parse: (text) => words.find((word) => word === text),
  }
}

/** Proxies and scrapers add parameters, which are ignored. A form sends its empty fields, which are no filters. */
export function parseReportQuery(search: string): ReportQuery | BadParameter {
  const given = new URLSearchParams(search)
  const values: Record<string, boolean | number | string> = {}
  for (const [parameter, { expected, parse }] of Object.entries(PARAMETERS)) {
    const texts = given.getAll(parameter)
    if (texts.length === 0 || (FILTERS.has(parameter) && texts.join('') === '')) continue
    const value = texts.length === 1 ? parse(texts[0]!) : undefined
    if (value === undefined) {
      const shown = texts.slice(0, 3).map((text) => JSON.stringify(clip(text, 60)))
      return { parameter, expected, received: shown.join(' and ') }
    }
    values[parameter] = value
  }
  const { format = null, ...snapshot } = values
  return { snapshot, format: format as Format | null }
}

export function isBadParameter(query: ReportQuery | BadParameter): query is BadParameter {
  return 'parameter' in query
}

export function describeBadParameter({ parameter, expected, received }: BadParameter): string {
  return `${parameter} must be ${expected}, got ${received}`
}

function parseInteger(text: string, least: number, most: number): number | undefined {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN
  return value >= least && value <= most ? value : undefined
}
