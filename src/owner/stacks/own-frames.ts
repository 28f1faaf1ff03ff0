/** The guard's own frames in a stack: nobody's leak. */
import { readFileSync } from 'node:fs'
import { dirname, join, sep } from 'node:path'
import { captureError, frameOf, linesOf } from './frames.js'

const NAME = 'socket-leak-guard'
/** Installed as a package, or taken from there by a bundler that wrote a source map. */
const INSTALLED = /[\\/]node_modules[\\/]socket-leak-guard[\\/]/
/** In a checkout, or where a link leads to one. */
const OUR_FOLDERS =
  /^(?:(?:build|dist)[\\/])?(?:src|adapters)[\\/]|^dist[\\/](?!(?:test|bench|examples)[\\/])/

export interface OwnFrames {
  isOwn(file: string): boolean
  /**
   * A bundle that has the guard in it. Where no map tells our frames from the application's, all are dropped: better than to
   * blame the application for ours.
   */
  isIndistinct(file: string): boolean
}

export function recogniseOwnFrames(): OwnFrames {
  const file = linesOf(captureError().stack)
    .map(frameOf)
    .find((frame) => frame !== null)?.file
  const isInstalled = file === undefined || INSTALLED.test(file)
  const root = isInstalled ? null : rootOf(file)
  return {
    isOwn: (other) =>
      INSTALLED.test(other) ||
      (root !== null && other.startsWith(root) && OUR_FOLDERS.test(other.slice(root.length))),
    isIndistinct: (other) => !isInstalled && root === null && other === file,
  }
}

/** The folder of the package in which a file lies; `null` if that is another package than ours. */
function rootOf(file: string): string | null {
  for (let folder = dirname(file); folder !== dirname(folder); folder = dirname(folder)) {
    const name = packageNameIn(folder)
    if (name !== undefined) return name === NAME ? folder + sep : null
  }
  return null
}

function packageNameIn(folder: string): unknown {
  try {
    return (JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { name?: unknown }).name
  } catch {
    return undefined
  }
}
