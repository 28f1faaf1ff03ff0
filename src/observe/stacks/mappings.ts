/**
 * The `mappings` of a source map (ECMA-426), searched without being unfolded. Node's own `module.SourceMap` makes an
 * array of each segment: for a map of 3.5 MB that took 170 to 390 ms and 65 MB (Node 20.20, 22.23, 24.21, 26.10), inside
 * a report that somebody waits for; this takes 50 to 100 ms and keeps a few hundred numbers.
 *
 * Stricter than Node's, too: what is malformed is refused as a whole, a position on a line without a segment is nowhere
 * and not where the line before was, and a segment without a source is nowhere.
 */
export interface Mapped {
  /** An index into the `sources`. */
  readonly source: number
  /** From 0. */
  readonly line: number
  /** From 0. */
  readonly column: number
}

const SEGMENTS_BETWEEN_MARKS = 4096
const COMMA = 44
const SEMICOLON = 59
const NO_DIGIT = 255

const DIGITS = new Uint8Array(128).fill(NO_DIGIT)
for (const [value, digit] of [
  ...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/',
].entries())
  DIGITS[digit.charCodeAt(0)] = value

export class Mappings {
  readonly #text: string
  readonly #sources: number
  /** Cursors on every so manieth segment; `null` until the first search. */
  #marks: readonly Cursor[] | null = null

  constructor(text: string, sources: number) {
    this.#text = text
    this.#sources = sources
  }

  /**
   * @param line of the compiled code, from 0
   * @param column from 0
   * @returns `null`: this code comes from nowhere
   * @throws SyntaxError when the mappings are malformed
   */
  find(line: number, column: number): Mapped | null {
    this.#marks ??= this.#readAll()
    const mark = this.#marks.findLast((candidate) => candidate.isUpTo(line, column))
    if (mark === undefined) return null
    let found = mark
    const next = mark.copy()
    while (next.move() && next.isUpTo(line, column)) found = next.copy()
    return found.line === line && found.hasSource
      ? { source: found.source, line: found.sourceLine, column: found.sourceColumn }
      : null
  }

  #readAll(): Cursor[] {
    const cursor = new Cursor(this.#text, this.#sources)
    const marks: Cursor[] = []
    for (let count = 0; cursor.move(); count += 1)
      if (count % SEGMENTS_BETWEEN_MARKS === 0) marks.push(cursor.copy())
    return marks
  }
}

/** Stands on a segment. */
class Cursor {
  readonly #text: string
  readonly #sources: number
  #at = 0
  line = 0
  column = 0
  hasSource = false
  source = 0
  sourceLine = 0
  sourceColumn = 0

  constructor(text: string, sources: number) {
    this.#text = text
    this.#sources = sources
  }

  copy(): Cursor {
    const copy = new Cursor(this.#text, this.#sources)
    copy.#at = this.#at
    copy.line = this.line
    copy.column = this.column
    copy.hasSource = this.hasSource
    copy.source = this.source
    copy.sourceLine = this.sourceLine
    copy.sourceColumn = this.sourceColumn
    return copy
  }

  isUpTo(line: number, column: number): boolean {
    return this.line < line || (this.line === line && this.column <= column)
  }

  /** To the next segment; false: there is none. */
  move(): boolean {
    for (; this.#at < this.#text.length; this.#at += 1) {
      const code = this.#text.charCodeAt(this.#at)
      if (code === SEMICOLON) {
        this.line += 1
        this.column = 0
      } else if (code !== COMMA) break
    }
    if (this.#at >= this.#text.length) return false
    const step = this.#readNumber()
    this.column += step
    this.hasSource = !this.#isAtEnd()
    if (this.hasSource) {
      this.source += this.#readNumber()
      this.sourceLine += this.#readNumber()
      this.sourceColumn += this.#readNumber()
      // The name.
      if (!this.#isAtEnd()) this.#readNumber()
    }
    // The specification wants the columns of a line in order, and the search rests on it.
    const isInOrder = step >= 0
    const isInRange = this.source >= 0 && this.source < this.#sources
    if (!isInOrder || (this.hasSource && !isInRange) || this.sourceLine < 0 || this.sourceColumn < 0)
      throw new SyntaxError('mappings out of range')
    if (!this.#isAtEnd()) throw new SyntaxError('a segment of more than five numbers')
    return true
  }

  #isAtEnd(): boolean {
    if (this.#at >= this.#text.length) return true
    const code = this.#text.charCodeAt(this.#at)
    return code === COMMA || code === SEMICOLON
  }

  /** Base64 digits of five bits each, the lowest first; the lowest bit of all is the sign. No line has 2^29 columns. */
  #readNumber(): number {
    let bits = 0
    for (let shift = 0; shift <= 25; shift += 5) {
      const digit = DIGITS[this.#text.charCodeAt(this.#at)] ?? NO_DIGIT
      if (digit === NO_DIGIT) break
      this.#at += 1
      bits |= (digit & 31) << shift
      if (digit < 32) return (bits & 1) === 1 ? -(bits >>> 1) : bits >>> 1
    }
    throw new SyntaxError('not a number of a source map')
  }
}
