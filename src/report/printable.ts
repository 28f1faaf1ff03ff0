// Escape sequences from the network could rewrite a terminal; bidirectional controls and zero-width characters could
// disguise an address. They are shown as escapes.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

/** Spares most processes the compilation of the expression above, which takes milliseconds. */
const PLAIN = /^[ -~]*$/

const SHORT_ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

export function makePrintable(text: string, limit = 1000): string {
  const clipped = clip(text, limit)
  if (PLAIN.test(clipped)) return clipped
  return clipped.replace(UNPRINTABLE, (character) => {
    const code = character.codePointAt(0) ?? 0
    const hex = code.toString(16)
    return (
      SHORT_ESCAPES[character] ?? (code < 256 ? `\\x${hex.padStart(2, '0')}` : `\\u{${hex.padStart(4, '0')}}`)
    )
  })
}

/** At most `limit` code points, the last one `…` if something was cut. */
export function clip(text: string, limit: number): string {
  if (text.length <= limit) return text
  // A code point has at most two code units.
  const points = Array.from(text.slice(0, (limit + 1) * 2))
  return points.length <= limit ? points.join('') : `${points.slice(0, limit - 1).join('')}…`
}

/** Breaks at spaces, and inside a word if it must. Returns at least one line. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line: string[] = []
  for (const word of text.split(' ')) {
    const points = Array.from(word)
    if (line.length > 0 && line.length + 1 + points.length <= width) {
      line.push(' ', ...points)
      continue
    }
    if (line.length > 0) lines.push(line.join(''))
    line = points
    while (line.length > width) lines.push(line.splice(0, width).join(''))
  }
  if (line.length > 0 || lines.length === 0) lines.push(line.join(''))
  return lines
}

/** In text a query ends at a space, which a request target can't hold (RFC 9112, section 3.2). */
const QUERIES = /\?[^ ]+/g
const QUERY_OF: Readonly<Record<string, RegExp>> = {
  ...{ site: QUERIES, line: QUERIES, diagnosis: QUERIES },
  path: /[?#].*$/s,
}

// A copy without queries, which may hold tokens: a second net after the sensors. The application's context stays.
export function withoutQueries<T>(shown: T): T {
  if (typeof shown !== 'object' || shown === null) return shown
  if (Array.isArray(shown)) return shown.map(withoutQueries) as T
  const copy = { ...shown } as Record<string, unknown>
  for (const key of Object.keys(copy)) {
    const value = copy[key]
    if (typeof value === 'string') {
      if (Object.hasOwn(QUERY_OF, key)) copy[key] = value.replace(QUERY_OF[key]!, '')
    } else if (typeof value === 'object' && key !== 'context') copy[key] = withoutQueries(value)
  }
  return copy as T
}
