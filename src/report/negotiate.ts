/** Which form of the report a reader wants (RFC 9110, section 12.5.1). */

/** In the order of preference among equals: a client that takes anything gets JSON. */
export const FORMATS = ['json', 'html', 'text', 'prometheus'] as const
export type Format = (typeof FORMATS)[number]

interface MediaRange {
  readonly type: string
  readonly subtype: string
  readonly version: string | null
  readonly quality: number
}

interface Offer {
  readonly type: string
  readonly subtype: string
  readonly version: string | null
}

const OFFERS: Readonly<Record<Format, Offer>> = {
  json: { type: 'application', subtype: 'json', version: null },
  html: { type: 'text', subtype: 'html', version: null },
  text: { type: 'text', subtype: 'plain', version: null },
  // Prometheus asks for text/plain;version=0.0.4 beside formats that are not offered here.
  prometheus: { type: 'text', subtype: 'plain', version: '0.0.4' },
}

/** The format that `?format=` names, or `null` when there is no such format. */
export function parseFormat(name: string): Format | null {
  return FORMATS.find((format) => format === name) ?? null
}

/**
 * The best format for an Accept header: by quality, then by how closely the range names it, then by the order in the
 * header, then JSON first. With no header, or when nothing fits, JSON: an answer in another form than asked for helps
 * more than 406.
 */
export function negotiateFormat(accept: string | undefined): Format {
  const ranges = parseAccept(accept ?? '*/*')
  let best: Format = 'json'
  let bestRank: readonly number[] = [0, 0, 0]
  for (const format of FORMATS) {
    const rank = rankOffer(OFFERS[format], ranges)
    if (isHigher(rank, bestRank)) {
      best = format
      bestRank = rank
    }
  }
  return best
}

/** The quality that the most specific matching range gives to an offer; then that specificity; then its place. */
function rankOffer(offer: Offer, ranges: readonly MediaRange[]): readonly number[] {
  let rank: readonly number[] = [0, 0, 0]
  ranges.forEach((range, place) => {
    const specificity = matchRange(range, offer)
    if (specificity > (rank[1] ?? 0)) rank = [range.quality, specificity, -place]
  })
  return rank[0] === 0 ? [0, 0, 0] : rank
}

function isHigher(a: readonly number[], b: readonly number[]): boolean {
  for (let i = 0; i < a.length; i += 1) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference > 0
  }
  return false
}

/** 0 for no match, 4 for the closest one. Parameters other than the version of a text format are ignored. */
function matchRange(range: MediaRange, offer: Offer): number {
  if (range.type === '*') return range.subtype === '*' ? 1 : 0
  if (range.type !== offer.type) return 0
  if (range.subtype === '*') return 2
  if (range.subtype !== offer.subtype) return 0
  if (range.version === null || offer.type !== 'text') return 3
  return range.version === offer.version ? 4 : 0
}

function parseAccept(accept: string): MediaRange[] {
  const ranges: MediaRange[] = []
  for (const part of accept.split(',')) {
    const [name = '', ...parameters] = part.split(';').map((piece) => piece.trim().toLowerCase())
    const [type = '', subtype = '', ...rest] = name.split('/')
    const quality = parseQuality(readParameter(parameters, 'q') ?? '1')
    if (type === '' || subtype === '' || rest.length > 0 || quality === null) continue
    ranges.push({ type, subtype, version: readParameter(parameters, 'version'), quality })
  }
  return ranges
}

function readParameter(parameters: readonly string[], name: string): string | null {
  for (const parameter of parameters) {
    const [key = '', value = ''] = parameter.split('=')
    if (key.trim() === name) return value.trim().replace(/^"(.*)"$/, '$1')
  }
  return null
}

/** A weight as RFC 9110, section 12.4.2, spells it. A range with any other weight is left out. */
function parseQuality(text: string): number | null {
  return /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(text) ? Number(text) : null
}
