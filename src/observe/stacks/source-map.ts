/** The text of a source map, as one map or in sections (ECMA-426): where a position of compiled code was written. */
import { Mappings } from './mappings.js'

export interface Original {
  /** As the map names it, below its `sourceRoot`. */
  readonly source: string
  /** From 1. */
  readonly line: number
  /** From 1. */
  readonly column: number
  /** The source as it was compiled, where the map carries it. */
  readonly content: string | null
}

/** A map, or one of its sections, which begins at this place of the compiled code. */
interface Part {
  /** From 0. */
  readonly line: number
  readonly column: number
  readonly sources: readonly (string | null)[]
  readonly contents: readonly unknown[]
  readonly mappings: Mappings
}

/** @throws SyntaxError or TypeError when it is no source map of version 3 */
export class SourceMapText {
  readonly #parts: readonly Part[]

  constructor(json: string) {
    // Some servers put this before JSON, and the specification takes it.
    const map = asObject(JSON.parse(json.startsWith(")]}'") ? json.slice(json.indexOf('\n')) : json))
    const { sections } = map
    this.#parts =
      sections === undefined
        ? [partOf(map, 0, 0)]
        : asArray(sections)
            .map((section) => {
              const { offset, map } = asObject(section)
              const { line, column } = asObject(offset)
              return partOf(asObject(map), asPosition(line), asPosition(column))
            })
            .sort((a, b) => a.line - b.line || a.column - b.column)
  }

  /**
   * @param line of the compiled code, from 1
   * @param column from 1
   * @throws SyntaxError when the mappings are malformed
   */
  find(line: number, column: number): Original | null {
    const part = this.#parts.findLast(
      (candidate) =>
        candidate.line < line - 1 || (candidate.line === line - 1 && candidate.column <= column - 1),
    )
    if (part === undefined) return null
    const found = part.mappings.find(
      line - 1 - part.line,
      column - 1 - (part.line === line - 1 ? part.column : 0),
    )
    const source = found === null ? null : part.sources[found.source]
    if (found === null || source === null || source === undefined) return null
    const content = part.contents[found.source]
    return {
      source,
      line: found.line + 1,
      column: found.column + 1,
      content: typeof content === 'string' ? content : null,
    }
  }
}

function partOf(map: Record<string, unknown>, line: number, column: number): Part {
  if (map['version'] !== 3 || typeof map['mappings'] !== 'string') throw new TypeError('not a source map')
  const root = typeof map['sourceRoot'] === 'string' ? map['sourceRoot'] : ''
  const sources = asArray(map['sources']).map((source) =>
    typeof source === 'string' && source !== '' ? below(root, source) : null,
  )
  const contents = Array.isArray(map['sourcesContent']) ? (map['sourcesContent'] as unknown[]) : []
  return { line, column, sources, contents, mappings: new Mappings(map['mappings'], sources.length) }
}

function below(root: string, source: string): string {
  if (root === '' || source.startsWith('/') || /^[a-z][a-z\d+.-]*:/i.test(source)) return source
  return root.endsWith('/') ? root + source : `${root}/${source}`
}

function asObject(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new TypeError('not a source map')
  return value as Record<string, unknown>
}

function asArray(value: unknown): unknown[] {
  if (!Array.isArray(value)) throw new TypeError('not a source map')
  return value
}

function asPosition(value: unknown): number {
  if (!Number.isInteger(value) || (value as number) < 0) throw new TypeError('not a source map')
  return value as number
}
