/**
 * Paths, labels and context values come from the network or from the application, and a report is read in
 * terminals and browsers. Escape sequences could rewrite a terminal, and bidirectional controls or
 * zero-width characters could make one address look like another: all of them are shown as escapes.
 */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

const SHORT_ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** The longest text that a report shows of a single value, in code points. */
export const MAX_SHOWN = 1000

/** One line of visible characters, cut off with `…` after `limit` code points. */
export function makePrintable(text: string, limit = MAX_SHOWN): string {
  return clip(text, limit).replace(UNPRINTABLE, escapeCharacter)
}

/** The first `limit` code points of `text`, the last of them `…` when something was cut off. */
export function clip(text: string, limit: number): string {
  if (text.length <= limit) return text
  // A code point has at most two code units, so this slice holds at least `limit` of them, if there are as many.
  const points = Array.from(text.slice(0, (limit + 1) * 2))
  return points.length <= limit ? points.join('') : `${points.slice(0, limit - 1).join('')}…`
}

function escapeCharacter(character: string): string {
  const code = character.codePointAt(0) ?? 0
  return SHORT_ESCAPES[character] ?? (code < 256 ? `\\x${hex(code, 2)}` : `\\u{${hex(code, 4)}}`)
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, '0')
}
