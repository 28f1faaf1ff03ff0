/**
 * From compiled code to the place where it was written, for a process without `--enable-source-maps`: found in the file
 * and its map when a report asks, never before. Wherever anything is in doubt the compiled place stands.
 */
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { Recent } from './recent.js'
import { SourceMapText } from './source-map.js'

export interface OriginalPlace {
  /** A path, or the URL by which a bundler names a source: `webpack://app/src/route.ts`. */
  readonly file: string
  /** From 1. */
  readonly line: number
  /** From 1. */
  readonly column: number
  /** The source as it was compiled, where the map carries it. */
  readonly content: string | null
}

const LARGEST_MAP = 4_000_000
/** Such a map within the file itself, in base64, and a little more. */
const LONGEST_TAIL = Math.ceil((LARGEST_MAP * 4) / 3) + 10_000
const LONGEST_NAME = 1000
const MOST_MAPS = 8

interface LoadedMap {
  readonly map: SourceMapText
  /** What the names of its sources are relative to. */
  readonly folder: string
}

/** `null` for a file without a map that can be used. */
const maps = new Recent<string, LoadedMap | null>(MOST_MAPS)

/**
 * @param file an absolute path
 * @param line from 1
 * @param column from 1
 * @returns `null`: the file has no map, or that doesn't tell
 */
export function originalPlaceOf(file: string, line: number, column: number): OriginalPlace | null {
  try {
    const loaded = maps.get(file, loadMap)
    const found = loaded?.map.find(line, column) ?? null
    if (loaded === null || found === null) return null
    const name = locate(found.source, loaded.folder)
    return name === null ? null : { ...found, file: name }
  } catch {
    return null
  }
}

/**
 * Was this file written after the process began? A deployment into the same folder, or a compiler that watches, writes
 * what this process may never have loaded: its lines are other lines.
 */
export function isSinceStart(changedMs: number): boolean {
  return changedMs > performance.timeOrigin
}

function loadMap(file: string): LoadedMap | null {
  try {
    const url = urlIn(readTail(file, LONGEST_TAIL))
    if (url === null) return null
    const data = /^data:application\/json[^,]*?(;base64)?,/i.exec(url)
    if (data !== null) {
      const body = url.slice(data[0].length)
      const json = data[1] === undefined ? decodeURIComponent(body) : Buffer.from(body, 'base64').toString()
      return { map: new SourceMapText(json), folder: dirname(file) }
    }
    const mapFile = locate(url, dirname(file))
    if (mapFile === null || statSync(mapFile).size > LARGEST_MAP) return null
    return { map: new SourceMapText(readTail(mapFile, LARGEST_MAP)), folder: dirname(mapFile) }
  } catch {
    // It can't be read, or is none: there is a compiled place to show.
    return null
  }
}

/** The last comment of the file, below which nothing but comments may stand: elsewhere it may be part of a string. */
function urlIn(text: string): string | null {
  let end = text.length
  while (end > 0) {
    const start = text.lastIndexOf('\n', end - 1) + 1
    const line = text.slice(start, end).trim()
    const url = /^\/\/[#@]\s*sourceMappingURL=(\S+)$/.exec(line)?.[1]
    if (url !== undefined) return url
    if (line !== '' && !line.startsWith('//')) return null
    end = start - 1
  }
  return null
}

/** @throws when it can't be read, or may not be what runs */
function readTail(file: string, most: number): string {
  const descriptor = openSync(file, 'r')
  try {
    const stats = fstatSync(descriptor)
    if (!stats.isFile() || isSinceStart(stats.ctimeMs)) throw new Error('not a file of the start')
    const buffer = Buffer.allocUnsafe(Math.min(stats.size, most))
    const length = readSync(descriptor, buffer, 0, buffer.length, stats.size - buffer.length)
    return buffer.toString('utf8', 0, length)
  } finally {
    closeSync(descriptor)
  }
}

/** A path, or a URL that is none. `null` for what a bundler made up by itself. */
function locate(name: string, folder: string): string | null {
  if (name.length > LONGEST_NAME || /\p{Cc}/u.test(name)) return null
  // A drive letter is no scheme.
  if (/^[a-z][a-z\d+.-]+:/i.test(name)) return locateUrl(new URL(name))
  const plain = resolve(folder, name)
  // Most compilers write paths as they are, some as parts of a URL.
  return name.includes('%') && !exists(plain) ? resolve(folder, decodeURIComponent(name)) : plain
}

function locateUrl(url: URL): string | null {
  if (url.protocol === 'file:') return fileURLToPath(url)
  // A bundler tells versions of one file apart by a query.
  url.search = ''
  url.hash = ''
  return decodeURI(url.href)
}

function exists(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false }) !== undefined
}
