import { isAbsolute, relative } from 'node:path'
import {
  captureError,
  frameOf,
  indexOfSite,
  isDependency,
  linesOf,
  selectFrames,
  type Place,
} from './frames.js'
import { recogniseOwnFrames, type OwnFrames } from './own-frames.js'
import { readText } from './file-text.js'
import { SourceMaps } from './source-maps.js'

const MOST_PLACES = 2000
const LARGEST_FILE = 1_000_000
const LONGEST_LINE = 120

export interface ShownPlace extends Place {
  readonly text: string
}

export class Places {
  readonly #frames = new Map<string, Place | null>()
  readonly #shown = new WeakMap<Place, ShownPlace>()
  readonly #maps = new SourceMaps()
  #own: OwnFrames | null = null

  framesOf(error: Error): Place[] {
    try {
      const own = (this.#own ??= recogniseOwnFrames())
      const frames = linesOf((error as { stack?: unknown }).stack).map((line) => this.#frameOf(line))
      return selectFrames(frames.filter((frame) => frame !== null && !own.isOwn(frame.file)) as Place[])
    } catch {
      return []
    }
  }

  capture(): Place[] {
    return this.framesOf(captureError())
  }

  show(frames: readonly Place[]): ShownPlace[] {
    return selectFrames(
      frames
        .map((frame) => this.#show(frame))
        .filter(({ file }) => this.#own?.isOwn(file) !== true && this.#own?.isIndistinct(file) !== true),
    )
  }

  #frameOf(line: string): Place | null {
    if (line.includes('(node:')) return null
    const known = this.#frames.get(line)
    if (known !== undefined) return known
    const text = detach(line)
    const frame = frameOf(text)
    if (this.#frames.size >= MOST_PLACES) this.#frames.delete(this.#frames.keys().next().value!)
    this.#frames.set(text, frame)
    return frame
  }

  #show(frame: Place): ShownPlace {
    const known = this.#shown.get(frame)
    if (known !== undefined) return known
    const shown = this.#originalOf(frame) ?? {
      ...frame,
      text: shorten(readLines(frame.file)?.[frame.line - 1]),
    }
    this.#shown.set(frame, shown)
    return shown
  }

  #originalOf(frame: Place): ShownPlace | null {
    // The stack has original positions already (lib/internal/source_map/prepare_stack_trace.js).
    if (process.sourceMapsEnabled) return null
    if (isDependency(frame) || !isAbsolute(frame.file)) return null
    const original = this.#maps.originalPlaceOf(frame)
    if (original === null) return null
    const { content, ...place } = original
    const lines = content?.split('\n') ?? readLines(place.file)
    if (lines !== null && place.line > lines.length) return null
    return { ...place, text: shorten(lines?.[place.line - 1]) }
  }
}

export function describePlace({ file, line, column, text }: ShownPlace): string {
  const where = `${nameOf(file)}:${line}`
  return text === '' ? `${where}:${column}` : `${where} - ${text}`
}

export function siteOfPlaces(places: readonly Place[]): string | null {
  const place = places[indexOfSite(places)]
  return place === undefined ? null : `${nameOf(place.file)}:${place.line}`
}

function nameOf(file: string): string {
  try {
    if (!isAbsolute(file)) return file
    const short = relative(process.cwd(), file)
    return short.startsWith('..') || isAbsolute(short) ? file : short
  } catch {
    return file
  }
}

function shorten(line = ''): string {
  const text = line.trim()
  return detach(text.length > LONGEST_LINE ? `${text.slice(0, LONGEST_LINE - 3)}...` : text)
}

/** A copy, because V8 keeps a whole string alive for a piece of it. */
function detach(text: string): string {
  return Buffer.from(text).toString()
}

function readLines(file: string): string[] | null {
  try {
    return readText(file, LARGEST_FILE).split('\n')
  } catch {
    return null
  }
}
