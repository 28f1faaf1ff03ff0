/** From an Error to lines that a reader can open: only the application's frames, with the line of source they point to. */
import { readFileSync, statSync } from 'node:fs'
import { isAbsolute, relative } from 'node:path'
import { applicationFrames, isDependency } from './call-site.js'

const MOST_FRAMES = 10
const MOST_FILES = 32
const LARGEST_FILE = 1_000_000
const LONGEST_LINE = 120

/** Lines of the files that stacks have pointed to, the oldest file first; `null` for what can't be read. */
const files = new Map<string, readonly string[] | null>()

/**
 * The application's frames, innermost first, as `/path/file.js:42:7`. With `--enable-source-maps` Node has put the
 * original positions into the stack already (lib/internal/source_map/prepare_stack_trace.js).
 */
export function placesOf(error: Error): string[] {
  try {
    const { stack } = error as { stack?: unknown }
    // An application's own Error.prepareStackTrace may return the call sites as they are.
    const text = Array.isArray(stack)
      ? ['', ...stack.map((site) => `    at ${String(site)}`)].join('\n')
      : stack
    return typeof text === 'string' ? withoutTail(applicationFrames(text).slice(0, MOST_FRAMES)) : []
  } catch {
    return []
  }
}

/** Who called the application's outermost function is its framework, and always the same. */
function withoutTail(places: readonly string[]): string[] {
  const outermost = places.findLastIndex((place) => !isDependency(place))
  return places.slice(0, outermost === -1 ? undefined : outermost + 1)
}

/** `app/proxy.js:42 - const upstream = net.connect(port)`; with the column instead where the source can't be read. */
export function describePlace(place: string): string {
  const [, file, line, column] = /^(.*):(\d+):(\d+)$/.exec(place) ?? []
  if (file === undefined) return place
  const source = sourceLine(file, Number(line))
  const where = `${shorten(file)}:${line}`
  return source === '' ? `${where}:${column}` : `${where} - ${source}`
}

/** `app/proxy.js:42`: the innermost place in the application's own code, else in a dependency. */
export function siteOfPlaces(places: readonly string[]): string | null {
  const place = places.find((candidate) => !isDependency(candidate)) ?? places[0]
  if (place === undefined) return null
  const [, file, line] = /^(.*):(\d+):\d+$/.exec(place) ?? []
  return file === undefined ? place : `${shorten(file)}:${line}`
}

function shorten(file: string): string {
  try {
    const short = relative(process.cwd(), file)
    return short.startsWith('..') || isAbsolute(short) ? file : short
  } catch {
    // The working directory is gone.
    return file
  }
}

function sourceLine(file: string, line: number): string {
  const text = (linesOf(file)?.[line - 1] ?? '').trim()
  return text.length > LONGEST_LINE ? `${text.slice(0, LONGEST_LINE - 3)}...` : text
}

function linesOf(file: string): readonly string[] | null {
  const known = files.get(file)
  if (known !== undefined) return known
  const lines = readLines(file)
  if (files.size === MOST_FILES) files.delete(files.keys().next().value!)
  files.set(file, lines)
  return lines
}

function readLines(file: string): readonly string[] | null {
  try {
    const stats = statSync(file)
    if (!stats.isFile() || stats.size > LARGEST_FILE) return null
    return readFileSync(file, 'utf8').split('\n')
  } catch {
    return null
  }
}
