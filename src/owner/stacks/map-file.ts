// Reads one source map, and places in it. The preload loads this with the first (`LATER` in scripts/bundle.ts).
import { fileURLToPath, pathToFileURL } from 'node:url'
import {
  AnyMap,
  originalPositionFor,
  sourceContentFor,
  type EncodedSourceMap,
  type SectionedSourceMap,
  type TraceMap,
} from '@jridgewell/trace-mapping'
import { readText } from './file-text.js'
import type { Place } from './frames.js'

export type { TraceMap }

export interface OriginalPlace extends Place {
  readonly content: string | null
}

const LARGEST_MAP = 4_000_000
const LONGEST_TAIL = Math.ceil((LARGEST_MAP * 4) / 3) + 10_000
const LONGEST_NAME = 1000

export function originalPlaceIn(map: TraceMap, place: Place): OriginalPlace | null {
  const { source, line, column } = originalPositionFor(map, { ...place, column: place.column - 1 })
  const file = source === null ? null : nameOf(source)
  if (file === null || line === null || line < 1) return null
  return { file, line, column: column + 1, content: sourceContentFor(map, source!) }
}

export function loadMap(file: string): TraceMap | null {
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
    return null
  }
}

function urlIn(text: string): string | null {
  for (const line of text.split('\n').reverse()) {
    const [, url] = /^\s*\/\/[#@]\s*sourceMappingURL=(\S+)\s*$/.exec(line) ?? []
    if (url !== undefined) return url
    if (!/^\s*(?:\/\/|$)/.test(line)) return null
  }
  return null
}

/** Throws unless it is a source map of version 3 (ECMA-426), whole or in sections. */
function parseMap(json: string, url: URL): TraceMap {
  // Some servers put a line before the JSON, which the specification allows.
  const map = JSON.parse(json.replace(/^\)\]\}'.*\n/, '')) as EncodedSourceMap | SectionedSourceMap
  const { mappings, sources } = { mappings: '', sources: [], ...map }
  if (map.version !== 3 || !/^[A-Za-z\d+/,;]*$/.test(mappings)) throw new SyntaxError('not a source map')
  return AnyMap({ ...map, sources: sources.map(escapePath) }, url.href)
}

function escapePath(source: string | null): string | null {
  const isUrl = source === null || /^[a-z][a-z\d+.-]+:/i.test(source)
  return isUrl ? source : source.replaceAll(/[#?]/g, encodeURIComponent)
}

/** A path, or a URL like `webpack://app/src/route.ts`; `null` for a name the bundler invented. */
function nameOf(source: string): string | null {
  if (source.length > LONGEST_NAME || source.endsWith('/') || /\p{Cc}/u.test(source)) return null
  if (source.startsWith('file:')) return fileURLToPath(source)
  // A bundler distinguishes versions of a file by a query.
  return decodeURI(source.replace(/[?#].*$/, ''))
}
