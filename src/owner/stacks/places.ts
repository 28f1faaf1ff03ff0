/** From an Error to lines that a reader can open: only the application's frames, with the line of source they point to. */
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
import { readText, SourceMaps } from './source-maps.js'

const MOST_PLACES = 2000
const LARGEST_FILE = 1_000_000
const LONGEST_LINE = 120

/** Where a frame was written. */
export interface ShownPlace extends Place {
  /** The line of source, trimmed; empty where it can't be read. */
  readonly text: string
}

export class Places {
  /** One object for each line of a stack, which captures have in common. */
  readonly #frames = new Map<string, Place | null>()
  readonly #shown = new WeakMap<Place, ShownPlace>()
  readonly #maps = new SourceMaps()
  #own: OwnFrames | null = null

  /** The application's frames as they run, innermost first, without a hold on what the Error holds. */
  framesOf(error: Error): Place[] {
    try {
      const own = (this.#own ??= recogniseOwnFrames())
      const frames = linesOf((error as { stack?: unknown }).stack).map((line) => this.#frameOf(line))
      return selectFrames(frames.filter((frame) => frame !== null && !own.isOwn(frame.file)) as Place[])
    } catch {
      return []
    }
  }

  /** The frames of the caller. */
  capture(): Place[] {
    return this.framesOf(captureError())
  }

  /** Where these frames were written; a frame itself where no map tells. */
  show(frames: readonly Place[]): ShownPlace[] {
    return selectFrames(
      frames
        .map((frame) => this.#show(frame))
        // Bundled, our frames and those of dependencies are known by their sources alone.
        .filter(({ file }) => this.#own?.isOwn(file) !== true && this.#own?.isIndistinct(file) !== true),
    )
  }

  #frameOf(line: string): Place | null {
    if (line.includes('(node:')) return null
    const known = this.#frames.get(line)
    if (known !== undefined) return known
    // A piece of a stack would hold the whole.
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
    // Node has put the original positions into the stack already (lib/internal/source_map/prepare_stack_trace.js).
    if (process.sourceMapsEnabled) return null
    // A map of a dependency may well name sources outside of it, which would be the application's then.
    if (isDependency(frame) || !isAbsolute(frame.file)) return null
    const original = this.#maps.originalPlaceOf(frame)
    if (original === null) return null
    const { content, ...place } = original
    const lines = content?.split('\n') ?? readLines(place.file)
    if (lines !== null && place.line > lines.length) return null
    return { ...place, text: shorten(lines?.[place.line - 1]) }
  }
}

/** `app/proxy.ts:42 - const upstream = net.connect(port)`; with the column instead where the source can't be read. */
export function describePlace({ file, line, column, text }: ShownPlace): string {
  const where = `${nameOf(file)}:${line}`
  return text === '' ? `${where}:${column}` : `${where} - ${text}`
}

/** `app/proxy.ts:42`: what to name a leak after. */
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
    // The working directory is gone.
    return file
  }
}

function shorten(line = ''): string {
  const text = line.trim()
  return detach(text.length > LONGEST_LINE ? `${text.slice(0, LONGEST_LINE - 3)}...` : text)
}

/** V8 keeps the whole text for as long as a piece of it is held: so this is a copy. */
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
