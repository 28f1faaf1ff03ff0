/** From an Error to lines that a reader can open: only the application's frames, with the line of source they point to. */
import { readFileSync, statSync } from 'node:fs'
import { isAbsolute, relative } from 'node:path'
import { framesOf, isDependency, type Place } from './frames.js'
import { isOwnFrame } from './own-frames.js'
import { Recent } from './recent.js'
import { isSinceStart, originalPlaceOf } from './original-place.js'

const MOST_FRAMES = 10
const MOST_FILES = 32
const MOST_PLACES = 2000
const LARGEST_FILE = 1_000_000
const LONGEST_LINE = 120

/** A place with the source that a map carries for it: a trimmed line, or `null` where the file is to be read. */
export interface ShownPlace extends Place {
  readonly text: string | null
}

/** Lines of the files that stacks have pointed to; `null` for what can't be read. */
const files = new Recent<string, readonly string[] | null>(MOST_FILES)
const shown = new Recent<string, ShownPlace>(MOST_PLACES)

/**
 * The application's frames, innermost first, where they were written. With `--enable-source-maps` Node has put the
 * original positions into the stack already (lib/internal/source_map/prepare_stack_trace.js).
 */
export function placesOf(error: Error): ShownPlace[] {
  try {
    const { stack } = error as { stack?: unknown }
    return select(framesOf(stack), typeof stack === 'string' && process.sourceMapsEnabled)
  } catch {
    return []
  }
}

function select(frames: readonly Place[], isMapped: boolean): ShownPlace[] {
  const places: ShownPlace[] = []
  for (const frame of frames) {
    if (isOwnFrame(frame)) continue
    const place = isMapped ? { ...frame, text: null } : show(frame)
    // Bundled, our frames and those of dependencies are known by their sources alone.
    if (!isOwnFrame(place)) places.push(place)
    if (places.length === MOST_FRAMES) break
  }
  return withoutTail(places)
}

/** Who called the application's outermost function is its framework, and always the same. */
function withoutTail(places: readonly ShownPlace[]): ShownPlace[] {
  const outermost = places.findLastIndex((place) => !isDependency(place))
  return places.slice(0, outermost === -1 ? undefined : outermost + 1)
}

/** Where a frame was written, and the frame itself where no map tells. */
function show(frame: Place): ShownPlace {
  // A map of a dependency may well name sources outside of it, which would be the application's then.
  if (isDependency(frame) || !isAbsolute(frame.file)) return { ...frame, text: null }
  return shown.get(`${frame.file}:${frame.line}:${frame.column}`, () => {
    const original = originalPlaceOf(frame.file, frame.line, frame.column)
    if (original === null) return { ...frame, text: null }
    const { file, line, column, content } = original
    if (content === null) {
      const lines = linesOf(file)
      return lines !== null && line > lines.length
        ? { ...frame, text: null }
        : { file, line, column, text: null }
    }
    const source = content.split('\n')[line - 1]
    if (source === undefined) return { ...frame, text: null }
    return { file, line, column, text: detach(shorten(source)) }
  })
}

/** `app/proxy.ts:42 - const upstream = net.connect(port)`; with the column instead where the source can't be read. */
export function describePlace({ file, line, column, text }: ShownPlace): string {
  const source = text ?? shorten(linesOf(file)?.[line - 1] ?? '')
  const where = `${nameOf(file)}:${line}`
  return source === '' ? `${where}:${column}` : `${where} - ${source}`
}

/** `app/proxy.ts:42`: the innermost place in the application's own code, else in a dependency. */
export function siteOfPlaces(places: readonly Place[]): string | null {
  const place = places.find((candidate) => !isDependency(candidate)) ?? places[0]
  return place === undefined ? null : `${nameOf(place.file)}:${place.line}`
}

function nameOf(file: string): string {
  try {
    if (!isAbsolute(file)) return file
    const short = relative(process.cwd(), file)
    return short.startsWith('..') || isAbsolute(short) ? file : short
  } catch {
    // The working directory is gone.
    return file
  }
}

function shorten(line: string): string {
  const text = line.trim()
  return text.length > LONGEST_LINE ? `${text.slice(0, LONGEST_LINE - 3)}...` : text
}

/** V8 keeps the whole source for as long as a piece of it is held: so this is a copy. */
function detach(text: string): string {
  return Buffer.from(text).toString()
}

function linesOf(file: string): readonly string[] | null {
  return files.get(file, readLines)
}

function readLines(file: string): readonly string[] | null {
  try {
    const stats = statSync(file)
    // Changed since: its lines may be others than those that run.
    if (!stats.isFile() || stats.size > LARGEST_FILE || isSinceStart(stats.ctimeMs)) return null
    return readFileSync(file, 'utf8').split('\n')
  } catch {
    return null
  }
}
