/**
 * From compiled code to the place where it was written, for a process without `--enable-source-maps`: found in the file
 * and its map when a report asks, never before. Wherever anything is in doubt the compiled place stands.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import {
  AnyMap,
  originalPositionFor,
  sourceContentFor,
  type EncodedSourceMap,
  type SectionedSourceMap,
  type TraceMap,
} from '@jridgewell/trace-mapping'
import type { Place } from './frames.js'

export interface OriginalPlace extends Place {
  /** The source as it was compiled, where the map carries it. */
  readonly content: string | null
}

const LARGEST_MAP = 4_000_000
/** Such a map within the file itself, in base64, and a little more. */
const LONGEST_TAIL = Math.ceil((LARGEST_MAP * 4) / 3) + 10_000
const LONGEST_NAME = 1000
const MOST_MAPS = 8

export class SourceMaps {
  /** By file, the latest last. A map unfolds to some twenty times its size, so none is held against the garbage collector. */
  readonly #maps = new Map<string, WeakRef<{ readonly map: TraceMap | null }>>()

  /** @returns `null`: the file has no map, or that doesn't tell */
  originalPlaceOf(place: Place): OriginalPlace | null {
    try {
      const map = this.#mapOf(place.file)
      if (map === null) return null
      const { source, line, column } = originalPositionFor(map, { ...place, column: place.column - 1 })
      const file = source === null ? null : nameOf(source)
      if (file === null || line === null || line < 1) return null
      return { file, line, column: column + 1, content: sourceContentFor(map, source!) }
    } catch {
      return null
    }
  }

  #mapOf(file: string): TraceMap | null {
    const loaded = this.#maps.get(file)?.deref() ?? { map: loadMap(file) }
    this.#maps.delete(file)
    this.#maps.set(file, new WeakRef(loaded))
    if (this.#maps.size > MOST_MAPS) this.#maps.delete(this.#maps.keys().next().value!)
    return loaded.map
  }
}

function loadMap(file: string): TraceMap | null {
  try {
    const base = pathToFileURL(file)
    const url = urlIn(readText(file, Infinity, LONGEST_TAIL))
    if (url === null) return null
    const [head, isBase64] = /^data:application\/json[^,]*?(;base64)?,/i.exec(url) ?? []
    if (head !== undefined) {
      const data = url.slice(head.length)
      return parseMap(
        isBase64 === undefined ? decodeURIComponent(data) : Buffer.from(data, 'base64').toString(),
        base,
      )
    }
    const mapUrl = new URL(url, base)
    return parseMap(readText(fileURLToPath(mapUrl), LARGEST_MAP), mapUrl)
  } catch {
    // It can't be read, or is none: there is a compiled place to show.
    return null
  }
}

/** The last comment of the file, below which nothing but comments may stand: elsewhere it may be part of a string. */
function urlIn(text: string): string | null {
  for (const line of text.split('\n').reverse()) {
    const [, url] = /^\s*\/\/[#@]\s*sourceMappingURL=(\S+)\s*$/.exec(line) ?? []
    if (url !== undefined) return url
    if (!/^\s*(?:\/\/|$)/.test(line)) return null
  }
  return null
}

/**
 * @throws when it can't be read, is too large, or was written after the process began: a deployment into the same folder, or a
 * compiler that watches, writes what this process may never have loaded
 */
export function readText(file: string, largest: number, mostRead = largest): string {
  const descriptor = openSync(file, 'r')
  try {
    const stats = fstatSync(descriptor)
    if (!stats.isFile() || stats.size > largest || stats.ctimeMs > beginOfProcessMs())
      throw new Error('not to be used')
    const buffer = Buffer.allocUnsafe(Math.min(stats.size, mostRead))
    const length = readSync(descriptor, buffer, 0, buffer.length, stats.size - buffer.length)
    return buffer.toString('utf8', 0, length)
  } finally {
    closeSync(descriptor)
  }
}

/** node:perf_hooks is loaded when a report asks for places, and not at start. */
function beginOfProcessMs(): number {
  return process.getBuiltinModule('node:perf_hooks').performance.timeOrigin
}

/** @throws when it is no source map of version 3 (ECMA-426), whole or in sections */
function parseMap(json: string, url: URL): TraceMap {
  // Some servers put a line before JSON, and the specification takes it.
  const map = JSON.parse(json.replace(/^\)\]\}'.*\n/, '')) as EncodedSourceMap | SectionedSourceMap
  const { mappings, sources } = { mappings: '', sources: [], ...map }
  // The decoder takes a character that is no digit for a zero, and goes on.
  if (map.version !== 3 || !/^[A-Za-z\d+/,;]*$/.test(mappings)) throw new SyntaxError('not a source map')
  return AnyMap({ ...map, sources: sources.map(escapePath) }, url.href)
}

/** Most compilers write paths as they are, some as parts of a URL. */
function escapePath(source: string | null): string | null {
  const isUrl = source === null || /^[a-z][a-z\d+.-]+:/i.test(source)
  return isUrl ? source : source.replaceAll(/[#?]/g, encodeURIComponent)
}

/** A path, or a URL that is none: `webpack://app/src/route.ts`. `null` for what a bundler made up by itself. */
function nameOf(source: string): string | null {
  if (source.length > LONGEST_NAME || source.endsWith('/') || /\p{Cc}/u.test(source)) return null
  if (source.startsWith('file:')) return fileURLToPath(source)
  // A bundler tells versions of one file apart by a query.
  return decodeURI(source.replace(/[?#].*$/, ''))
}
