/** The guard's own frames in a stack: nobody's leak. */
import { sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { framesOf, type Place } from './frames.js'
import { originalPlaceOf } from './original-place.js'

/** The end of this very file's path, compiled or not. */
const THIS_FILE = /^(.*?)([\\/](?:build|dist))?[\\/]src[\\/]observe[\\/]stacks[\\/]own-frames\.[jt]s$/

let isOwn: ((file: string) => boolean) | null = null

export function isOwnFrame({ file }: Place): boolean {
  return (isOwn ??= recognise())(file)
}

function recognise(): (file: string) => boolean {
  const frame = framesOf(new Error('here').stack)[0]
  const original = frame === undefined ? null : originalPlaceOf(frame.file, frame.line, frame.column)
  // esbuild leaves import.meta as it is, webpack puts the path in that this file had when it was bundled.
  const folders = [frame?.file, original?.file, ownFile()].flatMap((file) =>
    file === undefined ? [] : foldersOf(file),
  )
  // Part of a bundle, in which nothing tells us from the application: better nobody's frame than ours for theirs.
  const isIndistinct =
    frame !== undefined && ![frame.file, original?.file ?? ''].some((file) => THIS_FILE.test(file))
  return (file) => folders.some((folder) => file.startsWith(folder)) || (isIndistinct && file === frame.file)
}

function ownFile(): string | undefined {
  try {
    return fileURLToPath(import.meta.url)
  } catch {
    // A bundle in CommonJS has none.
    return undefined
  }
}

/** Where our code is, and our sources, for the case that this is compiled and mapped. */
function foldersOf(thisFile: string): string[] {
  const [, root, compiled] = THIS_FILE.exec(thisFile) ?? []
  if (root === undefined) return []
  const separator = thisFile.includes('://') ? '/' : sep
  return (compiled === undefined ? [root] : [root, root + compiled]).flatMap((folder) =>
    ['src', 'adapters'].map((name) => `${folder}${separator}${name}${separator}`),
  )
}
